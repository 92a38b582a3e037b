/** Tokens that an attacker could send, each with its exact answer over REST, at the upgrade and as the first message. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { TestClient } from '../support/client.ts'
import { startTestServer, temporaryFolder, type TestServer } from '../support/server.ts'
import {
  base64url,
  ecdsa,
  ecPair,
  ed25519,
  edPair,
  forge,
  hmac,
  jwkOf,
  nobody,
  rsa,
  rsaPair,
  rsaPss,
  type Signer,
} from './forge.ts'
import { restOutcome, socketOutcome } from './raw-requests.ts'

setDefaultTimeout(60_000)

const nowMs = Date.parse('2026-06-01T12:00:00Z')
const now = nowMs / 1000
const secret = 'the secret that is configured, 40 bytes.'
const previousSecret = 'the secret that was before it, 40 bytes.'
const issuer = 'https://id.studio.example'

const ours = {
  rsa: rsaPair(),
  rsa2: rsaPair(),
  ec: ecPair(),
  ed: edPair(),
  weak: rsaPair(1024),
  enc: rsaPair(),
}
const attacker = { rsa: rsaPair(), ec: ecPair(), ed: edPair() }
const octSecret = 'a symmetric key in a public key set, oh.'
const keySet = {
  keys: [
    { ...jwkOf(ours.rsa.publicKey), kid: 'rsa-1', use: 'sig', alg: 'RS256' },
    { ...jwkOf(ours.rsa2.publicKey), kid: 'rsa-2', use: 'sig' },
    { ...jwkOf(ours.ec.publicKey), kid: 'ec-1', use: 'sig' },
    { ...jwkOf(ours.ed.publicKey), kid: 'ed-1', key_ops: ['verify'] },
    { ...jwkOf(ours.weak.publicKey), kid: 'weak-1' },
    { ...jwkOf(ours.enc.publicKey), kid: 'enc-1', use: 'enc' },
    { ...jwkOf(attacker.ed.privateKey), kid: 'leaked-1' },
    { kty: 'oct', kid: 'oct-1', k: base64url(octSecret) },
  ],
}

const claims = {
  iss: issuer,
  aud: 'lightwire',
  sub: 'anna',
  scope: 'api:read events:read',
  exp: now + 60,
  iat: now,
}
const goodText = JSON.stringify(claims)
const hs = { alg: 'HS256', typ: 'JWT' }
const bySecret = hmac(secret)

/** Ours, with some claims replaced. */
const hsToken = (change: object = {}, header: object = hs, signer: Signer = bySecret) =>
  forge(JSON.stringify(header), JSON.stringify({ ...claims, ...change }), signer)
/** With the very text as header or payload, and a signature that holds. */
const hsText = (payload: string | Uint8Array, header: string | Uint8Array = JSON.stringify(hs)) =>
  forge(header, payload, bySecret)
const signedBy = (alg: string, kid: string, signer: Signer, change: object = {}, header: object = {}) =>
  forge(JSON.stringify({ alg, kid, ...header }), JSON.stringify({ ...claims, ...change }), signer)

const good = hsToken()
const [goodHeader = '', goodPayload = '', goodSignature = ''] = good.split('.')
/** A claim's value as JSON text, which no serializer would write. */
const rawClaim = (name: string, json: string) => hsText(goodText.replace(/\}$/, `,"${name}":${json}}`))
const pem = (type: 'spki' | 'pkcs1') => ours.rsa.publicKey.export({ type, format: 'pem' })
const der = ours.rsa.publicKey.export({ type: 'spki', format: 'der' })
const { n: modulus = '' } = jwkOf(ours.rsa.publicKey)
const { x: ecX = '' } = jwkOf(ours.ec.publicKey)
/** Another letter at the same place: 32 is halfway round the alphabet, so bits that count change. */
const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const altered = (token: string, index: number) =>
  token.slice(0, index) + alphabet[(alphabet.indexOf(token[index] ?? '') + 32) % 64] + token.slice(index + 1)
