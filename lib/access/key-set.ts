/** A JWK Set (RFC 7517) read: its usable public keys, each with the algorithms that its kind allows. */
import { createPublicKey } from 'node:crypto'
import * as z from 'zod'

/** Larger than any issuer's set by far. */
export const KEY_SET_BYTES_MAX = 65_536
const KEYS_MAX = 100
const RSA_BITS_MIN = 2048
/** A longer one costs milliseconds per token. */
const RSA_BITS_MAX = 8192

/** The members that make a public key; nothing else of what an issuer wrote is passed on. */
type PublicJwk =
  | { readonly kty: 'RSA'; readonly n: string; readonly e: string }
  | { readonly kty: 'EC'; readonly crv: string; readonly x: string; readonly y: string }
  | { readonly kty: 'OKP'; readonly crv: string; readonly x: string }

export interface PublicKey {
  readonly kid: string | undefined
  /** Follows from the key, never from a token. */
  readonly algorithms: readonly string[]
  readonly jwk: PublicJwk
}

export interface KeySet {
  readonly keys: readonly PublicKey[]
  /** Why each of the others is not used. */
  readonly ignored: readonly string[]
}

/** What came is no key set; the message says why. */
export class KeySetFault extends Error {
  override readonly name = 'KeySetFault'
}

const RSA_ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']
/** By curve; RFC 9864 gives EdDSA on this curve a name of its own. */
const curveAlgorithms: Readonly<Record<string, readonly string[]>> = {
  'P-256': ['ES256'],
  'P-384': ['ES384'],
  'P-521': ['ES512'],
  Ed25519: ['EdDSA', 'Ed25519'],
}
/** Every algorithm that some public key may have. */
export const publicAlgorithms: ReadonlySet<string> = new Set([
  ...RSA_ALGORITHMS,
  ...Object.values(curveAlgorithms).flat(),
])

const setSchema = z.object({ keys: z.array(z.unknown()).max(KEYS_MAX) })
const common = {
  kid: z.string().min(1).max(256).optional(),
  use: z.literal('sig').optional(),
  key_ops: z
    .array(z.string())
    .refine((operations) => operations.includes('verify'))
    .optional(),
  alg: z.string().optional(),
  // Whoever publishes it has lost it.
  d: z.undefined().optional(),
}
const keySchema = z.discriminatedUnion('kty', [
  z.object({ ...common, kty: z.literal('RSA'), n: z.string(), e: z.string() }),
  z.object({
    ...common,
    kty: z.literal('EC'),
    crv: z.enum(['P-256', 'P-384', 'P-521']),
    x: z.string(),
    y: z.string(),
  }),
  z.object({ ...common, kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: z.string() }),
])

/** A key that cannot be used is left out (RFC 7517 §5). @throws {KeySetFault} where the whole is no key set */
export function parseKeySet(text: string): KeySet {
  const set = setSchema.safeParse(parseJson(text))
  if (!set.success) throw new KeySetFault(`no JWK Set of at most ${KEYS_MAX} keys`)
  const keys: PublicKey[] = []
  const ignored: string[] = []
  set.data.keys.forEach((member, index) => {
    const key = parseKey(member)
    if (typeof key === 'string') ignored.push(`keys.${index}: ${key}`)
    else keys.push(key)
  })
  return { keys, ignored }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new KeySetFault('no JSON')
  }
}

/** The key, or why it is not usable. */
function parseKey(member: unknown): PublicKey | string {
  const parsed = keySchema.safeParse(member)
  if (!parsed.success) return reasonOf(parsed.error.issues)
  const { kid, alg } = parsed.data
  const jwk = publicPart(parsed.data)
  const possible = jwk.kty === 'RSA' ? RSA_ALGORITHMS : (curveAlgorithms[jwk.crv] ?? [])
  if (alg !== undefined && !possible.includes(alg)) return `alg is none of ${possible.join(', ')}`
  const fault = strengthFault(jwk)
  if (fault !== undefined) return fault
  // One name or the other, it is the same algorithm on this curve; an RSA key has but the one it names.
  const algorithms = alg === undefined || jwk.kty === 'OKP' ? possible : [alg]
  return { kid, algorithms, jwk }
}

/** A symmetric key in a public set would make the set's own reader a signer. */
function reasonOf(issues: readonly z.core.$ZodIssue[]): string {
  const [first] = issues
  const where = first?.path.join('.') ?? ''
  if (where === 'kty') return 'kty is none of RSA, EC, OKP'
  if (where === 'd') return 'it is a private key'
  return `${where}: not as a signing key of this kind has it`
}

function publicPart(key: z.output<typeof keySchema>): PublicJwk {
  switch (key.kty) {
    case 'RSA':
      return { kty: key.kty, n: key.n, e: key.e }
    case 'EC':
      return { kty: key.kty, crv: key.crv, x: key.x, y: key.y }
    case 'OKP':
      return { kty: key.kty, crv: key.crv, x: key.x }
  }
}

function strengthFault(jwk: PublicJwk): string | undefined {
  try {
    const { asymmetricKeyDetails } = createPublicKey({ key: jwk, format: 'jwk' })
    if (jwk.kty !== 'RSA') return undefined
    const bits = asymmetricKeyDetails?.modulusLength ?? 0
    if (bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX) return undefined
    return `RSA of ${bits} bits, expected ${RSA_BITS_MIN} to ${RSA_BITS_MAX}`
  } catch {
    return 'its numbers make no public key'
  }
}
