/** The secrets that tokens are signed with: from the settings, or generated once into the data folder, for its owner only. */
import { randomBytes } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Config } from '../settings.ts'
import { requireOwnersOnly, WeakSetup } from '../weak-setup.ts'

const SECRET_BYTES = 48
const SECRET_FILE = 'the file "secret" in DATA_DIR'

type SecretSettings = Pick<
  Config,
  'DATA_DIR' | 'JWT_SECRET' | 'JWT_PREVIOUS_SECRET' | 'JWKS_URL' | 'JWKS_FILE'
>

/** HS256/384/512 keys. */
export interface Secrets {
  /** Signs and verifies. */
  readonly key: Uint8Array | undefined
  /** Verifies only, while tokens of the secret before are still about. */
  readonly previousKey: Uint8Array | undefined
}

/** Whether the set-up knows a secret: where keys come from JWKS none is made up, only a configured one counts. */
export function hasSecret({ JWT_SECRET, JWKS_URL, JWKS_FILE }: Omit<SecretSettings, 'DATA_DIR'>): boolean {
  return JWT_SECRET !== undefined || (JWKS_URL === undefined && JWKS_FILE === undefined)
}

/** The secrets of a set-up, the generated one made where it is due. @throws {WeakSetup} as `loadKey` */
export function loadSecrets(config: SecretSettings): Secrets {
  const { DATA_DIR, JWT_SECRET, JWT_PREVIOUS_SECRET: previous } = config
  return {
    key: hasSecret(config) ? loadKey(DATA_DIR, JWT_SECRET) : undefined,
    previousKey: previous === undefined ? undefined : new TextEncoder().encode(previous),
  }
}

/** One HS256/384/512 key. @throws {WeakSetup} when the stored secret is short or others can read it */
export function loadKey(dataFolder: string, configured: string | undefined): Uint8Array {
  return new TextEncoder().encode(configured ?? readOrCreate(dataFolder))
}

/** The stored secret, undefined where there is none yet. @throws {WeakSetup} as `loadKey` */
export function readSecret(folder: string): string | undefined {
  const path = join(folder, 'secret')
  if (!existsSync(path)) return undefined
  requireOwnersOnly(path, SECRET_FILE)
  const secret = readFileSync(path, 'utf8').trim()
  if (Buffer.byteLength(secret) < 32) throw new WeakSetup(`${SECRET_FILE} holds fewer than 32 bytes`)
  return secret
}

function readOrCreate(folder: string): string {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const stored = readSecret(folder)
  if (stored !== undefined) return stored
  createSecret(join(folder, 'secret'))
  return readOrCreate(folder)
}

/** Written and synced under another name first: a full disk or a kill leaves no half of a secret behind. */
function createSecret(path: string): void {
  const draft = `${path}.${randomBytes(6).toString('hex')}`
  try {
    const descriptor = openSync(draft, 'wx', 0o600)
    try {
      writeSync(descriptor, randomBytes(SECRET_BYTES).toString('base64url'))
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
    // A link never replaces: two first starts at once agree on the secret of whoever came first.
    linkSync(draft, path)
  } catch (error) {
    if ((error as { code?: string }).code !== 'EEXIST') throw error
  } finally {
    rmSync(draft, { force: true })
  }
}