/** The last of 43 characters carries four bits; the other two are free to a lenient decoder. */
const otherSpelling = (token: string) =>
  token.slice(0, -1) + alphabet[alphabet.indexOf(token.at(-1) ?? '') + 1]
/** A token of exactly that length whose signature holds: three lengths of a header make up for what base64 leaves out. */
const ofLength = (length: number) => {
  for (const pad of ['', 'x', 'xx']) {
    const make = (bytes: number) => hsToken({ pad: 'x'.repeat(bytes) }, { ...hs, pad })
    const bytes = Math.floor(((length - make(0).length) * 3) / 4)
    const found = [bytes - 1, bytes, bytes + 1].map(make).find((token) => token.length === length)
    if (found !== undefined) return found
  }
  throw new Error(`there is no token of ${length} bytes`)
}

const urls = { attacker: '' }
const asked: string[] = []
const attackersServer = Bun.serve({
  port: 0,
  hostname: '127.0.0.1',
  fetch: (request) => {
    asked.push(request.url)
    const keys = [{ ...jwkOf(attacker.rsa.publicKey), kid: 'evil-1' }]
    return Response.json({ keys, jwks_uri: `${urls.attacker}/keys`, issuer: urls.attacker })
  },
})
urls.attacker = attackersServer.url.href

const INVALID = ['401 invalid_token', '4501'] as const
/** Another token of the same client would do, or the same one later. */
const AGAIN = ['401 unauthenticated', '4401'] as const

type Outcome = typeof INVALID | typeof AGAIN
type Row = readonly [name: string, token: string, outcome: Outcome]

