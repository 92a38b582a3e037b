/** What a token says, read strictly: its three parts, its header before the signature, its claims after. */
import * as z from 'zod'
import { NO_NUL } from '../protocol/events.ts'
import { Refusal } from '../protocol/refusals.ts'
import { grantSchema, GRANTS_MAX } from './rights.ts'

/** Refused before it is parsed (PROTOCOL §7). */
export const TOKEN_BYTES_MAX = 8192
/** Largest time a Date can hold, in seconds. */
const TIME_MAX = 8_640_000_000_000

const name = z
  .string()
  .min(1)
  .max(256)
  .regex(NO_NUL)
  .refine((text) => text.isWellFormed(), 'expected Unicode text')
const time = z.number().nonnegative().max(TIME_MAX)

/**
 * Every claim that Lightwire looks at, and its shape; others are ignored. The one place for a new claim.
 * `exp` may be negative: such a token has expired.
 */
const claimsSchema = z.object({
  sub: name,
  scope: z.string().max(4096).regex(NO_NUL).default(''),
  exp: z.number().max(TIME_MAX),
  nbf: time.optional(),
  iat: time.optional(),
  jti: name.optional(),
  iss: z.string().optional(),
  aud: z.union([z.string(), z.array(z.string()).max(100)]).optional(),
  grants: z.array(grantSchema).max(GRANTS_MAX).default([]),
})

export type Claims = z.output<typeof claimsSchema>

/** Media types are case-insensitive and may leave `application/` out (RFC 7515 §4.1.9, RFC 9068 §4). */
const TYPE = /^(application\/)?(jwt|at\+jwt)$/i

/**
 * What decides how a token is verified. Keys and addresses of keys that a token brings along (`jwk`, `jku`, `x5u`, `x5c`)
 * are not even read; extensions that must be understood (`crit`) are not.
 */
const headerSchema = z.object({
  alg: z.string(),
  kid: z.string().min(1).max(256).optional(),
  typ: z.string().regex(TYPE, 'expected JWT or at+jwt').optional(),
  crit: z.undefined({ error: 'no extension is understood here' }).optional(),
})

/** What a token says of itself; nothing of it is true before its signature was checked. */
export interface Unverified {
  readonly alg: string
  readonly kid: string | undefined
  readonly issuer: unknown
}

/** What is no UTF-8, or begins with a byte order mark, is no JSON (RFC 8259 §8.1). */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const PARTS = /^([\w-]+)\.([\w-]+)\.([\w-]+)$/

/** Reads a compact JWS (RFC 7515 §7.1). @throws {Refusal} `invalid_token` */
export function readToken(token: string): Unverified {
  if (token.length > TOKEN_BYTES_MAX) throw invalidToken(`it is longer than ${TOKEN_BYTES_MAX} bytes`)
  const [, header, payload, signature] = PARTS.exec(token) ?? []
  if (header === undefined || payload === undefined || signature === undefined) {
    throw invalidToken('expected three parts in base64url, with a dot between')
  }
  const { alg, kid } = parse(headerSchema, json(header, 'header'))
  const claims = json(payload, 'payload') as { iss?: unknown } | null
  bytesOf(signature, 'signature')
  return { alg, kid, issuer: claims?.iss }
}

/** Checks the shape of claims whose signature holds. @throws {Refusal} `invalid_token` */
export function parseClaims(payload: unknown): Claims {
  return parse(claimsSchema, payload)
}

export function invalidToken(what: string): Refusal {
  return new Refusal('invalid_token', `the token is not acceptable: ${what}`)
}

function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const { issues } = parsed.error
  throw invalidToken(issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; '))
}

function json(part: string, which: string): unknown {
  const bytes = bytesOf(part, which)
  try {
    return JSON.parse(utf8.decode(bytes))
  } catch {
    throw invalidToken(`its ${which} is not JSON in UTF-8`)
  }
}

/** One token has one spelling: a decoder would ignore the unused bits of the last character. */
function bytesOf(part: string, which: string): Uint8Array {
  const bytes = Buffer.from(part, 'base64url')
  if (bytes.toString('base64url') !== part) throw invalidToken(`its ${which} is not canonical base64url`)
  return bytes
}
