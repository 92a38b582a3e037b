/** The set-up looked at before anything starts: files that others can read, keys that are none. */
import { existsSync } from 'node:fs'
import type { Config } from '../settings.ts'
import { loadTls } from '../tls.ts'
import { requireClosed, WeakSetup } from '../weak-setup.ts'
import { requireKeyFile } from './jwks.ts'
import { hasSecret, readSecret } from './keys.ts'
import { localPrincipal } from './local.ts'

/** What is too weak, a line each; what no setting alone can show. Changes nothing. */
export function findWeaknesses(config: Config): readonly string[] {
  const { DATA_DIR: folder, JWKS_FILE, JWT_SECRET, LOCAL_SCOPE } = config
  const checks = [
    () => (existsSync(folder) ? requireClosed(folder, 'the folder of DATA_DIR', '0700') : undefined),
    () => (hasSecret(config) && JWT_SECRET === undefined ? readSecret(folder) : undefined),
    () => (JWKS_FILE === undefined ? undefined : requireKeyFile(JWKS_FILE)),
    () => loadTls(config),
    () => localPrincipal(LOCAL_SCOPE),
  ]
  return checks.flatMap((check) => {
    try {
      check()
      return []
    } catch (error) {
      if (error instanceof WeakSetup) return [error.message]
      throw error
    }
  })
}

/** @throws {WeakSetup} with the first of them */
export function requireSoundSetup(config: Config): void {
  const [first] = findWeaknesses(config)
  if (first !== undefined) throw new WeakSetup(first)
}