const families: Record<string, readonly Row[]> = {
  alg: [
    ['none, without a signature', forge('{"alg":"none"}', goodText, nobody), INVALID],
    ['none, with a signature of the secret', forge('{"alg":"none"}', goodText, bySecret), INVALID],
    ['None in another case', forge('{"alg":"nOnE"}', goodText, bySecret), INVALID],
    ['lower case of one that is configured', forge('{"alg":"hs256"}', goodText, bySecret), INVALID],
    ['missing', forge('{"typ":"JWT"}', goodText, bySecret), INVALID],
    ['null', forge('{"alg":null}', goodText, bySecret), INVALID],
    ['a list that holds a good one', forge('{"alg":["HS256"]}', goodText, bySecret), INVALID],
    ['with a space behind', forge('{"alg":"HS256 "}', goodText, bySecret), INVALID],
    ['twice, the last is none', forge('{"alg":"HS256","alg":"none"}', goodText, bySecret), INVALID],
    ['of SHA-1', signedBy('RS1', 'rsa-1', rsa(ours.rsa.privateKey, 'sha1')), INVALID],
    ['of a curve that no key is on', signedBy('ES256K', 'ec-1', ecdsa(ours.ec.privateKey)), INVALID],
    ['HS512 over a signature of HS256', hsToken({}, { alg: 'HS512' }), INVALID],
    [
      'of encryption, in five parts',
      `${base64url('{"alg":"dir","enc":"A256GCM"}')}..AAAA.AAAA.AAAA`,
      INVALID,
    ],
  ],
  'public key as secret': [
    ['its PEM', hsToken({}, { alg: 'HS256', kid: 'rsa-1' }, hmac(pem('spki'))), INVALID],
    ['its PKCS #1 PEM', hsToken({}, hs, hmac(pem('pkcs1'))), INVALID],
    ['its PEM without the last newline', hsToken({}, hs, hmac(String(pem('spki')).trimEnd())), INVALID],
    ['its DER', hsToken({}, hs, hmac(der)), INVALID],
    ['its JWK as text', hsToken({}, hs, hmac(JSON.stringify(keySet.keys[0]))), INVALID],
    ['its modulus', hsToken({}, hs, hmac(Buffer.from(modulus, 'base64url'))), INVALID],
    [
      'x of a curve point',
      hsToken({}, { alg: 'HS256', kid: 'ec-1' }, hmac(Buffer.from(ecX, 'base64url'))),
      INVALID,
    ],
    ['the symmetric key of the set', hsToken({}, { alg: 'HS256', kid: 'oct-1' }, hmac(octSecret)), INVALID],
    ['nothing as secret', hsToken({}, hs, hmac('')), INVALID],
  ],
  'kind of key': [
    ['of one key, algorithm of another', signedBy('RS256', 'ec-1', rsa(ours.rsa.privateKey)), AGAIN],
    ['PS256 by a key that is for RS256', signedBy('PS256', 'rsa-1', rsaPss(ours.rsa.privateKey)), AGAIN],
    ['an RSA key of 1024 bits', signedBy('RS256', 'weak-1', rsa(ours.weak.privateKey)), AGAIN],
    ['a key for encryption', signedBy('RS256', 'enc-1', rsa(ours.enc.privateKey)), AGAIN],
    [
      'a private key that was published',
      signedBy('EdDSA', 'leaked-1', ed25519(attacker.ed.privateKey)),
      AGAIN,
    ],
    ['a symmetric key by its kid', signedBy('RS256', 'oct-1', rsa(attacker.rsa.privateKey)), AGAIN],
  ],
  kid: [
    ['unknown', signedBy('RS256', 'evil-1', rsa(attacker.rsa.privateKey)), AGAIN],
    ['of ours over a foreign signature', signedBy('RS256', 'rsa-1', rsa(attacker.rsa.privateKey)), INVALID],
    ['of our other key', signedBy('RS256', 'rsa-1', rsa(ours.rsa2.privateKey)), INVALID],
    [
      'missing where several keys could be meant',
      forge('{"alg":"RS256"}', goodText, rsa(ours.rsa.privateKey)),
      INVALID,
    ],
    ['a path to an empty file', hsToken({}, { alg: 'HS256', kid: '../../../dev/null' }, hmac('\0')), INVALID],
    ['SQL that gives a key', hsToken({}, { alg: 'HS256', kid: "' UNION SELECT 'k" }, hmac('k')), INVALID],
    ["a property of every object's", signedBy('RS256', '__proto__', rsa(attacker.rsa.privateKey)), AGAIN],
    ['empty', signedBy('RS256', '', rsa(ours.rsa.privateKey)), INVALID],
    ['longer than 256', signedBy('RS256', 'k'.repeat(257), rsa(ours.rsa.privateKey)), INVALID],
    ['a number', forge('{"alg":"RS256","kid":1}', goodText, rsa(ours.rsa.privateKey)), INVALID],
    ['an address', signedBy('RS256', `${urls.attacker}key.pem`, rsa(attacker.rsa.privateKey)), AGAIN],
  ],
  'keys brought along': [
    ['jku', signedBy('RS256', 'evil-1', rsa(attacker.rsa.privateKey), {}, { jku: urls.attacker }), AGAIN],
    [
      'jku beside a kid of ours',
      signedBy('RS256', 'rsa-1', rsa(attacker.rsa.privateKey), {}, { jku: urls.attacker }),
      INVALID,
    ],
    ['x5u', signedBy('RS256', 'rsa-1', rsa(attacker.rsa.privateKey), {}, { x5u: urls.attacker }), INVALID],
    [
      'jwk',
      signedBy('RS256', 'rsa-1', rsa(attacker.rsa.privateKey), {}, { jwk: jwkOf(attacker.rsa.publicKey) }),
      INVALID,
    ],
    [
      'jwk that is symmetric',
      hsToken({}, { ...hs, jwk: { kty: 'oct', k: base64url('k') } }, hmac('k')),
      INVALID,
    ],
    ['x5c', signedBy('ES256', 'ec-1', ecdsa(attacker.ec.privateKey), {}, { x5c: ['MIIB'] }), INVALID],
    [
      'an issuer whose metadata name keys',
      signedBy('RS256', 'evil-1', rsa(attacker.rsa.privateKey), { iss: urls.attacker }),
      INVALID,
    ],
  ],
  crit: [
    ['of a claim', hsToken({}, { ...hs, crit: ['exp'], exp: now }), INVALID],
    ['of a payload as usual', hsToken({}, { ...hs, crit: ['b64'], b64: true }), INVALID],
    ['of a payload unencoded', hsToken({}, { ...hs, crit: ['b64'], b64: false }), INVALID],
    ['of nothing', hsToken({}, { ...hs, crit: [] }), INVALID],
  ],
  typ: [
    ['of another kind of token', hsToken({}, { alg: 'HS256', typ: 'dpop+jwt' }), INVALID],
    ['that only begins as ours', hsToken({}, { alg: 'HS256', typ: 'JWT2' }), INVALID],
    ['of another media type', hsToken({}, { alg: 'HS256', typ: 'text/jwt' }), INVALID],
    ['empty', hsToken({}, { alg: 'HS256', typ: '' }), INVALID],
    ['a list', hsToken({}, { alg: 'HS256', typ: ['JWT'] }), INVALID],
    ['a token within a token', hsText(good, '{"alg":"HS256","cty":"JWT"}'), INVALID],
  ],
  'iss and aud': [
    ['no iss', hsToken({ iss: undefined }), INVALID],
    ['another iss, signed by our secret', hsToken({ iss: 'https://id.other.example' }), INVALID],
    [
      'another iss with our kid, signed by its key',
      signedBy('RS256', 'rsa-1', rsa(attacker.rsa.privateKey), { iss: 'https://id.other.example' }),
      INVALID,
    ],
    [
      'iss with a slash behind',
      signedBy('RS256', 'rsa-1', rsa(ours.rsa.privateKey), { iss: `${issuer}/` }),
      INVALID,
    ],
    ['iss as a list', signedBy('RS256', 'rsa-1', rsa(ours.rsa.privateKey), { iss: [issuer] }), INVALID],
    ['no aud', hsToken({ aud: undefined }), INVALID],
    ['aud of another service', hsToken({ aud: 'billing' }), INVALID],
    ['aud in another case', hsToken({ aud: 'Lightwire' }), INVALID],
    ['aud that holds ours as a part', hsToken({ aud: 'billing lightwire' }), INVALID],
    ['aud as a list without ours', hsToken({ aud: [] }), INVALID],
    ['aud as a list of ours and a number', hsToken({ aud: ['lightwire', 1] }), INVALID],
    ['aud as a map', hsToken({ aud: { lightwire: true } }), INVALID],
  ],
  times: [
    ['no exp', hsToken({ exp: undefined }), INVALID],
    ['exp as text', hsToken({ exp: String(now + 60) }), INVALID],
    ['exp null', hsToken({ exp: null }), INVALID],
    ['exp beyond every date', hsToken({ exp: 1e300 }), INVALID],
    ['exp beyond every number', rawClaim('exp', '1e999'), INVALID],
    ['exp NaN', rawClaim('exp', 'NaN'), INVALID],
    ['exp negative', hsToken({ exp: -1 }), AGAIN],
    ['exp just past the leeway', hsToken({ exp: now - 5 }), AGAIN],
    ['exp twice, the last is past', rawClaim('exp', String(now - 60)), AGAIN],
    ['nbf past the leeway', hsToken({ nbf: now + 6 }), INVALID],
    ['nbf as text', hsToken({ nbf: 'yesterday' }), INVALID],
    ['nbf negative', hsToken({ nbf: -1 }), INVALID],
    ['iat past the leeway', hsToken({ iat: now + 5.5 }), INVALID],
    ['iat as a list', hsToken({ iat: [now] }), INVALID],
    ['iat beyond every number', rawClaim('iat', '-1e999'), INVALID],
  ],
  'what it says': [
    ['no sub', hsToken({ sub: undefined }), INVALID],
    ['sub as a map', hsToken({ sub: { id: 'anna' } }), INVALID],
    ['sub empty', hsToken({ sub: '' }), INVALID],
    ['sub longer than 256', hsToken({ sub: 'a'.repeat(257) }), INVALID],
    ['sub with U+0000', hsToken({ sub: 'anna\0admin' }), INVALID],
    ['sub with half a character', hsText(goodText.replace('anna', '\\ud83d')), INVALID],
    ['scope as a list', hsToken({ scope: ['admin'] }), INVALID],
    ['scope as a map', hsToken({ scope: { admin: true } }), INVALID],
    ['scope with U+0000', hsToken({ scope: 'api:read\0 admin' }), INVALID],
    ['scope longer than 4096', hsToken({ scope: 'a'.repeat(4097) }), INVALID],
    ['grants as a map', hsToken({ grants: { channel: 'photos' } }), INVALID],
    ['grants without a channel', hsToken({ grants: [{ where: { session_id: 1 } }] }), INVALID],
    ['grants with a text as condition', hsToken({ grants: [{ channel: 'photos', where: '1=1' }] }), INVALID],
    ['jti as a number', hsToken({ jti: 7 }), INVALID],
    ['jti with U+0000', hsToken({ jti: 'a\0b' }), INVALID],
    ['jti empty', hsToken({ jti: '' }), INVALID],
    ['a list of claims', hsText(JSON.stringify([claims])), INVALID],
    ['nothing', hsText('null'), INVALID],
  ],
  'size and form': [
    ['8193 bytes', ofLength(8193), INVALID],
    ['8000 bytes of dots', '.'.repeat(8000), INVALID],
    ['two parts', `${goodHeader}.${goodPayload}`, INVALID],
    ['four parts', `${good}.${goodSignature}`, INVALID],
    ['an empty payload', forge(JSON.stringify(hs), '', bySecret), INVALID],
    [
      'JSON serialization',
      JSON.stringify({ protected: goodHeader, payload: goodPayload, signature: goodSignature }),
      INVALID,
    ],
  ],
  encoding: [
    ['padded', `${goodHeader}.${goodPayload}.${goodSignature}=`, INVALID],
    ['bits beyond the last byte', otherSpelling(good), INVALID],
    [
      'the other base64 alphabet',
      forge('{"alg":"HS256"}', '{"sub":"\u00bf\u00ff?>~"}', bySecret)
        .replaceAll('_', '/')
        .replaceAll('-', '+'),
      INVALID,
    ],
    ['a percent sign for a dot', good.replaceAll('.', '%2E'), INVALID],
    [
      'a header that is no UTF-8',
      hsText(goodText, Buffer.from('{"alg":"HS256","x":"\xff"}', 'latin1')),
      INVALID,
    ],
    [
      'a payload that is no UTF-8',
      hsText(Buffer.from(goodText.replace('anna', 'ann\xe9'), 'latin1')),
      INVALID,
    ],
    ['a payload in UTF-16', hsText(Buffer.from(goodText, 'utf16le')), INVALID],
    ['a byte order mark before the header', hsText(goodText, `\ufeff${JSON.stringify(hs)}`), INVALID],
    ['a comma before the last brace', hsText(goodText.replace(/\}$/, ',}')), INVALID],
    ['a comment in the payload', hsText(goodText.replace(/\}$/, '/**/}')), INVALID],
  ],
  altered: [
    ['in the header', altered(good, 5), INVALID],
    ['in the payload', altered(good, goodHeader.length + 40), INVALID],
    ['in the signature', altered(good, good.length - 10), INVALID],
    ['signature cut short', good.slice(0, -4), INVALID],
    [
      'signature of another token',
      `${goodHeader}.${goodPayload}.${hsToken({ sub: 'bob' }).split('.')[2]}`,
      INVALID,
    ],
    ['RSA signature left out', signedBy('RS256', 'rsa-1', nobody), INVALID],
    ['a curve signature of zeros', signedBy('ES256', 'ec-1', () => Buffer.alloc(64)), INVALID],
    ['a curve signature in DER', signedBy('ES256', 'ec-1', ecdsa(ours.ec.privateKey, 'der')), INVALID],
    ['an Ed25519 signature of zeros', signedBy('EdDSA', 'ed-1', () => Buffer.alloc(64)), INVALID],
  ],
}

