/** Keys of an outside issuer: rotated, withdrawn, unreachable, too large, too slow, elsewhere, in a file. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createIssuerKeys, fetchKeySet, keysFromUrl } from '../../lib/access/jwks.ts'
import { parseKeySet } from '../../lib/access/key-set.ts'
import { startTestServer, temporaryFolder, type TestServer } from '../support/server.ts'
import { ecPair, edPair, jwkOf, rsaPair } from './forge.ts'
import { AUDIENCE, ISSUER, startIssuer, type Issuer } from './issuer.ts'

setDefaultTimeout(60_000)

const COOL_DOWN_MS = 30_000
const REFRESH_MS = 300_000
const DAY_MS = 86_400_000
const running = new AbortController().signal
const silent = { onKeysLoaded: () => undefined, onKeysChanged: () => undefined, onKeysFault: () => undefined }

const trust = { JWT_ISSUER: ISSUER, JWT_AUDIENCE: AUDIENCE }
const startWith = (issuer: Issuer, clock: { ms: number } = { ms: 0 }) =>
  startTestServer({ ...trust, JWKS_URL: issuer.url }, { monotonicMs: () => clock.ms })

async function statusOf(server: TestServer, token: string): Promise<string> {
  const { status, body } = await server.apiAs(token)<{ code?: string }>('GET', '/api/sessions')
  return body.code === undefined ? String(status) : `${status} ${body.code}`
}

test('a server with an issuer takes its tokens, issues none and has no secret', async () => {
  await using issuer = startIssuer()
  await using server = await startWith(issuer)
  const api = server.apiAs(issuer.token())

  const issued = await api<{ code: string; detail: string }>('POST', '/api/tokens', {
    subject: 'bob',
    scope: 'api:read',
    expires_in: 60,
  })

  expect(await statusOf(server, issuer.token())).toBe('200')
  expect([issued.status, issued.body.code]).toEqual([409, 'conflict'])
  expect(issued.body.detail).toContain('no secret to sign with')
  expect(await Bun.file(join(server.folder, 'secret')).exists()).toBe(false)
  expect(server.server.issueToken({ subject: 'x', scope: '', expiresInMs: 1000 })).rejects.toThrow(
    'no secret',
  )
})

test('with a secret configured as well, it issues and takes tokens of both', async () => {
  await using issuer = startIssuer()
  await using server = await startTestServer({ ...trust, JWKS_URL: issuer.url, JWT_SECRET: 's'.repeat(32) })

  expect([await statusOf(server, server.token), await statusOf(server, issuer.token())]).toEqual([
    '200',
    '200',
  ])
})

test('a secret that is replaced verifies until it is forgotten, and signs nothing', async () => {
  using folder = temporaryFolder()
  const [before, after] = ['b'.repeat(40), 'a'.repeat(40)]
  const start = (secrets: object) => startTestServer({ DATA_DIR: folder.path, ...secrets })
  const first = await start({ JWT_SECRET: before })
  const old = first.token
  await first[Symbol.asyncDispose]()

  const second = await start({ JWT_SECRET: after, JWT_PREVIOUS_SECRET: before })
  const seen = [await statusOf(second, old), await statusOf(second, second.token)]
  const newer = second.token
  await second[Symbol.asyncDispose]()
  await using third = await start({ JWT_SECRET: after })

  expect(seen).toEqual(['200', '200'])
  expect(await statusOf(third, old)).toBe('401 invalid_token')
  expect(await statusOf(third, newer)).toBe('200')
})

test('a new key is fetched when a token names it, at most once in a cool-down', async () => {
  await using issuer = startIssuer()
  const clock = { ms: 0 }
  await using server = await startWith(issuer, clock)
  expect(await statusOf(server, issuer.token())).toBe('200')
  const old = issuer.token()
  issuer.rotate('first', 'second')

  const tooSoon = [await statusOf(server, issuer.token()), issuer.asked]
  clock.ms += COOL_DOWN_MS
  const inTime = [await statusOf(server, issuer.token()), issuer.asked]
  const guesses = ['guess-1', 'guess-2', 'guess-3'].map((kid) => statusOf(server, issuer.token({}, kid)))

  expect(tooSoon).toEqual(['401 unauthenticated', 1])
  expect(inTime).toEqual(['200', 2])
  expect(await Promise.all(guesses)).toEqual(Array(3).fill('401 unauthenticated'))
  expect(await statusOf(server, old)).toBe('200')
  expect(issuer.asked).toBe(2)
  clock.ms += COOL_DOWN_MS
  const later = Array.from({ length: 20 }, (_, n) => statusOf(server, issuer.token({}, `late-${n}`)))
  expect(await Promise.all(later)).toEqual(Array(20).fill('401 unauthenticated'))
  expect(issuer.asked).toBe(3)
})

test('a token of another issuer is refused before anybody is asked for its key', async () => {
  await using issuer = startIssuer()
  const clock = { ms: 0 }
  await using server = await startWith(issuer, clock)
  expect(await statusOf(server, issuer.token())).toBe('200')
  clock.ms += COOL_DOWN_MS

  expect(await statusOf(server, issuer.token({ iss: 'https://elsewhere.example' }, 'unknown'))).toBe(
    '401 invalid_token',
  )

  expect(issuer.asked).toBe(1)
})

test('a key that the issuer withdraws ends within the refresh, for tokens that were already taken too', async () => {
  await using issuer = startIssuer()
  const clock = { ms: 0 }
  await using server = await startWith(issuer, clock)
  const token = issuer.token()
  expect(await statusOf(server, token)).toBe('200')
  issuer.rotate('second')

  clock.ms += REFRESH_MS
  await until(() => statusOf(server, token), '401 unauthenticated')

  expect(await statusOf(server, issuer.token())).toBe('200')
})

test('while the issuer is down its last good keys are used for a day, and no longer', async () => {
  await using issuer = startIssuer()
  const clock = { ms: 0 }
  await using server = await startWith(issuer, clock)
  expect(await statusOf(server, issuer.token())).toBe('200')
  issuer.misbehave(() => new Response('no', { status: 503 }))

  clock.ms += DAY_MS - 1000
  await until(async () => (issuer.asked > 1 ? 'asked' : ''), 'asked')
  const almost = await statusOf(server, issuer.token())
  clock.ms += 1000
  const tooLong = await statusOf(server, issuer.token())
  const { headers } = await fetch(`${server.url}/metrics`)
  const metrics = await (await fetch(`${server.url}/metrics`)).text()
  issuer.misbehave(undefined)
  clock.ms += COOL_DOWN_MS

  expect(almost).toBe('200')
  expect(tooLong).toBe('401 unauthenticated')
  expect(headers.get('content-type')).toContain('text/plain')
  expect(metrics).toMatch(/lightwire_jwks_loads_total\{result="failed"\} [1-9]/)
  expect(metrics).toMatch(/lightwire_jwks_age_seconds 86400/)
  expect(await statusOf(server, issuer.token())).toBe('200')
})

test('an issuer that is down at the start is asked again, and its tokens are told to come again', async () => {
  await using issuer = startIssuer()
  issuer.misbehave(() => new Response('no', { status: 500 }))
  const clock = { ms: 0 }
  await using server = await startWith(issuer, clock)

  const early = await statusOf(server, issuer.token())
  issuer.misbehave(undefined)
  const tooSoon = await statusOf(server, issuer.token())
  // Much sooner than where there is a set: nobody gets in until there is one.
  clock.ms += 2000

  expect([early, tooSoon]).toEqual(['401 unauthenticated', '401 unauthenticated'])
  expect(await statusOf(server, issuer.token())).toBe('200')
})

test('whoever comes first after a start finds the keys there, however slow the issuer', async () => {
  await using issuer = startIssuer()
  const slow = Promise.withResolvers<Response>()
  issuer.misbehave(() => slow.promise)
  const starting = startWith(issuer)
  // Long enough for a server that would not wait.
  const early = await Promise.race([starting, Bun.sleep(400).then(() => 'not yet')])
  expect(early).toBe('not yet')
  slow.resolve(new Response(issuer.keySet()))
  await using server = await starting

  const statuses = Array.from({ length: 100 }, (_, n) =>
    statusOf(server, issuer.token({ sub: `phone ${n}` })),
  )

  expect([...new Set(await Promise.all(statuses))]).toEqual(['200'])
  expect(issuer.asked).toBe(1)
})

test('an answer that is no good changes nothing, and is told once', async () => {
  await using issuer = startIssuer()
  const clock = { ms: 0 }
  const told: string[] = []
  const keys = keysFromUrl(issuer.url, {
    ...silent,
    onKeysFault: (error) => void told.push(String(error)),
    monotonicMs: () => clock.ms,
    stopping: running,
  })
  const kids = async () => (await keys.find('ES256', undefined)).map(({ kid }) => kid)
  expect(await kids()).toEqual(['first'])
  const answers: [answer: () => Response, fault: string][] = [
    [() => new Response('<html>'), 'KeySetFault: no JSON'],
    [() => Response.json({ keys: 'none' }), 'KeySetFault: no JWK Set of at most 100 keys'],
    [() => new Response(' '.repeat(70_000)), 'KeySetFault: larger than 65536 bytes'],
    [() => Response.json({ keys: Array(101).fill({}) }), 'KeySetFault: no JWK Set of at most 100 keys'],
    [() => new Response(null, { status: 204 }), 'KeySetFault: the issuer answered 204'],
    [
      () => new Response(Bun.gzipSync(issuer.keySet()), { headers: { 'Content-Encoding': 'gzip' } }),
      'KeySetFault: no JSON',
    ],
  ]

  for (const [answer] of answers) {
    issuer.misbehave(answer)
    for (const _ of [1, 2]) {
      clock.ms += REFRESH_MS
      await keys.refresh()
    }
  }

  expect(told).toEqual(answers.map(([, fault]) => fault))
  expect(await kids()).toEqual(['first'])
  expect(issuer.asked).toBe(1 + 2 * answers.length)
})

test('a redirect is not followed', async () => {
  await using elsewhere = startIssuer()
  await using issuer = startIssuer()
  issuer.misbehave(() => Response.redirect(elsewhere.url, 302))

  await expect(fetchKeySet(issuer.url, { stopping: running })).rejects.toThrow('answered 302')

  expect(elsewhere.asked).toBe(0)
})

test('an answer without an end is given up and hung up on, by its size or by its time', async () => {
  await using issuer = startIssuer()
  /** Resolves when the one who asked has hung up. */
  const answerWithoutEnd = (bytes: number, pauseMs: number) =>
    new Promise<void>((resolve) =>
      issuer.misbehave(({ signal }) => {
        signal.addEventListener('abort', () => resolve())
        return new Response(
          new ReadableStream({
            async pull(stream) {
              stream.enqueue(new Uint8Array(bytes).fill(32))
              await Bun.sleep(pauseMs)
            },
          }),
        )
      }),
    )

  const large = answerWithoutEnd(16_384, 0)
  await expect(fetchKeySet(issuer.url, { stopping: running })).rejects.toThrow('larger than 65536 bytes')
  await large
  const slow = answerWithoutEnd(1, 20)
  await expect(fetchKeySet(issuer.url, { stopping: running, fetchMsMax: 300 })).rejects.toThrow(/timed out/)
  await slow
})

