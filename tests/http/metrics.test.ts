/** Every metric of the table moves when what it counts happens, with the labels it promises. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { openAudience, stamp } from '../../bench/support/audience.ts'
import { createMetrics, metricsTable } from '../../lib/metrics.ts'
import { AUDIENCE, ISSUER, startIssuer } from '../access/issuer.ts'
import { TestStream } from '../support/event-stream.ts'
import { plant } from '../support/planted.ts'
import { projectRoot, startProcess, tokenOf } from '../support/process.ts'
import { startTestServer, temporaryFolder, type TestServer } from '../support/server.ts'

setDefaultTimeout(120_000)

/** Samples by name with labels, as Prometheus text has them. */
type Samples = ReadonlyMap<string, number>

async function scrape(url: string): Promise<Samples> {
  const text = await (await fetch(`${url}/metrics`)).text()
  return new Map(
    text
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  )
}

/** Scrapes until it holds: the test's own time limit is the only clock. */
async function until(url: string, holds: (samples: Samples) => boolean): Promise<Samples> {
  for (;;) {
    const samples = await scrape(url)
    if (holds(samples)) return samples
  }
}

/** Sum over all labels of a metric; of a histogram the number of observations. */
function total(samples: Samples, name: string): number {
  const own = [...samples].filter(([key]) => {
    const base = key.replace(/\{.*/, '')
    return base === name || base === `${name}_count`
  })
  return own.reduce((sum, [, value]) => sum + value, 0)
}

/** What makes each metric move; the value before and after are compared. */
const moves: Record<string, (server: TestServer) => Promise<Samples>> = {
  async connections(server) {
    const gui = await server.connect({ framing: 'msgpack' })
    await gui.request({ type: 'register', client_type: 'gui' })
    const odd = await server.connect()
    await odd.request({ type: 'register', client_type: 'my-own-thing-123' })
    await server.connect({ framing: 'deflate' }).then((client) => client.sync())
    await server.api('POST', '/ws/handshake', { client_type: 'lightroom' })
    const headers = { Authorization: `Bearer ${server.token}` }
    const stream = await TestStream.open({ url: `${server.url}/api/events/stream`, headers })
    const samples = await scrape(server.url)
    if (stream instanceof TestStream) await stream[Symbol.asyncDispose]()
    const of = (client_type: string, framing: string, transport = 'websocket') =>
      samples.get(
        `lightwire_connections{client_type="${client_type}",framing="${framing}",transport="${transport}"}`,
      )
    expect([of('gui', 'msgpack'), of('other', 'json'), of('unregistered', 'deflate')]).toEqual([1, 1, 1])
    expect([of('lightroom', 'json', 'poll'), of('unregistered', 'json', 'sse')]).toEqual([1, 1])
    return samples
  },
  events_committed_total: written('events_committed_total{channel="photos"}'),
  events_published_total: written('events_published_total{channel="photos"}'),
  commit_seconds: written('commit_seconds_count'),
  sync_seconds: written('sync_seconds_count'),
  commit_to_publish_seconds: written('commit_to_publish_seconds_count'),
  async events_delivered_total(server) {
    const clients = [await server.connect(), await server.connect({ framing: 'msgpack' })]
    for (const client of clients) await client.subscribe(['photos'])
    await importPhoto(server)
    for (const client of clients) await client.next('photo_imported')
    const late = await server.connect()
    const { cursor } = await server.api('GET', '/api/queue')
    await late.subscribe(['photos'], String(cursor).replace(/photos=\d+/, 'photos=0'))
    await late.next('photo_imported')
    const samples = await scrape(server.url)
    expect(samples.get('lightwire_events_delivered_total{channel="photos"}')).toBe(3)
    return samples
  },
  async pending_writes(server) {
    for (;;) {
      const writes = Array.from({ length: 50 }, () => importPhoto(server))
      const samples = await scrape(server.url)
      await Promise.all(writes)
      if (total(samples, 'lightwire_pending_writes') > 0) return samples
    }
  },
  async refusals_total(server) {
    await server.api('GET', '/api/photos/999')
    const client = await server.connect()
    await client.request({ type: 'subscribe', channels: ['nonsense'] })
    const samples = await scrape(server.url)
    expect(samples.get('lightwire_refusals_total{code="not_found"}')).toBe(1)
    expect(samples.get('lightwire_refusals_total{code="unknown_channel"}')).toBe(1)
    return samples
  },
  async closes_total(server) {
    const clients = await Promise.all(Array.from({ length: 3 }, () => server.connect()))
    clients[0]?.close(1000)
    clients[1]?.close(4321)
    const greeting = await clients[2]?.next('connection_established')
    server.server.disconnect(String(greeting?.['client_id']))
    const code = (value: string) => `lightwire_closes_total{code="${value}"}`
    return await until(server.url, (samples) =>
      ['1000', '4503', 'other'].every((value) => samples.get(code(value)) === 1),
    )
  },
  async http_requests_total(server) {
    await server.api('GET', '/api/photos/999')
    await server.api('GET', '/api/nothing/here')
    await fetch(`${server.url}/api/queue`, { method: 'PUT' })
    await withHost(server.url, 'a?b#c')
    const samples = await scrape(server.url)
    const of = (labels: string) => samples.get(`lightwire_http_requests_total{${labels}}`)
    expect(of('method="GET",route="/api/photos/{id}",status="404"')).toBe(1)
    expect(of('method="GET",route="none",status="404"')).toBe(1)
    expect(of('method="other",route="none",status="405"')).toBe(1)
    expect(of('method="GET",route="none",status="403"')).toBe(1)
    return samples
  },
  async http_request_seconds(server) {
    await server.api('GET', '/api/photos/999')
    const samples = await scrape(server.url)
    expect(samples.get('lightwire_http_request_seconds_count{route="/api/photos/{id}"}')).toBe(1)
    return samples
  },
  async bugs_total(server) {
    const client = await server.connect()
    const reply = await client.request({ type: 'boom' })
    expect(reply['code']).toBe('internal')
    return await scrape(server.url)
  },
  event_loop_delay_seconds: ({ url }) =>
    until(url, (samples) => total(samples, 'lightwire_event_loop_delay_seconds') > 0),
  resident_memory_bytes: ({ url }) => scrape(url),
  async cpu_seconds_total({ url }) {
    const before = total(await scrape(url), 'lightwire_cpu_seconds_total')
    return await until(url, (samples) => total(samples, 'lightwire_cpu_seconds_total') > before)
  },
  jwks_loads_total: () => withIssuer((samples) => total(samples, 'lightwire_jwks_loads_total') > 0),
  jwks_age_seconds: () => withIssuer((samples) => total(samples, 'lightwire_jwks_age_seconds') >= 0),
  sweeps_total: stalled('sweeps_total'),
  slow_moves_total: stalled('slow_moves_total'),
  readers: stalled('readers'),
  unsent_bytes: stalled('unsent_bytes'),
}

/** A server of its own with the keys of an issuer. */
async function withIssuer(holds: (samples: Samples) => boolean): Promise<Samples> {
  await using issuer = startIssuer()
  const trust = { JWT_ISSUER: ISSUER, JWT_AUDIENCE: AUDIENCE, JWKS_URL: issuer.url }
  await using server = await startTestServer(trust)
  return await until(server.url, holds)
}

/** A request whose Host leaves no readable URL. */
async function withHost(url: string, host: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const sent = request(`${url}/ws`, { headers: { host } }, (answer) => answer.resume().on('end', resolve))
  sent.on('error', reject).end()
  await promise
}

async function importPhoto({ api }: TestServer): Promise<void> {
  await api('POST', '/api/photos', { file_path: `/${crypto.randomUUID()}` })
}

function written(sample: string) {
  return async (server: TestServer) => {
    await importPhoto(server)
    return await until(server.url, (samples) => (samples.get(`lightwire_${sample}`) ?? 0) > 0)
  }
}

/** Clients that do not read while megabytes are published to them. */
function stalled(name: string) {
  return async (server: TestServer) => {
    const { url, token } = server
    using audience = await openAudience({ url, token, channel: 'sessions', subscribers: 4, stalled: 2 })
    audience.stall()
    const session = { type: 'session_created', session_id: 1, import_folder: 'x'.repeat(32_000) } as const
    for (;;) {
      await Promise.all(
        Array.from({ length: 20 }, () => server.server.publish({ ...session, session_name: stamp() })),
      )
      const samples = await scrape(url)
      if (total(samples, `lightwire_${name}`) > 0) return samples
    }
  }
}

const served = Object.keys(moves)

test('the table has no metric without a test, and the README shows it', () => {
  const { described } = createMetrics()

  expect([...served, 'dropped_total'].map((name) => `lightwire_${name}`).toSorted()).toEqual(
    described.map(({ name }) => name).toSorted(),
  )
  expect(readFileSync(join(projectRoot, 'README.md'), 'utf8')).toContain(metricsTable())
})

test.each(served)('%s moves', async (name) => {
  await using server = await startTestServer(
    { QUEUED_BYTES_MAX: 1024 * 1024 },
    {
      handlers: {
        boom: () => {
          throw new Error('a bug of the handler')
        },
      },
    },
  )
  const before = name === 'resident_memory_bytes' ? 0 : total(await scrape(server.url), `lightwire_${name}`)

  const after = await moves[name]?.(server)

  expect(total(after ?? new Map(), `lightwire_${name}`)).toBeGreaterThan(before)
})

test('dropped_total moves when a socket does drop: here Bun is given a bound that the sweep does not know', async () => {
  using folder = temporaryFolder()
  using copy = plant([
    {
      file: 'lib/transport/websocket.ts',
      find: 'backpressureLimit: BACKPRESSURE_LIMIT',
      replace: 'backpressureLimit: 64 * 1024',
    },
  ])
  const { url, kill } = await startProcess({ folder: folder.path, root: copy.root })
  const token = await tokenOf(folder.path)
  using audience = await openAudience({ url, token, channel: 'system', subscribers: 2, stalled: 1 })

  audience.stall()
  const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }
  const body = JSON.stringify({ status: 'x', details: { pad: 'x'.repeat(50_000) } })
  const samples = await (async () => {
    for (;;) {
      await Promise.all(
        Array.from({ length: 20 }, () =>
          fetch(`${url}/api/system/status`, { method: 'POST', headers, body }),
        ),
      )
      const now = await scrape(url)
      if (total(now, 'lightwire_dropped_total') > 0) return now
    }
  })()
  await kill()

  expect(total(samples, 'lightwire_dropped_total')).toBeGreaterThan(0)
})