/** Header lines that are more, or less, than one token. */
const headerRows: readonly (readonly [
  name: string,
  lines: readonly string[],
  rest: string,
  socket: string,
])[] = [
  ['no token', [], '401 unauthenticated', 'open'],
  ['a token in a cookie', [`Cookie: token=${good}`], '401 unauthenticated', 'open'],
  ['two that are good', [`Authorization: Bearer ${good}`, `Authorization: Bearer ${good}`], ...INVALID],
  ['a good one before a bad one', [`Authorization: Bearer ${good}`, 'Authorization: Bearer x'], ...INVALID],
  ['two in one line', [`Authorization: Bearer ${good} ${good}`], ...INVALID],
  ['another scheme', [`Authorization: Basic ${good}`], ...INVALID],
  ['no scheme', [`Authorization: ${good}`], ...INVALID],
  ['a scheme alone', ['Authorization: Bearer '], ...INVALID],
  ['a quoted token', [`Authorization: Bearer "${good}"`], ...INVALID],
  ['bytes beyond ASCII', [`Authorization: Bearer ${good}\xe9`], ...INVALID],
  [
    'a bad header beside a good subprotocol',
    ['Authorization: Bearer x', `Sec-WebSocket-Protocol: lightwire.v1.json, bearer.${good}`],
    ...INVALID,
  ],
  [
    'a bad subprotocol',
    ['Sec-WebSocket-Protocol: lightwire.v1.json, bearer.x'],
    '401 unauthenticated',
    '4501',
  ],
  [
    'a bad subprotocol before a good one',
    [`Sec-WebSocket-Protocol: lightwire.v1.json, bearer.x, bearer.${good}`],
    '401 unauthenticated',
    '4501',
  ],
  [
    'a token as the only subprotocol',
    [`Sec-WebSocket-Protocol: bearer.${good}`],
    '401 unauthenticated',
    '400 unsupported_protocol',
  ],
]

