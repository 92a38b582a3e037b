/** Who may, as a whole: keys, tokens, revocations, origins, limits and those who need no token, made from the settings. */
import type { Config } from '../settings.ts'
import { createAdmission } from './admission.ts'
import { keysFromFile, keysFromUrl, type KeySetObserver } from './jwks.ts'
import { loadSecrets } from './keys.ts'
import { localPrincipal } from './local.ts'
import { originsOf } from './origins.ts'
import { createLatest, createRevocations } from './revocations.ts'
import { everyone } from './rights.ts'
import { requireSoundSetup } from './setup.ts'
import { createTokens } from './tokens.ts'

interface AccessOptions extends KeySetObserver {
  readonly config: Config
  readonly now: () => Date
  readonly monotonicMs: () => number
  /** Aborted when the server stops. */
  readonly stopping: AbortSignal
  /** Known once the server listens; no request comes before. */
  readonly port: () => number | undefined
}

export type Access = ReturnType<typeof createAccess>

/** @throws {WeakSetup} */
export function createAccess(options: AccessOptions) {
  const { config, now, monotonicMs, port } = options
  requireSoundSetup(config)
  const { JWT_ISSUER: issuer, JWT_AUDIENCE: audience, JWKS_URL: url, JWKS_FILE: file } = config
  const issuerKeys =
    url !== undefined
      ? keysFromUrl(url, options)
      : file !== undefined
        ? keysFromFile(file, options)
        : undefined
  const revocations = createRevocations()
  const clock = createLatest(now)
  const tokens = createTokens({
    ...loadSecrets(config),
    issuerKeys,
    issuer,
    audience,
    now: clock.now,
    isRevoked: revocations.covers,
  })
  return {
    ...createAdmission({ config, monotonicMs, verify: tokens.verify }),
    anyone: config.AUTH === 'off' ? everyone : undefined,
    local: localPrincipal(config.LOCAL_SCOPE),
    requireStanding: tokens.requireStanding,
    issueToken: tokens.issue,
    isRevoked: revocations.covers,
    revocations,
    latest: clock.latest,
    origins: originsOf(config, port),
    /** Of an outside issuer, where there is one. */
    issuerKeys,
  }
}
