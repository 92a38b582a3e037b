import { expect, setDefaultTimeout, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { startTestServer, type TestServer } from '../support/server.ts'
import { TestStream } from '../support/event-stream.ts'
import { publishProgress } from '../realtime/batches.ts'

setDefaultTimeout(60_000)

async function open(
  server: TestServer,
  query: Record<string, string> = {},
  headers: Record<string, string> = {},
): Promise<TestStream> {
  const stream = await tryOpen(server, query, headers)
  if (!(stream instanceof TestStream)) throw new Error(`refused: ${JSON.stringify(stream)}`)
  return stream
}

const tryOpen = (
  server: TestServer,
  query: Record<string, string> = {},
  headers: Record<string, string> = {},
) =>
  TestStream.open({
    url: `${server.url}/api/events/stream?${new URLSearchParams(query)}`,
    headers: { Authorization: `Bearer ${server.token}`, ...headers },
  })

const seqs = (stream: TestStream) => stream.events.map(({ data }) => data['seq'])

test('a stream gives each event as it happens, with the cursor after it as its id', async () => {
  await using server = await startTestServer()
  await publishProgress(server, [['before', 1]])
  await using stream = await open(server, { channels: 'jobs,photos' })

  await publishProgress(server, [
    ['a', 1],
    ['a', 2],
  ])
  await server.api('POST', '/api/photos', { file_path: '/x/1.jpg' })
  await stream.until(() => stream.events.length === 3)

  expect(stream.retryMs).toBe(1000)
  expect(stream.events.map(({ type }) => type)).toEqual(['job_progress', 'job_progress', 'photo_imported'])
  expect(seqs(stream)).toEqual([2, 3, 1])
  expect(stream.events.map(({ id }) => id.split(':')[1])).toEqual([
    'jobs=2,photos=0',
    'jobs=3,photos=0',
    'jobs=3,photos=1',
  ])
})

test('a stream that comes back with its last id goes on exactly there, whatever since says', async () => {
  await using server = await startTestServer({ TAIL_BYTES: 65_536 })
  const first = await open(server, { channels: 'jobs' })
  const { id } = first
  await first[Symbol.asyncDispose]()
  for (let n = 0; n < 10; n += 1) {
    await publishProgress(
      server,
      Array.from({ length: 200 }, (_, m) => ['a', m % 100] as const),
    )
  }

  await using back = await open(server, { channels: 'jobs', since: 'abc:jobs=1' }, { 'Last-Event-ID': id })
  await using since = await open(server, { channels: 'jobs', since: id })
  await Promise.all([back, since].map((stream) => stream.until(() => stream.events.length === 2000)))

  const all = Array.from({ length: 2000 }, (_, n) => n + 1)
  expect(seqs(back)).toEqual(all)
  expect(seqs(since)).toEqual(all)
})

test('a filtered stream moves its id over what it passes by', async () => {
  await using server = await startTestServer()
  await using stream = await open(server, { channels: 'jobs', where: '{"job_id":"b"}' })

  await publishProgress(server, [
    ['a', 1],
    ['b', 2],
    ['a', 3],
    ['b', 4],
    ['a', 5],
  ])
  await stream.until(() => stream.id.endsWith('jobs=5'))

  expect(seqs(stream)).toEqual([2, 4])
})

test('an ephemeral message comes as an event of its own without an id, and takes none from what follows', async () => {
  await using server = await startTestServer()
  await using stream = await open(server, { channels: 'jobs' })

  await server.api('POST', '/api/websocket/broadcast', { message: { type: 'lunch', at: 12 } })
  await publishProgress(server, [['a', 1]])
  await stream.until(() => stream.events.some(({ type }) => type === 'job_progress'))

  expect(stream.events.map(({ type }) => type)).toEqual(['lunch', 'job_progress'])
  expect(stream.events.map(({ id }) => id.split(':')[1])).toEqual(['jobs=0', 'jobs=1'])
  expect(stream.events[0]?.data).toMatchObject({ type: 'lunch', at: 12 })
})

test('what cannot be streamed is refused before the stream begins', async () => {
  await using server = await startTestServer()
  const jobsOnly = { Authorization: `Bearer ${await server.tokenFor('events:read:jobs')}` }

  const answers = [
    await tryOpen(server, { channels: 'photos' }, jobsOnly),
    await tryOpen(server, {}, { Authorization: `Bearer ${await server.tokenFor('api:read')}` }),
    await tryOpen(server, {}, { Authorization: 'Bearer nonsense' }),
    await tryOpen(server, { channels: 'nothing' }),
    await tryOpen(server, { since: 'abc:jobs=7' }),
    await tryOpen(server, {}, { 'Last-Event-ID': 'nonsense' }),
    await tryOpen(server, { where: '{"colour":1}' }),
    await tryOpen(server, { limit: '5' }),
  ]

  expect(answers.map((answer) => ('status' in answer ? answer.status : 200))).toEqual([
    403, 403, 401, 404, 410, 400, 400, 400,
  ])
})

test('a quiet stream gets comments with its position', async () => {
  let nowMs = 0
  await using server = await startTestServer({}, { monotonicMs: () => nowMs })
  await using stream = await open(server, { channels: 'jobs' })

  nowMs += 15_000
  await stream.until(() => stream.comments === 1)

  expect(stream.id).toEndWith(':jobs=0')
})

test('a stream is a client that operators see, disconnect and revoke', async () => {
  await using server = await startTestServer()
  const token = await server.tokenFor('events:read', 'browser')
  const asBrowser = { Authorization: `Bearer ${token}` }
  const stream = await open(server, { channels: 'jobs' }, asBrowser)
  const { body } = await server.api<{ clients: { id: string; transport: string; channels: string[] }[] }>(
    'GET',
    '/api/websocket/clients?subject=browser',
  )
  const [client] = body.clients

  await server.api('POST', `/api/websocket/disconnect/${client?.id}`, { reconnect: true })
  await stream.ended
  const second = await open(server, { channels: 'jobs' }, asBrowser)
  await server.api('POST', '/api/tokens/revoke', { subject: 'browser' })
  await second.ended
  const after = await server.api<{ count: number }>('GET', '/api/websocket/clients?subject=browser')

  expect(client).toMatchObject({ transport: 'sse', channels: ['jobs'] })
  expect(stream.events.at(-1)).toMatchObject({ type: 'disconnect', data: { code: 1012, reconnect: true } })
  expect(second.events.at(-1)).toMatchObject({ type: 'disconnect', data: { code: 4503 } })
  expect(await tryOpen(server, {}, asBrowser)).toMatchObject({ status: 401 })
  expect(after.body.count).toBe(0)
})

test("an operator's words on a stream are one event of their own, and no orders to the browser", async () => {
  await using server = await startTestServer()
  await using stream = await open(server, { channels: 'system' })
  const forged = 'event: system_status\ndata: {"type":"system_status","channel":"system","seq":1}\n\n'
  const say = (message: object) => server.api('POST', '/api/websocket/broadcast', { message })

  const answers = [
    await say({ type: `notice\nid: nonsense\n${forged}` }),
    await say({ type: 'notice', retry_after_ms: `1\n${forged}`, text: `\n\n${forged}` }),
    await say({ type: 'notice', retry_after_ms: 86_400_000 }),
    await server.api('POST', '/api/events', { type: 'system_status', status: 'real' }),
  ]
  await stream.until(() => stream.events.length === 3)

  expect(answers.map(({ status }) => status)).toEqual([400, 200, 200, 201])
  expect(stream.events.map(({ type, data }) => [type, data['status'], data['text']])).toEqual([
    ['notice', undefined, `\n\n${forged}`],
    ['notice', undefined, undefined],
    ['system_status', 'real', undefined],
  ])
  expect(stream.retryMs).toBe(1000)
  expect(stream.id).toEndWith(':system=1')
})

test('a stream that its client leaves is gone at once', async () => {
  await using server = await startTestServer()
  const stream = await open(server)
  await stream[Symbol.asyncDispose]()

  // What the client's going away sets off is over when a later request was answered.
  let count = 1
  for (let n = 0; n < 100 && count > 0; n += 1) {
    count = (await server.api<{ count: number }>('GET', '/api/websocket/clients')).body.count
  }

  expect(count).toBe(0)
})

test('a stream that takes nothing costs bounded memory, and is complete when it reads again', async () => {
  await using server = await startTestServer()
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
  socket.pause()
  socket.write(
    `GET /api/events/stream?channels=system HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${server.token}\r\n\r\n`,
  )
  const unsent = async () => {
    const { body } = await server.api<{ clients: { queued_bytes: number }[] }>(
      'GET',
      '/api/websocket/clients',
    )
    return body.clients[0]?.queued_bytes
  }
  while ((await unsent()) === undefined);

  const text = 'x'.repeat(3900)
  for (let n = 0; n < 100; n += 1) {
    const many = Array.from({ length: 100 }, () => ({
      type: 'error_occurred',
      error_type: 't',
      error_message: text,
    }))
    await server.api('POST', '/api/events', many)
  }
  const held = await unsent()
  let received = ''
  socket.setEncoding('utf8')
  socket.on('data', (chunk) => (received += String(chunk)))
  const complete = new Promise<void>((resolve) =>
    socket.on('data', () => received.includes('system=10000\n') && resolve()),
  )
  socket.resume()
  await complete
  socket.destroy()

  const ids = [...received.matchAll(/"seq":(\d+)/g)].map(([, seq]) => Number(seq))
  expect(held).toBeLessThan(1_000_000)
  expect(ids).toEqual(Array.from({ length: 10_000 }, (_, n) => n + 1))
})

test('filters of streams are among the 32 of their subject', async () => {
  await using server = await startTestServer()
  const streams: TestStream[] = []
  for (let n = 0; n < 32; n += 1) streams.push(await open(server, { where: `{"job_id":"${n}"}` }))

  const refused = await tryOpen(server, { where: '{"job_id":"one more"}' })
  const same = await open(server, { where: '{"job_id":{"in":["1"]}}' })
  const { body } = await server.api<{ count: number }>('GET', '/api/websocket/clients')
  for (const stream of [...streams, same]) await stream[Symbol.asyncDispose]()

  expect(refused).toMatchObject({ status: 429, body: { code: 'too_many_subscriptions' } })
  expect(body.count).toBe(33)
})

test('HEAD asks what a stream is and opens none', async () => {
  await using server = await startTestServer()
  const headers = { Authorization: `Bearer ${server.token}` }

  const answer = await fetch(`${server.url}/api/events/stream`, { method: 'HEAD', headers })
  const { body } = await server.api<{ count: number }>('GET', '/api/websocket/clients')

  expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/event-stream'])
  expect(body.count).toBe(0)
})

test.skipIf(process.platform !== 'linux')(
  'who takes nothing for 30 s loses its stream, and its connection too',
  async () => {
    let nowMs = 0
    // A jump of half a heartbeat would be taken for a server that stood still.
    await using server = await startTestServer({ HEARTBEAT: 600_000 }, { monotonicMs: () => nowMs })
    const port = Number(new URL(server.url).port)
    const socket = connect(port, '127.0.0.1')
    socket.pause()
    socket.write(
      `GET /api/events/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${server.token}\r\n\r\n`,
    )
    const clients = async () =>
      (await server.api<{ clients: { queued_bytes: number }[] }>('GET', '/api/websocket/clients')).body
        .clients
    const event = { type: 'error_occurred', error_type: 't', error_message: 'x'.repeat(3900) }
    // Until neither kernel nor server take more.
    while (((await clients())[0]?.queued_bytes ?? 0) < 200_000)
      await server.api(
        'POST',
        '/api/events',
        Array.from({ length: 100 }, () => event),
      )

    while ((await clients()).length > 0) {
      // Liveness looks every second: once to see that it stands still, once that it stood for long.
      nowMs += 31_000
      await Bun.sleep(200)
    }
    while (isEstablished(port, socket.localPort)) await Bun.sleep(100)
    socket.destroy()
  },
)

/** Whether the server still holds its end of a connection, as the kernel tells. */
function isEstablished(serverPort: number, clientPort = 0): boolean {
  const hex = (port: number) => `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  const lines = readFileSync('/proc/net/tcp', 'utf8').split('\n')
  return lines.some((line) => {
    const [, local = '', remote = '', state] = line.trim().split(/\s+/)
    return local.endsWith(hex(serverPort)) && remote.endsWith(hex(clientPort)) && state === '01'
  })
}