const accepted: readonly (readonly [name: string, token: string])[] = [
  ['HS256', good],
  ['HS384', hsToken({}, { alg: 'HS384' }, hmac(secret, 'sha384'))],
  ['HS512', hsToken({}, { alg: 'HS512' }, hmac(secret, 'sha512'))],
  ['the previous secret', hsToken({}, hs, hmac(previousSecret))],
  ['RS256', signedBy('RS256', 'rsa-1', rsa(ours.rsa.privateKey))],
  ['RS512 by a key of any RSA algorithm', signedBy('RS512', 'rsa-2', rsa(ours.rsa2.privateKey, 'sha512'))],
  ['PS256', signedBy('PS256', 'rsa-2', rsaPss(ours.rsa2.privateKey))],
  ['ES256', signedBy('ES256', 'ec-1', ecdsa(ours.ec.privateKey))],
  [
    'ES256 without a kid, the only key of its kind',
    forge('{"alg":"ES256"}', goodText, ecdsa(ours.ec.privateKey)),
  ],
  ['EdDSA', signedBy('EdDSA', 'ed-1', ed25519(ours.ed.privateKey))],
  [
    'a jku that is not followed',
    signedBy('ES256', 'ec-1', ecdsa(ours.ec.privateKey), {}, { jku: urls.attacker }),
  ],
  ['typ in another case', hsToken({}, { alg: 'HS256', typ: 'jwt' })],
  ['an access token by its whole media type', hsToken({}, { alg: 'HS256', typ: 'application/AT+JWT' })],
  ['aud as a list with ours', hsToken({ aud: ['billing', 'lightwire'] })],
  ['nbf and iat within the leeway', hsToken({ nbf: now + 5, iat: now + 5 })],
  ['exp within the leeway', hsToken({ exp: now - 4 })],
  ['a member twice, the last counts', rawClaim('exp', String(now + 30))],
  ['8192 bytes', ofLength(8192)],
  ['a grant', hsToken({ grants: [{ channel: 'photos', where: { session_id: 12 } }] })],
]

