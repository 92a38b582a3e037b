/** A trace tells what one client was sent, how and when: the same that the client saw, without what was said. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import type { TraceState } from '../../lib/realtime/traces.ts'
import type { Message, TestClient } from '../support/client.ts'
import { startTestServer, type TestServer } from '../support/server.ts'

setDefaultTimeout(60_000)

const pathOf = (id: string) => `/api/websocket/clients/${id}/trace`

async function traced(
  server: TestServer,
  options: Parameters<TestServer['connect']>[0] = {},
): Promise<{ client: TestClient; id: string }> {
  const client = await server.connect(options)
  const { client_id } = await client.next('connection_established')
  const id = String(client_id)
  expect((await server.api('POST', pathOf(id))).status).toBe(200)
  return { client, id }
}

async function entriesOf(server: TestServer, id: string, query = '') {
  const { body } = await server.api<TraceState>('GET', `${pathOf(id)}${query}`)
  return body.entries
}

const publish = (server: TestServer, status: string) =>
  server.api('POST', '/api/system/status', { status, details: { secret: 'what was said' } })

/** What a client saw, in the words of a trace. */
const seen = ({ type, channel, seq, after, upto, events }: Message) =>
  type === 'batch'
    ? ['batch', channel, after, upto, (events as unknown[]).length]
    : seq === undefined || type === 'published'
      ? [type, null, null, null, 0]
      : [type, channel, Number(seq) - 1, seq, 1]

const told = ({ type, channel, after, upto, events }: TraceState['entries'][number]) => [
  type,
  channel,
  after,
  upto,
  events,
]

test.each(['json', 'msgpack', 'deflate'] as const)(
  'over %s the trace is what the client received, live and from the journal',
  async (framing) => {
    await using server = await startTestServer({ COALESCE_MS: 0 })
    await publish(server, 'before')
    const { client, id } = await traced(server, { framing })
    const other = await server.connect()
    // In other topics of the same channels.
    await other.subscribe(['system', 'jobs', 'photos'])

    const epoch = String((await client.subscribe(['jobs']))['cursor']).split(':')[0]
    await client.subscribe(['system'], `${epoch}:system=0`)
    await client.sync()
    for (const status of ['a', 'b']) await publish(server, status)
    await client.request({ type: 'subscribe', channels: ['photos'], batch_ms: 0, conflate: true })
    await server.api('POST', '/api/photos', [{ file_path: '/1' }, { file_path: '/2' }])
    await server.api('POST', '/api/websocket/broadcast', { message: { type: 'look_here', text: 'said' } })
    await client.sync()

    const entries = await entriesOf(server, id)
    // The greeting went before.
    expect(entries.map(told)).toEqual(client.received.slice(1).map(seen) as ReturnType<typeof told>[])
    const ways = (type: string) => entries.filter((entry) => entry.type === type).map(({ via }) => via)
    expect(ways('system_status')).toEqual(['journal', 'topic', 'topic'])
    expect([ways('batch'), ways('look_here'), ways('pong')]).toEqual([
      ['topic'],
      ['direct'],
      ['direct', 'direct'],
    ])
    expect(entries.map(({ number }) => number)).toEqual(entries.map((_, at) => at + 1))
    expect(JSON.stringify(entries)).not.toContain('said')
    // Of the frames that the client got, with a header of ten bytes at most.
    const sizes = client.frames.slice(1).map((frame) => Buffer.byteLength(frame))
    expect(entries.map(({ bytes }) => bytes - 10)).toEqual(sizes)
  },
)

test('a request that waits is answered by the next send, and when the client leaves', async () => {
  await using server = await startTestServer()
  const { client, id } = await traced(server)
  await client.subscribe(['system'])
  const before = await entriesOf(server, id)

  const next = entriesOf(server, id, `?after=${before.length}&wait=30`)
  await publish(server, 'a')
  const entries = await next
  const gone = server.api<TraceState>('GET', `${pathOf(id)}?after=${before.length + entries.length}&wait=30`)
  client.close()
  const { status, body } = await gone
  const afterwards = await server.api<TraceState>('GET', pathOf(id))

  expect(entries.map(({ type }) => type)).toEqual(['system_status'])
  expect([status, body.connected, body.entries]).toEqual([200, false, []])
  expect(afterwards.body.entries.length).toBe(before.length + 1)
})

test('only who is asked for is traced, until nobody asked for five minutes', async () => {
  let elapsedMs = 0
  await using server = await startTestServer(
    { HEARTBEAT: 600_000 },
    { monotonicMs: () => performance.now() + elapsedMs },
  )
  const { client, id } = await traced(server)
  const other = await server.connect()
  const { client_id: otherId } = await other.next('connection_established')
  await client.subscribe(['system'])
  await other.subscribe(['system'])
  await publish(server, 'a')
  await other.sync()
  await client.sync()

  const untraced = await server.api('GET', pathOf(String(otherId)))
  const nobody = await server.api('POST', pathOf('f'.repeat(32)))
  const entries = await entriesOf(server, id)
  elapsedMs += 299_000
  const still = await server.api('GET', pathOf(id))
  elapsedMs += 299_000
  const again = await server.api('GET', pathOf(id))
  elapsedMs += 301_000
  const ended = await server.api('GET', pathOf(id))

  expect([untraced, nobody, still, again, ended].map(({ status }) => status)).toEqual([
    404, 404, 200, 200, 404,
  ])
  expect(entries.map(({ type }) => type)).toEqual(['subscription_confirmed', 'system_status', 'pong'])
})

test('a trace keeps the newest hundred sends, and sixteen clients are traced at most', async () => {
  await using server = await startTestServer()
  const { client, id } = await traced(server)
  for (let sent = 0; sent < 130; sent += 1) client.send({ type: 'ping' })
  await client.sync()

  const entries = await entriesOf(server, id)
  const others = await Promise.all(Array.from({ length: 15 }, () => traced(server)))
  const all = await server.api('GET', pathOf(id))
  await traced(server)
  const statuses = await Promise.all(
    [...others, { id }].map(async (one) => (await server.api('GET', pathOf(one.id))).status),
  )

  expect(entries.map(({ number }) => number)).toEqual(Array.from({ length: 100 }, (_, at) => at + 32))
  expect(all.status).toBe(200)
  expect(statuses.filter((status) => status === 404).length).toBe(1)
})