test('an issuer that never answers holds nobody up whose key is known', async () => {
  await using issuer = startIssuer()
  const clock = { ms: 0 }
  await using server = await startWith(issuer, clock)
  const token = issuer.token()
  expect(await statusOf(server, token)).toBe('200')
  const never = Promise.withResolvers<Response>()
  issuer.misbehave(() => never.promise)
  clock.ms += COOL_DOWN_MS

  const unknown = statusOf(server, issuer.token({}, 'unknown'))
  await until(async () => String(issuer.asked), '2')
  const known = await Promise.race([statusOf(server, issuer.token({ sub: 'bob' }, 'first')), unknown])

  expect(known).toBe('200')
  never.resolve(new Response(issuer.keySet()))
  expect(await unknown).toBe('401 unauthenticated')
})

test('while an issuer does not answer, 32 wait for its keys and everybody else is told to come again', async () => {
  await using issuer = startIssuer()
  const clock = { ms: 0 }
  await using server = await startWith(issuer, clock)
  await until(async () => String(issuer.asked), '1')
  const never = Promise.withResolvers<Response>()
  let isGivenUp = false
  issuer.misbehave(({ signal }) => {
    signal.addEventListener('abort', () => (isGivenUp = true))
    return never.promise
  })
  clock.ms += COOL_DOWN_MS

  // Good tokens, of a key that is newer than the set.
  issuer.rotate('first', 'second')
  const answered: string[] = []
  const all = Array.from({ length: 40 }, async () => {
    answered.push(await statusOf(server, issuer.token()))
  })
  await until(async () => String(answered.length >= 8), 'true')
  const socket = await server.connect({ token: issuer.token() })
  const { code } = await socket.closed

  expect([answered, isGivenUp]).toEqual([Array(8).fill('503 too_many_connections'), false])
  expect([code, socket.received.at(-1)]).toEqual([4430, expect.objectContaining({ reconnect: true })])
  never.resolve(new Response(issuer.keySet()))
  await Promise.all(all)
  expect(answered.slice(8)).toEqual(Array(32).fill('200'))
})