const folder = temporaryFolder()
let server: TestServer
beforeAll(async () => {
  const path = join(folder.path, 'keys.json')
  writeFileSync(path, JSON.stringify(keySet))
  server = await startTestServer(
    {
      JWT_SECRET: secret,
      JWT_PREVIOUS_SECRET: previousSecret,
      JWKS_FILE: path,
      JWT_ISSUER: issuer,
      JWT_AUDIENCE: 'lightwire',
    },
    { now: () => new Date(nowMs) },
  )
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await attackersServer.stop(true)
  folder[Symbol.dispose]()
})

/** What becomes of a token over REST, at the upgrade, and as the first message: status with code, close code, code with close code. */
async function outcomes(token: string): Promise<string[]> {
  const lines = [`Authorization: Bearer ${token}`]
  const client = new TestClient({ url: server.socketUrl })
  await client.next('connection_established')
  client.send({ type: 'auth', token })
  const reply = await client.next(({ type }) => type === 'error' || type === 'authenticated')
  const end = reply.type === 'error' ? `${String(reply['code'])} ${(await client.closed).code}` : reply.type
  client.terminate()
  return [await restOutcome(server.url, lines), await socketOutcome(server.url, lines), end]
}

for (const [family, rows] of Object.entries(families)) {
  test.each(rows.map((row) => [...row] as const))(
    `${family}: %s is refused`,
    async (_, token, [status, close]) => {
      expect(await outcomes(token)).toEqual([status, close, `${status.slice(4)} ${close}`])
    },
  )
}

