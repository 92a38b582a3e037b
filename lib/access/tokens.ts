/** Tokens: JWTs (RFC 7519, RFC 8725) verified and issued; hides jose. */
import { randomUUID } from 'node:crypto'
import { errors, jwtVerify, SignJWT, type CryptoKey, type JWK, type JWTPayload } from 'jose'
import { Refusal } from '../protocol/refusals.ts'
import { TOKEN_BYTES_MAX, invalidToken, parseClaims, readToken } from './claims.ts'
import type { IssuerKeys } from './jwks.ts'
import { publicAlgorithms } from './key-set.ts'
import { parseScope, type Grant, type Principal, type Rights } from './rights.ts'

/** Clock leeway; a live connection too ends at `exp` plus this. */
export const LEEWAY_SECONDS = 5
/** Tokens remembered as verified; one that is presented with each request costs its signature once. */
const VERIFIED_MAX = 1000
const SECRET_ALGORITHMS = ['HS256', 'HS384', 'HS512']

interface TokenOptions {
  /** Signs and verifies; without it no token is issued. */
  readonly key?: Uint8Array | undefined
  /** The one before: verifies only. */
  readonly previousKey?: Uint8Array | undefined
  /** Of the outside issuer, which is `issuer`. */
  readonly issuerKeys?: IssuerKeys | undefined
  readonly issuer?: string | undefined
  readonly audience?: string | undefined
  readonly now: () => Date
  /** Whether a good token was revoked meanwhile. */
  readonly isRevoked?: (principal: Principal) => boolean
}

export interface TokenRequest {
  readonly subject: string
  readonly scope: string
  readonly grants?: readonly Grant[]
  readonly expiresInMs: number
}

/** A signed token and what identifies it. */
export interface IssuedToken {
  readonly token: string
  readonly jti: string
  /** Milliseconds since the epoch, a whole second. */
  readonly expiresAtMs: number
}

/** A key, and the algorithms that it may have verified with. */
interface Candidate {
  readonly key: Uint8Array | CryptoKey | JWK
  readonly algorithms: readonly string[]
}

export type Tokens = ReturnType<typeof createTokens>