test('a file is read again when it changes; a broken one leaves the keys as they are', async () => {
  using folder = temporaryFolder()
  await using issuer = startIssuer()
  const path = join(folder.path, 'keys.json')
  writeFileSync(path, issuer.keySet())
  await using server = await startTestServer({ ...trust, JWKS_FILE: path })
  const first = issuer.token()
  expect(await statusOf(server, first)).toBe('200')

  issuer.rotate('first', 'second')
  writeFileSync(`${path}.new`, issuer.keySet())
  renameSync(`${path}.new`, path)
  // At once: a token that names it makes the server look.
  const second = await statusOf(server, issuer.token())
  writeFileSync(path, '{"keys": [')
  const broken = [await statusOf(server, issuer.token({}, 'third')), await statusOf(server, first)]
  issuer.rotate('third')
  writeFileSync(path, issuer.keySet())
  await until(() => statusOf(server, first), '401 unauthenticated')

  expect(second).toBe('200')
  expect(broken).toEqual(['401 unauthenticated', '200'])
  expect(await statusOf(server, issuer.token())).toBe('200')
  expect(issuer.asked).toBe(0)
})

test('a set in which no key is left withdraws them all', async () => {
  const clock = { ms: 0 }
  const texts = [JSON.stringify({ keys: [{ ...jwkOf(edPair().publicKey), kid: 'e' }] }), '{"keys":[]}']
  const load = () => Promise.resolve(texts.shift() ?? '')
  const keys = createIssuerKeys({ ...silent, load, stopping: running, monotonicMs: () => clock.ms })
  expect(await keys.find('EdDSA', 'e')).toHaveLength(1)
  const version = keys.version()

  clock.ms += REFRESH_MS
  await keys.refresh()

  expect(await keys.find('EdDSA', 'e')).toEqual([])
  expect(keys.version()).toBe(version + 1)
})

