/** Tokens as an attacker makes them: any header, any payload, any signature, to the byte. */
import { constants, createHmac, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'

export type Signer = (input: Buffer) => Buffer

export const base64url = (content: string | Uint8Array) => Buffer.from(content).toString('base64url')

/** A compact JWS of the very texts or bytes given. */
export function forge(header: string | Uint8Array, payload: string | Uint8Array, signer: Signer): string {
  const input = `${base64url(header)}.${base64url(payload)}`
  return `${input}.${base64url(signer(Buffer.from(input)))}`
}

export const hmac =
  (secret: string | Uint8Array, hash = 'sha256'): Signer =>
  (input) =>
    createHmac(hash, secret).update(input).digest()

export const rsa =
  (key: KeyObject, hash = 'sha256'): Signer =>
  (input) =>
    sign(hash, input, key)

export const rsaPss =
  (key: KeyObject): Signer =>
  (input) =>
    sign('sha256', input, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 })

/** The signature of RFC 7518 §3.4 is r and s side by side; elsewhere it is DER. */
export const ecdsa =
  (key: KeyObject, dsaEncoding: 'ieee-p1363' | 'der' = 'ieee-p1363'): Signer =>
  (input) =>
    sign('sha256', input, { key, dsaEncoding })

export const ed25519 =
  (key: KeyObject): Signer =>
  (input) =>
    sign(null, input, key)

export const nobody: Signer = () => Buffer.alloc(0)

export interface Pair {
  readonly publicKey: KeyObject
  readonly privateKey: KeyObject
}

export const rsaPair = (modulusLength = 2048): Pair => generateKeyPairSync('rsa', { modulusLength })
export const ecPair = (namedCurve = 'P-256'): Pair => generateKeyPairSync('ec', { namedCurve })
export const edPair = (): Pair => generateKeyPairSync('ed25519')

export const jwkOf = (key: KeyObject) => key.export({ format: 'jwk' })
