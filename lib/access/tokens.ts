/** Tokens: JWTs (RFC 7519, RFC 8725) verified and issued; hides jose. */
import { randomUUID } from 'node:crypto'
import { errors, jwtVerify, SignJWT, type JWTPayload } from 'jose'
import * as z from 'zod'
import { NO_NUL } from '../protocol/events.ts'
import { Refusal } from '../protocol/refusals.ts'
import { parseScope, type Principal } from './rights.ts'

/** Refused before it is parsed (PROTOCOL §7). */
const TOKEN_BYTES_MAX = 8192
/** Clock leeway; a live connection too ends at `exp` plus this. */
export const LEEWAY_SECONDS = 5
/** Tokens remembered as verified; one that is presented with each request costs its signature once. */
const VERIFIED_MAX = 1000
/** Largest time a Date can hold, in seconds. */
const TIME_MAX = 8_640_000_000_000
const types: ReadonlySet<unknown> = new Set([undefined, 'JWT', 'at+jwt'])

const claimsSchema = z.object({
  sub: z.string().min(1).max(256).regex(NO_NUL),
  scope: z.string().max(4096).default(''),
  exp: z.number().positive().max(TIME_MAX),
  iat: z.number().nonnegative().max(TIME_MAX).optional(),
  jti: z.string().max(256).optional(),
})

interface TokenOptions {
  readonly key: Uint8Array
  readonly issuer?: string | undefined
  readonly audience?: string | undefined
  readonly now: () => Date
  /** Whether a good token was revoked meanwhile. */
  readonly isRevoked?: (principal: Principal) => boolean
}

export interface TokenRequest {
  readonly subject: string
  readonly scope: string
  readonly expiresInMs: number
}

/** A signed token and what identifies it. */
export interface IssuedToken {
  readonly token: string
  readonly jti: string
  /** Milliseconds since the epoch, a whole second. */
  readonly expiresAtMs: number
}

export type Tokens = ReturnType<typeof createTokens>

export function createTokens({ key, issuer, audience, now, isRevoked = () => false }: TokenOptions) {
  /** By the whole token; a Map keeps the order of insertion, so the first is the oldest. */
  const verified = new Map<string, Principal>()

  return {
    /** Who the token speaks for. @throws {Refusal} `unauthenticated` when it expired, else `invalid_token` */
    async verify(token: string): Promise<Principal> {
      const principal = await identify(token)
      if (isRevoked(principal)) throw revoked()
      return principal
    },

    /** Whether a principal may still act, some time after its token was verified. @throws {Refusal} as `verify` */
    requireStanding(principal: Principal): void {
      const { expiresAtMs = Infinity } = principal
      if (now().getTime() >= expiresAtMs + LEEWAY_SECONDS * 1000) throw expired()
      if (isRevoked(principal)) throw revoked()
    },

    /** Signs a token with HS256. */
    async issue({ subject, scope, expiresInMs }: TokenRequest): Promise<IssuedToken> {
      // With its milliseconds (RFC 7519 §2): a token issued right after a revocation is told from one before it.
      const issuedAtMs = now().getTime()
      const expiresAt = Math.floor(issuedAtMs / 1000) + Math.ceil(expiresInMs / 1000)
      const jti = randomUUID()
      const token = new SignJWT({ scope })
        .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
        .setSubject(subject)
        .setJti(jti)
        .setIssuedAt(issuedAtMs / 1000)
        .setExpirationTime(expiresAt)
      if (issuer !== undefined) token.setIssuer(issuer)
      if (audience !== undefined) token.setAudience(audience)
      return { token: await token.sign(key), jti, expiresAtMs: expiresAt * 1000 }
    },
  }

  async function identify(token: string): Promise<Principal> {
    if (token.length > TOKEN_BYTES_MAX) throw invalid(`it is longer than ${TOKEN_BYTES_MAX} bytes`)
    const known = verified.get(token)
    // Only time and a revocation make a token bad that was good; an expired one goes the long way, which says so.
    if (known?.expiresAtMs !== undefined && now().getTime() < known.expiresAtMs) return known
    verified.delete(token)
    const payload = await verifySignature(token)
    const claims = claimsSchema.safeParse(payload)
    if (!claims.success) {
      throw invalid(
        claims.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; '),
      )
    }
    const { sub: subject, scope, exp, iat, jti } = claims.data
    if (iat !== undefined && iat > now().getTime() / 1000 + LEEWAY_SECONDS)
      throw invalid('iat lies in the future')
    const principal: Principal = {
      subject,
      scope,
      rights: parseScope(scope),
      expiresAtMs: exp * 1000,
      ...(jti === undefined ? {} : { jti }),
      ...(iat === undefined ? {} : { issuedAtMs: iat * 1000 }),
    }
    const oldest = verified.size >= VERIFIED_MAX ? verified.keys().next().value : undefined
    if (oldest !== undefined) verified.delete(oldest)
    verified.set(token, principal)
    return principal
  }

  async function verifySignature(token: string): Promise<JWTPayload> {
    try {
      const { payload, protectedHeader } = await jwtVerify(token, key, {
        // Follows from the kind of key, never from the token.
        algorithms: ['HS256', 'HS384', 'HS512'],
        requiredClaims: ['exp', 'sub'],
        clockTolerance: LEEWAY_SECONDS,
        currentDate: now(),
        ...(issuer === undefined ? {} : { issuer }),
        ...(audience === undefined ? {} : { audience }),
      })
      if (!types.has(protectedHeader.typ)) throw invalid('typ is neither JWT nor at+jwt')
      return payload
    } catch (error) {
      if (error instanceof errors.JWTExpired) throw expired()
      if (error instanceof errors.JOSEError) throw invalid(plain(error))
      throw error
    }
  }
}

/** A sentence that says what is wrong and holds nothing of the token. */
function plain(error: errors.JOSEError): string {
  if (error instanceof errors.JWTClaimValidationFailed) return `the claim ${error.claim} is ${error.reason}`
  return error.code === 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED' ? 'its signature does not match' : error.code
}

const expired = () => new Refusal('unauthenticated', 'the token has expired')
const revoked = () => invalid('it was revoked')

function invalid(what: string): Refusal {
  return new Refusal('invalid_token', `the token is not acceptable: ${what}`)
}