test('each key of a set has the algorithms of its kind; what is no public signing key is left out', () => {
  const rsa = jwkOf(rsaPair().publicKey)
  const ec = jwkOf(ecPair().publicKey)
  const members: [member: unknown, outcome: string][] = [
    [{ ...rsa, kid: 'a' }, 'RS256 RS384 RS512 PS256 PS384 PS512'],
    [{ ...rsa, kid: 'b', alg: 'PS384' }, 'PS384'],
    [{ ...jwkOf(ecPair('P-384').publicKey), kid: 'c' }, 'ES384'],
    [{ ...jwkOf(ecPair('P-521').publicKey), kid: 'd' }, 'ES512'],
    [{ ...jwkOf(edPair().publicKey), kid: 'e', alg: 'EdDSA' }, 'EdDSA Ed25519'],
    [{ ...rsa, alg: 'HS256' }, 'keys.5: alg is none of RS256, RS384, RS512, PS256, PS384, PS512'],
    [{ ...rsa, alg: 'RSA-OAEP' }, 'keys.6: alg is none of RS256, RS384, RS512, PS256, PS384, PS512'],
    [{ ...rsa, use: 'enc' }, 'keys.7: use: not as a signing key of this kind has it'],
    [{ ...rsa, key_ops: ['sign'] }, 'keys.8: key_ops: not as a signing key of this kind has it'],
    [{ kty: 'oct', k: 'c2VjcmV0' }, 'keys.9: kty is none of RSA, EC, OKP'],
    [jwkOf(ecPair().privateKey), 'keys.10: it is a private key'],
    [{ ...ec, x: ec.y }, 'keys.11: its numbers make no public key'],
    [{ ...ec, crv: 'secp256k1' }, 'keys.12: crv: not as a signing key of this kind has it'],
    [jwkOf(rsaPair(1024).publicKey), 'keys.13: RSA of 1024 bits, expected 2048 to 8192'],
    [{ ...rsa, kid: 7 }, 'keys.14: kid: not as a signing key of this kind has it'],
    ['a text', 'keys.15: : not as a signing key of this kind has it'],
  ]

  const { keys, ignored } = parseKeySet(JSON.stringify({ keys: members.map(([member]) => member) }))

  expect([...keys.map(({ algorithms }) => algorithms.join(' ')), ...ignored]).toEqual(
    members.map(([, outcome]) => outcome),
  )
  expect(Object.keys(keys[0]?.jwk ?? {}).toSorted()).toEqual(['e', 'kty', 'n'])
})

/** Asks until the answer is that one; the test's own timeout is the bound. */
async function until(ask: () => Promise<string>, wanted: string): Promise<void> {
  while ((await ask()) !== wanted) await new Promise((resolve) => setTimeout(resolve, 20))
}
