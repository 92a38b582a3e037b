/** Rates and bounds over HTTP, with a clock that only the test moves. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { createConnection, type Socket } from 'node:net'
import type { Config } from '../../lib/settings.ts'
import { startTestServer } from '../support/server.ts'

setDefaultTimeout(60_000)

const METRICS_TOKEN = 'a-token-for-metrics'
const perTenSeconds = (limit: number) => ({ limit, windowMs: 10_000 })

async function startClocked(config: Partial<Config>) {
  const clock = { ms: 1000 }
  const server = await startTestServer(config, { monotonicMs: () => clock.ms })
  return { clock, server, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

test('a subject gets 429 with where it stands when its requests are used up, and others do not', async () => {
  await using started = await startClocked({ RATE_REQUESTS: perTenSeconds(3) })
  const { clock, server } = started
  const ann = server.apiAs(await server.tokenFor('api:read', 'ann'))
  const bob = server.apiAs(await server.tokenFor('api:read', 'bob'))
  const standings: (string | null)[] = []
  for (let count = 0; count < 3; count += 1) {
    clock.ms += 1000
    standings.push((await ann('GET', '/api/queue')).headers.get('ratelimit'))
  }

  const refused = await ann<{ code: string; title: string; detail: string }>('GET', '/api/queue')

  expect(standings).toEqual(['"requests";r=2;t=10', '"requests";r=1;t=10', '"requests";r=0;t=8'])
  expect(refused.status).toBe(429)
  expect(refused.body).toMatchObject({ code: 'rate_limited', title: 'Too Many Requests', status: 429 })
  expect(refused.headers.get('content-type')).toBe('application/problem+json')
  expect(refused.headers.get('retry-after')).toBe('8')
  expect(refused.headers.get('ratelimit')).toBe('"requests";r=0;t=8')
  expect(refused.headers.get('ratelimit-policy')).toBe('"requests";q=3;w=10')
  expect(refused.cursor).not.toBeNull()
  expect((await bob('GET', '/api/queue')).status).toBe(200)
  clock.ms += 7999
  expect((await ann('GET', '/api/queue')).status).toBe(429)
  clock.ms += 1
  expect((await ann('GET', '/api/queue')).status).toBe(200)
})

test('a refused request changes nothing', async () => {
  await using started = await startClocked({ RATE_REQUESTS: perTenSeconds(2) })
  const { api } = started.server
  const statuses: number[] = []
  for (const name of ['a', 'b', 'c']) {
    statuses.push((await api('POST', '/api/sessions', { name, import_folder: '/x' })).status)
  }
  started.clock.ms += 10_000

  const { body } = await api<{ total: number }>('GET', '/api/sessions')

  expect(statuses).toEqual([201, 201, 429])
  expect(body.total).toBe(2)
})

test('health and ready are never refused; documents and what is not there count by address', async () => {
  await using started = await startClocked({ RATE_REQUESTS: perTenSeconds(3) })
  const { apiAs, api, url } = started.server
  const stranger = apiAs(undefined)
  for (let count = 0; count < 20; count += 1) {
    expect((await stranger('GET', '/api/system/health')).status).toBe(200)
    expect((await stranger('GET', '/api/system/ready')).status).toBe(200)
  }
  const statuses = [
    (await fetch(`${url}/docs`)).status,
    (await stranger('GET', '/nowhere')).status,
    (await stranger('GET', '/api/queue')).status,
    (await fetch(`${url}/docs`)).status,
    (await stranger('GET', '/nowhere')).status,
    (await stranger('GET', '/api/queue')).status,
  ]

  expect(statuses).toEqual([200, 404, 401, 429, 429, 429])
  expect((await api('GET', '/api/queue')).status).toBe(200)
})

test('too many bad tokens from an address, and no token of it is looked at for a window', async () => {
  await using started = await startClocked({ RATE_AUTH_FAILURES: perTenSeconds(2), METRICS_TOKEN })
  const { clock, server } = started
  const bad = server.apiAs(`${server.token.slice(0, -3)}abc`)
  const codes: string[] = []
  for (let count = 0; count < 3; count += 1) {
    codes.push((await bad<{ code: string }>('GET', '/api/queue')).body.code)
  }

  expect(codes).toEqual(['invalid_token', 'invalid_token', 'rate_limited'])
  const good = await server.api<{ code: string }>('GET', '/api/queue')
  expect([good.status, good.body.code, good.headers.get('retry-after')]).toEqual([429, 'rate_limited', '10'])
  const upgrade = await fetch(`${server.url}/ws`, {
    headers: { Upgrade: 'websocket', Connection: 'Upgrade', Authorization: `Bearer ${server.token}` },
  })
  expect(upgrade.status).toBe(429)
  const metrics = async (token: string) =>
    (await fetch(`${server.url}/metrics`, { headers: { Authorization: `Bearer ${token}` } })).status
  // Nobody finds out by trying which one would have been right.
  expect([await metrics('x'), await metrics(METRICS_TOKEN)]).toEqual([429, 429])
  clock.ms += 10_000
  expect(await metrics(METRICS_TOKEN)).toBe(200)
  expect((await server.api('GET', '/api/queue')).status).toBe(200)
})

test('behind a trusted proxy each client is counted apart, and nobody else can say who it is', async () => {
  const rate = { RATE_REQUESTS: perTenSeconds(1) }
  const ask = async (url: string, client: string) =>
    (await fetch(`${url}/api/queue`, { headers: { 'X-Forwarded-For': client } })).status
  await using trusting = await startClocked({ ...rate, TRUSTED_PROXIES: ['127.0.0.1'] })
  await using wary = await startClocked(rate)

  const through: number[] = []
  const claimed: number[] = []
  for (const client of ['203.0.113.1', '203.0.113.2', '203.0.113.1']) {
    through.push(await ask(trusting.server.url, client))
    claimed.push(await ask(wary.server.url, client))
  }

  expect(through).toEqual([401, 401, 429])
  expect(claimed).toEqual([401, 429, 429])
})

test('a forwarded request is never local, whatever proxy is trusted', async () => {
  await using started = await startClocked({ LOCAL_SCOPE: 'api:read', TRUSTED_PROXIES: ['127.0.0.1'] })
  const { url } = started.server

  expect((await fetch(`${url}/api/queue`)).status).toBe(200)
  expect((await fetch(`${url}/api/queue`, { headers: { 'X-Forwarded-For': '127.0.0.1' } })).status).toBe(401)
})

test('pages of other origins may read where they stand', async () => {
  await using started = await startClocked({ ALLOWED_ORIGINS: ['https://studio.example'] })

  const { headers } = await fetch(`${started.server.url}/api/queue`, {
    headers: { Authorization: `Bearer ${started.server.token}`, Origin: 'https://studio.example' },
  })

  const exposed = headers.get('access-control-expose-headers')?.split(',') ?? []
  expect(exposed).toEqual(expect.arrayContaining(['RateLimit', 'RateLimit-Policy', 'Retry-After']))
})

test('without a limit nobody is told of one', async () => {
  await using server = await startTestServer()

  const { headers } = await server.api('GET', '/api/queue')

  expect([headers.get('ratelimit'), headers.get('ratelimit-policy')]).toEqual([null, null])
})

test('requests that wait take a place each, and give it back', async () => {
  await using server = await startTestServer({ MAX_CONNECTIONS_PER_SUBJECT: 2 })
  const waits = ['/api/events?wait=20&since=', '/api/events?wait=20&since=']
  const { cursor } = await server.api('GET', '/api/queue')
  const held = waits.map((path) => server.api('GET', `${path}${encodeURIComponent(cursor ?? '')}`))

  // Held until something happens: asked again until both are in.
  let status = 200
  while (status === 200) status = (await server.api('GET', '/api/events?limit=1')).status
  const claim = await server.api<{ code: string }>('POST', '/api/jobs/claim', { worker: 'w' })
  const stream = await server.api('GET', '/api/events/stream')
  await server.api('POST', '/api/system/status', { status: 'woken' })

  expect((await Promise.all(held)).map((answer) => answer.status)).toEqual([200, 200])
  expect([status, claim.status, claim.body.code, stream.status]).toEqual([
    503,
    503,
    'too_many_connections',
    503,
  ])
  expect((await server.api('POST', '/api/jobs/claim', { worker: 'w' })).status).toBe(200)
})

test('bodies under way are bounded: one subject has half, and 503 says when to come again', async () => {
  await using server = await startTestServer({ MAX_BODY_BYTES: 65_536, MAX_PENDING_BYTES: 131_072 })
  const other = server.apiAs(await server.tokenFor('api:write', 'other'))
  const body = { name: 'x', import_folder: '/x' }
  const { hostname, port } = new URL(server.url)
  const slow: Socket[] = []
  /** Sends the headers of a large body and not its end. Where a small one was under way it is refused, and comes again. */
  const begin = () => {
    const socket = createConnection(Number(port), hostname)
    slow.push(socket)
    socket.on('error', () => undefined)
    socket.on('data', begin)
    socket.write(
      `POST /api/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${server.token}\r\n` +
        'Content-Type: application/json\r\nContent-Length: 65536\r\n\r\n{',
    )
  }
  begin()

  let refused = await server.api<{ code: string }>('POST', '/api/sessions', body)
  for (let index = 0; refused.status === 201; index += 1) {
    refused = await server.api('POST', '/api/sessions', { ...body, name: `x${index}` })
  }

  expect([refused.status, refused.body.code]).toEqual([503, 'storage_unavailable'])
  expect(refused.headers.get('retry-after')).toBe('1')
  expect((await other('POST', '/api/sessions', { ...body, name: 'other' })).status).toBe(201)
  for (const socket of slow) socket.destroy()
  let after = refused.status
  while (after === 503) after = (await server.api('POST', '/api/sessions', { ...body, name: 'after' })).status
  expect(after).toBe(201)
})

