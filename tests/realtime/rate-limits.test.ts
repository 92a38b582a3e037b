/** Rates and bounds of sockets, with a clock that only the test moves. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import type { Config } from '../../lib/settings.ts'
import type { Message } from '../support/client.ts'
import { startTestServer, type TestServer } from '../support/server.ts'

setDefaultTimeout(60_000)

const perTenSeconds = (limit: number) => ({ limit, windowMs: 10_000 })

async function startClocked(config: Partial<Config>) {
  const clock = { ms: 1000 }
  const server = await startTestServer(config, { monotonicMs: () => clock.ms })
  return { clock, server, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

/** What an upgrade without a client behind it is answered with. */
async function upgrade(server: TestServer, headers: Record<string, string> = {}) {
  const response = await fetch(`${server.url}/ws`, {
    headers: {
      Upgrade: 'websocket',
      Connection: 'Upgrade',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
      ...headers,
    },
  })
  return { status: response.status, retryAfter: response.headers.get('retry-after') }
}

test('a message over the limit is refused with its id and not acted on; the next window takes it', async () => {
  await using started = await startClocked({ RATE_MESSAGES: perTenSeconds(3) })
  const { clock, server } = started
  const client = await server.connect()
  await client.sync()
  clock.ms += 2000
  await client.subscribe(['jobs'])
  await client.sync()

  client.send({ type: 'subscribe', channels: ['jobs', 'photos'], id: 'fourth' })
  const refused = await client.next((message) => message['id'] === 'fourth')

  expect(refused).toMatchObject({ type: 'error', code: 'rate_limited', retry_after_ms: 8000 })
  clock.ms += 8000
  expect(await client.request({ type: 'unsubscribe', channels: [] })).toMatchObject({ type: 'error' })
  clock.ms += 2000
  expect(await client.request({ type: 'subscribe', channels: ['queue'] })).toMatchObject({
    channels: ['jobs', 'queue'],
  })
})

test('the third refusal within a window closes with 4429, which says when to come back', async () => {
  await using started = await startClocked({ RATE_MESSAGES: perTenSeconds(5) })
  const client = await started.server.connect()
  for (let count = 0; count < 12; count += 1) client.send({ type: 'ping', id: count })

  const { code } = await client.closed

  expect(code).toBe(4429)
  const errors = client.received.filter(({ type }) => type === 'error')
  expect(errors.map(({ id }) => id)).toEqual([5, 6, 7])
  expect(client.received.filter(({ type }) => type === 'pong')).toHaveLength(5)
  expect(client.received.at(-1)).toMatchObject({
    type: 'disconnect',
    code: 4429,
    reconnect: true,
    retry_after_ms: 10_000,
  })
})

test('refusals a window apart do not add up', async () => {
  await using started = await startClocked({ RATE_MESSAGES: perTenSeconds(1) })
  const client = await started.server.connect()
  for (let round = 0; round < 4; round += 1) {
    expect(await client.request({ type: 'ping' })).toMatchObject({ type: 'pong' })
    expect(await client.request({ type: 'ping' })).toMatchObject({ code: 'rate_limited' })
    expect(await client.request({ type: 'ping' })).toMatchObject({ code: 'rate_limited' })
    started.clock.ms += 10_000
  }
})

test('each connection has its own limit, in every framing', async () => {
  await using started = await startClocked({ RATE_MESSAGES: perTenSeconds(1) })
  for (const framing of ['json', 'msgpack', 'deflate'] as const) {
    const client = await started.server.connect({ framing })
    expect(await client.request({ type: 'ping' })).toMatchObject({ type: 'pong' })
    expect(await client.request({ type: 'ping' })).toMatchObject({
      code: 'rate_limited',
      retry_after_ms: 10_000,
    })
  }
})

test('what cannot be read counts as a message too', async () => {
  await using started = await startClocked({ RATE_MESSAGES: perTenSeconds(2) })
  const client = await started.server.connect()
  for (let count = 0; count < 5; count += 1) client.sendRaw('{')

  const { code } = await client.closed

  expect(code).toBe(4429)
  expect(client.received.flatMap((message) => message['code'] ?? [])).toEqual([
    'invalid_message',
    'invalid_message',
    'rate_limited',
    'rate_limited',
    'rate_limited',
    4429,
  ])
})

test('a flood of protocol pings ends its socket', async () => {
  await using started = await startClocked({ RATE_MESSAGES: perTenSeconds(10) })
  const { server } = started
  const socket = new WebSocket(server.socketUrl, {
    headers: { Authorization: `Bearer ${server.token}` },
  } as never)
  const closed = new Promise<number>((resolve) => (socket.onclose = ({ code }) => resolve(code)))
  await new Promise((resolve) => (socket.onopen = resolve))
  for (let count = 0; count < 20; count += 1) (socket as unknown as { ping(): void }).ping()

  expect(await closed).toBe(4429)
})