test.each(headerRows.map((row) => [...row] as const))(
  '%s is answered as it should be',
  async (_, lines, rest, socket) => {
    expect(await restOutcome(server.url, lines)).toBe(rest)
    expect(await socketOutcome(server.url, lines)).toBe(socket)
  },
)

test.each(accepted.map((row) => [...row] as const))('%s is accepted', async (_, token) => {
  expect(await outcomes(token)).toEqual(['200', 'open', 'authenticated'])
})

test('a token in the query string is refused, though it is good', async () => {
  expect(await restOutcome(server.url, [], `/api/sessions?access_token=${good}`)).toBe('401 unauthenticated')
  expect(await socketOutcome(server.url, [], `/ws?token=${good}`)).toBe('400 invalid_message')
})

test('the rows are many, and none is there twice', () => {
  const tokens = Object.values(families).flatMap((rows) => rows.map(([, token]) => token))

  expect(tokens.length).toBeGreaterThan(100)
  expect(new Set(tokens).size).toBe(tokens.length)
})

test('the server that would hand out the attacker’s key was never asked', async () => {
  expect(asked).toEqual([])

  // It would have answered.
  await fetch(urls.attacker)
  expect(asked).toHaveLength(1)
})

test.each([
  ['by its jti, signed by the secret', hsToken({ jti: 'stolen', sub: 'carl' }), { jti: 'stolen' }],
  [
    'by its jti, signed by the issuer',
    signedBy('ES256', 'ec-1', ecdsa(ours.ec.privateKey), { jti: 'taken', sub: 'dora' }),
    { jti: 'taken' },
  ],
  [
    'with all of its subject',
    signedBy('EdDSA', 'ed-1', ed25519(ours.ed.privateKey), { sub: 'emil' }),
    { subject: 'emil' },
  ],
  ['with all of its subject, without iat', hsToken({ sub: 'fred', iat: undefined }), { subject: 'fred' }],
])('a token revoked %s is refused from then on', async (_, token, what) => {
  expect(await outcomes(token)).toEqual(['200', 'open', 'authenticated'])

  const revoked = await server.api('POST', '/api/tokens/revoke', what)

  expect(revoked.status).toBe(200)
  expect(await outcomes(token)).toEqual(['401 invalid_token', '4501', 'invalid_token 4501'])
})
