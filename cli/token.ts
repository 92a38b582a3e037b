/** `server.ts token`: signs a token with the key that the server of this set-up uses. */
import { hasSecret, loadKey, readSecret } from '../lib/access/keys.ts'
import { FULL_SCOPE, grantSchema, requireGrants, unknownScope, type Grant } from '../lib/access/rights.ts'
import { createTokens } from '../lib/access/tokens.ts'
import { ConfigError } from '../lib/config.ts'
import { Refusal } from '../lib/protocol/refusals.ts'
import { durationSchema } from '../lib/setting-values.ts'
import type { Config } from '../lib/settings.ts'
import { readOptions } from './options.ts'

const YEAR_MS = 365 * 86_400_000

export async function issueToken(config: Config, words: readonly string[]): Promise<string> {
  const {
    grants: grantsText,
    scope = grantsText === undefined ? FULL_SCOPE : '',
    subject = 'cli',
    expires = '1h',
  } = readOptions(words, ['scope', 'subject', 'expires', 'grants'])
  const unknown = unknownScope(scope)
  if (unknown !== undefined) throw new ConfigError(`--scope: there is no scope "${unknown}"`)
  if (subject.length === 0 || subject.length > 256)
    throw new ConfigError('--subject: expected 1 to 256 characters')
  const lifetime = durationSchema.safeParse(expires)
  if (!lifetime.success || lifetime.data < 1000 || lifetime.data > YEAR_MS) {
    throw new ConfigError(`--expires=${expires}: expected a duration from 1s to 8760h, such as 1h`)
  }
  if (!hasSecret(config)) {
    throw new ConfigError(
      'tokens come from the issuer of the JWKS; this set-up has no JWT_SECRET to sign with',
    )
  }
  if (config.JWT_SECRET === undefined && readSecret(config.DATA_DIR) === undefined)
    console.error(
      `lightwire: a new secret is in ${config.DATA_DIR}; only a server with that DATA_DIR takes this token`,
    )
  const tokens = createTokens({
    key: loadKey(config.DATA_DIR, config.JWT_SECRET),
    issuer: config.JWT_ISSUER,
    audience: config.JWT_AUDIENCE,
    now: () => new Date(),
  })
  const grants = grantsText === undefined ? [] : readGrants(grantsText)
  const issued = await tokens
    .issue({ subject, scope, grants, expiresInMs: lifetime.data })
    .catch((error: unknown) => {
      throw error instanceof Refusal ? new ConfigError(`--grants: ${error.message}`) : error
    })
  return issued.token
}

/** `[{"channel":"photos","where":{"session_id":12}}]`. @throws {ConfigError} */
function readGrants(text: string): Grant[] {
  try {
    const grants = grantSchema.array().parse(JSON.parse(text))
    requireGrants(grants)
    return grants
  } catch (error) {
    const what = error instanceof Refusal ? error.message : 'expected a list of {"channel", "where"} as JSON'
    throw new ConfigError(`--grants: ${what}`)
  }
}