test('a polling session has the same limit, and a fresh one after it ended', async () => {
  await using started = await startClocked({ RATE_MESSAGES: perTenSeconds(1) })
  const { api } = started.server
  const { body: session } = await api<{ client_id: string }>('POST', '/ws/handshake', {
    client_type: 'lightroom',
  })
  const client_id = session.client_id
  const say = async () =>
    (await api<{ response: Message }>('POST', '/ws/send', { client_id, message: { type: 'ping' } })).body

  const answers = [await say(), await say(), await say(), await say()]

  expect(answers.map(({ response }) => response.type)).toEqual(['pong', 'error', 'error', 'error'])
  expect(answers[1]?.response).toMatchObject({ code: 'rate_limited', retry_after_ms: 10_000 })
  expect((await api('POST', '/ws/send', { client_id, message: { type: 'ping' } })).status).toBe(404)
  const { body } = await api<{ messages: Message[] }>('GET', `/ws/poll?client_id=${client_id}`)
  expect(body.messages[0]?.type).toBe('connection_established')
})

test('upgrades without a good token are limited by address; those with one are not', async () => {
  await using started = await startClocked({ RATE_CONNECTIONS: perTenSeconds(2) })
  const { clock, server } = started
  await server.connect({ token: null })
  const bad = await server.connect({ token: 'no token' })
  await bad.closed

  expect(await upgrade(server)).toEqual({ status: 429, retryAfter: '10' })
  for (let count = 0; count < 5; count += 1) await server.connect()
  clock.ms += 10_000
  await server.connect({ token: null })
})

test('an upgrade with a token is a request of its subject', async () => {
  await using started = await startClocked({ RATE_REQUESTS: perTenSeconds(2) })
  const { server } = started
  await server.connect()
  expect((await server.api('GET', '/api/queue')).headers.get('ratelimit')).toBe('"requests";r=0;t=10')

  expect(await upgrade(server, { Authorization: `Bearer ${server.token}` })).toEqual({
    status: 429,
    retryAfter: '10',
  })
})

test('bad tokens in an auth message count as those in a header do', async () => {
  await using started = await startClocked({ RATE_AUTH_FAILURES: perTenSeconds(1) })
  const { server } = started
  const first = await server.connect({ token: null })
  first.send({ type: 'auth', token: 'bad' })
  expect((await first.closed).code).toBe(4501)

  const second = await server.connect({ token: null })
  second.send({ type: 'auth', token: server.token })

  expect(await second.next('error')).toMatchObject({ code: 'rate_limited', retry_after_ms: 10_000 })
  expect((await second.closed).code).toBe(4429)
})

test('clients are bounded in all, by subject and by address, over every transport; one that goes makes room', async () => {
  for (const name of [
    'MAX_CONNECTIONS',
    'MAX_CONNECTIONS_PER_SUBJECT',
    'MAX_CONNECTIONS_PER_ADDRESS',
  ] as const) {
    await using server = await startTestServer({ [name]: 2 })
    const authorized = { Authorization: `Bearer ${server.token}` }
    const first = await server.connect()
    await server.connect()
    const statuses = [
      (await upgrade(server, authorized)).status,
      (await server.api('GET', '/api/events/stream')).status,
      (await server.api('POST', '/ws/handshake', { client_type: 'lightroom' })).status,
    ]
    expect(statuses).toEqual([503, 503, 503])

    first.terminate()
    let status = 503
    while (status === 503) {
      status = (await server.api('POST', '/ws/handshake', { client_type: 'lightroom' })).status
    }
    expect(status).toBe(200)
  }
})

test('sockets without a token are bounded; one that shows it makes room, if its subject has any', async () => {
  await using server = await startTestServer({ MAX_UNAUTHENTICATED: 1, MAX_CONNECTIONS_PER_SUBJECT: 1 })
  const first = await server.connect({ token: null })
  expect(await upgrade(server)).toEqual({ status: 503, retryAfter: '5' })
  expect(await first.request({ type: 'auth', token: server.token })).toMatchObject({ type: 'authenticated' })

  const second = await server.connect({ token: null })
  second.send({ type: 'auth', token: server.token })

  expect(await second.next('error')).toMatchObject({ code: 'too_many_connections' })
  expect(await second.closed).toMatchObject({ code: 4430 })
  const other = await server.connect({ token: null })
  await other.request({ type: 'auth', token: await server.tokenFor('events:read', 'other') })
})
