/** `server.ts token`: signs a token with the key that the server of this set-up uses. */
import { loadKey } from '../lib/access/keys.ts'
import { FULL_SCOPE, unknownScope } from '../lib/access/rights.ts'
import { createTokens } from '../lib/access/tokens.ts'
import { ConfigError, durationSchema, type Config } from '../lib/config.ts'
import { readOptions } from './options.ts'

const YEAR_MS = 365 * 86_400_000

export async function issueToken(config: Config, words: readonly string[]): Promise<string> {
  const {
    scope = FULL_SCOPE,
    subject = 'cli',
    expires = '1h',
  } = readOptions(words, ['scope', 'subject', 'expires'])
  const unknown = unknownScope(scope)
  if (unknown !== undefined) throw new ConfigError(`--scope: there is no scope "${unknown}"`)
  if (subject.length === 0 || subject.length > 256)
    throw new ConfigError('--subject: expected 1 to 256 characters')
  const lifetime = durationSchema.safeParse(expires)
  if (!lifetime.success || lifetime.data < 1000 || lifetime.data > YEAR_MS) {
    throw new ConfigError(`--expires=${expires}: expected a duration from 1s to 8760h, such as 1h`)
  }
  const tokens = createTokens({
    key: loadKey(config.DATA_DIR, config.JWT_SECRET),
    issuer: config.JWT_ISSUER,
    audience: config.JWT_AUDIENCE,
    now: () => new Date(),
  })
  const { token } = await tokens.issue({ subject, scope, expiresInMs: lifetime.data })
  return token
}