export function createTokens(options: TokenOptions) {
  const { key: signingKey, previousKey, issuerKeys, issuer, audience, now, isRevoked = () => false } = options
  const secrets: Candidate[] = [signingKey, previousKey].flatMap((key) =>
    key === undefined ? [] : [{ key, algorithms: SECRET_ALGORITHMS }],
  )
  /** By the whole token; a Map keeps the order of insertion, so the first is the oldest. */
  const verified = new Map<string, Principal>()
  let verifiedWith = issuerKeys?.version()

  return {
    /** Who the token speaks for. @throws {Refusal} `unauthenticated` when another one would do, else `invalid_token` */
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

    /** Signs a token with HS256. @throws {Refusal} `conflict` where there is no secret to sign with, `too_large` */
    async issue({ subject, scope, grants = [], expiresInMs }: TokenRequest): Promise<IssuedToken> {
      if (signingKey === undefined) {
        throw new Refusal(
          'conflict',
          'tokens come from the issuer of the JWKS; this server has no secret to sign with',
        )
      }
      // With its milliseconds (RFC 7519 §2): a token issued right after a revocation is told from one before it.
      const issuedAtMs = now().getTime()
      const expiresAt = Math.floor(issuedAtMs / 1000) + Math.ceil(expiresInMs / 1000)
      const jti = randomUUID()
      const token = new SignJWT(grants.length === 0 ? { scope } : { scope, grants: [...grants] })
        .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
        .setSubject(subject)
        .setJti(jti)
        .setIssuedAt(issuedAtMs / 1000)
        .setExpirationTime(expiresAt)
      if (issuer !== undefined) token.setIssuer(issuer)
      if (audience !== undefined) token.setAudience(audience)
      const signed = await token.sign(signingKey)
      if (signed.length > TOKEN_BYTES_MAX) {
        const length = `the token would be longer than ${TOKEN_BYTES_MAX} bytes, which nobody takes`
        throw new Refusal('too_large', `${length}: fewer grants, or shorter ones`)
      }
      return { token: signed, jti, expiresAtMs: expiresAt * 1000 }
    },
  }

  async function identify(token: string): Promise<Principal> {
    const version = issuerKeys?.version()
    if (version !== verifiedWith) verified.clear()
    verifiedWith = version
    const known = verified.get(token)
    // Only time, a revocation and a withdrawn key make a token bad that was good; an expired one goes the long way.
    if (known?.expiresAtMs !== undefined && now().getTime() < known.expiresAtMs) return known
    verified.delete(token)
    const { sub: subject, scope, exp, iat, jti, grants } = parseClaims(await verifySignature(token))
    if (iat !== undefined && iat > now().getTime() / 1000 + LEEWAY_SECONDS) {
      throw invalidToken('iat lies in the future')
    }
    const principal: Principal = {
      subject,
      scope,
      rights: rightsOf(scope, grants),
      expiresAtMs: exp * 1000,
      ...(jti === undefined ? {} : { jti }),
      ...(iat === undefined ? {} : { issuedAtMs: iat * 1000 }),
    }
    remember(token, principal, version)
    return principal
  }

  /** Not where the keys changed while the signature was checked. */
  function remember(token: string, principal: Principal, version: number | undefined): void {
    if (issuerKeys?.version() !== version) return
    const oldest = verified.size >= VERIFIED_MAX ? verified.keys().next().value : undefined
    if (oldest !== undefined) verified.delete(oldest)
    verified.set(token, principal)
  }

  async function verifySignature(token: string): Promise<JWTPayload> {
    const candidates = await keysFor(token)
    let mismatch: Refusal | undefined
    for (const candidate of candidates) {
      try {
        return await verifyWith(token, candidate)
      } catch (error) {
        if (error instanceof errors.JWTExpired) throw expired()
        if (!(error instanceof errors.JOSEError)) throw error
        mismatch = invalidToken(plain(error))
        // Where the signature held, no other key can do better.
        if (!(error instanceof errors.JWSSignatureVerificationFailed)) throw mismatch
      }
    }
    throw mismatch ?? invalidToken('there is no key for it')
  }

  /** The keys that a token may have been signed with: its header chooses among those that are configured, no more. */
  async function keysFor(token: string): Promise<readonly Candidate[]> {
    const { alg, kid, issuer: claimed } = readToken(token)
    if (secrets.length > 0 && SECRET_ALGORITHMS.includes(alg)) return secrets
    if (!issuerKeys || !publicAlgorithms.has(alg))
      throw invalidToken('its alg is not one of the configured keys')
    // Keys are the issuer's: a token of anybody else does not get as far as a kid, or as asking for one.
    if (claimed !== issuer) throw invalidToken('the claim iss is not the configured issuer')
    const found = await issuerKeys.find(alg, kid)
    if (found.length > 1) throw invalidToken('it does not say by its kid which of several keys signed it')
    // It may be a new key, or one that was withdrawn: a newer token, or a later try, is the remedy for both.
    if (found.length === 0)
      throw new Refusal('unauthenticated', "the token's key is not one of its issuer's present keys")
    return found.map(({ jwk: key, algorithms }) => ({ key, algorithms }))
  }

  async function verifyWith(token: string, { key, algorithms }: Candidate): Promise<JWTPayload> {
    const { payload } = await jwtVerify(token, key as Uint8Array, {
      algorithms: [...algorithms],
      requiredClaims: ['exp', 'sub'],
      clockTolerance: LEEWAY_SECONDS,
      currentDate: now(),
      ...(issuer === undefined ? {} : { issuer }),
      ...(audience === undefined ? {} : { audience }),
    })
    return payload
  }
}

/** @throws {Refusal} `invalid_token` where a grant's filter is none */
function rightsOf(scope: string, grants: readonly Grant[]): Rights {
  try {
    return parseScope(scope, grants)
  } catch (error) {
    throw error instanceof Refusal ? invalidToken(`grants: ${error.message}`) : error
  }
}

/** A sentence that says what is wrong and holds nothing of the token. */
function plain(error: errors.JOSEError): string {
  if (error instanceof errors.JWTClaimValidationFailed) return `the claim ${error.claim} is ${error.reason}`
  return error.code === 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED' ? 'its signature does not match' : error.code
}

const expired = () => new Refusal('unauthenticated', 'the token has expired')
const revoked = () => invalidToken('it was revoked')