test('a body of no said length counts as what it was once it was read, also while its request waits', async () => {
  const bounds = { MAX_BODY_BYTES: 65_536, MAX_PENDING_BYTES: 131_072, MAX_CONNECTIONS_PER_SUBJECT: 1 }
  await using server = await startTestServer(bounds)
  const { hostname, port } = new URL(server.url)
  // Of a length that is not said beforehand it counts as the largest: half of all that may be under way.
  const worker = createConnection(Number(port), hostname)
  worker.write(
    `POST /api/jobs/claim?wait=30 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${server.token}\r\n` +
      'Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\ne\r\n{"worker":"w"}\r\n0\r\n\r\n',
  )
  let claimed = ''
  worker.on('data', (data) => (claimed += data.toString()))
  const { api } = server
  // It has the only place while it waits.
  while ((await api('GET', '/api/events?limit=1')).status !== 503);

  let status = 503
  while (status === 503)
    status = (await api('POST', '/api/sessions', { name: 'x', import_folder: '/x' })).status

  expect([status, claimed]).toEqual([201, ''])
  worker.destroy()
})

/** What a raw request is answered with, until the server closes. */
function exchange(url: string, text: string): Promise<string> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve) => {
    let answer = ''
    const socket = createConnection(Number(port), hostname, () => socket.write(text))
    socket.on('data', (data) => (answer += data.toString()))
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(answer))
  })
}

test('headers and path together have at most 16 KiB, and there are at most 200 of them', async () => {
  await using server = await startTestServer()
  const get = (path: string, headers: string) =>
    exchange(server.url, `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n${headers}\r\n`)
  const many = (count: number) => Array.from({ length: count }, (_, index) => `X-${index}: 1\r\n`).join('')

  const [small, header, path, number] = await Promise.all([
    get('/api/system/ready', `X-Long: ${'x'.repeat(15_000)}\r\n`),
    get('/api/system/ready', `X-Long: ${'x'.repeat(17_000)}\r\n`),
    get(`/${'x'.repeat(17_000)}`, ''),
    get('/api/system/ready', many(210)),
  ])

  expect(small).toStartWith('HTTP/1.1 200')
  for (const answer of [header, path, number]) expect(answer).toStartWith('HTTP/1.1 431')
})
