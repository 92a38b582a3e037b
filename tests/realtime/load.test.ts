/** Samples of the load: told as they are taken to who follows `system` whole, kept for whoever comes later. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import type { LoadSample } from '../../lib/realtime/load.ts'
import { framings } from '../../lib/protocol/codec.ts'
import type { TestClient } from '../support/client.ts'
import { startTestServer, type TestServer } from '../support/server.ts'

setDefaultTimeout(60_000)

const sampled = (intervalMs = 20) =>
  startTestServer(
    { SAMPLE_INTERVAL: intervalMs },
    { sampleResources: () => () => Promise.resolve({ cpu: 12.345, memory: 50 }) },
  )

const nextSample = async (client: TestClient) =>
  (await client.next('resource_sample')) as unknown as LoadSample & { type: string }

async function kept(server: TestServer): Promise<readonly LoadSample[]> {
  const { body } = await server.api<{ samples: readonly LoadSample[] }>('GET', '/api/system/load')
  return body.samples
}

test('who follows system whole is told each sample, in every framing and over a stream, outside the journal', async () => {
  await using server = await sampled()
  const clients = await Promise.all(framings.map((framing) => server.connect({ framing })))
  for (const client of clients) await client.subscribe(['system'])
  const stream = await fetch(`${server.url}/api/events/stream?channels=system`, {
    headers: { Authorization: `Bearer ${server.token}` },
  })

  const told = await Promise.all(clients.map(nextSample))
  let text = ''
  for await (const part of stream.body ?? []) {
    text += new TextDecoder().decode(part)
    if (text.includes('resource_sample')) break
  }
  const samples = await kept(server)

  for (const { type, ...sample } of told) {
    expect(type).toBe('resource_sample')
    expect(samples).toContainEqual(sample)
    expect(sample).toMatchObject({ cpu: 12.35, memory: 50, disk: null })
    expect(sample.rss_bytes).toBeGreaterThan(1_000_000)
  }
  expect(samples.at(-1)?.connections).toBeGreaterThanOrEqual(3)
  expect(text).toContain('"cpu":12.35')
  expect((await server.api('GET', '/api/sessions')).cursor).toContain('system=0')
})

test('nobody else is told: no other channel, no filter, no narrower right, no poll', async () => {
  await using server = await sampled()
  const narrow = await server.server.issueToken({
    subject: 'narrow',
    scope: '',
    grants: [{ channel: 'system', where: { type: 'system_status' } }],
    expiresInMs: 60_000,
  })
  const whole = await server.connect()
  const others = [await server.connect(), await server.connect(), await server.connect({ token: narrow })]
  await whole.subscribe(['system'])
  await others[0]?.subscribe(['jobs', 'photos'])
  await others[1]?.request({ type: 'subscribe', channels: ['system'], where: { type: 'system_status' } })
  await others[2]?.subscribe(['system'])
  const { body } = await server.api<{ client_id: string }>('POST', '/ws/handshake', { client_type: 'web' })
  const { client_id } = body
  await server.api('POST', '/ws/send', { client_id, message: { type: 'subscribe', channels: ['system'] } })

  for (let samples = 0; samples < 3; samples += 1) await nextSample(whole)
  for (const other of others) await other.sync()
  const polled = await server.api('GET', `/ws/poll?client_id=${client_id}`)

  expect(others.flatMap(({ received }) => received.map(({ type }) => type))).not.toContain('resource_sample')
  expect(polled.status).toBe(200)
  expect(JSON.stringify(polled.body)).not.toContain('resource_sample')
})

test('the rates say how many events came and left between two samples', async () => {
  await using server = await sampled(200)
  const client = await server.connect()
  await client.subscribe(['photos', 'system'])
  await nextSample(client)
  const files = Array.from({ length: 40 }, (_, at) => ({ file_path: `/${at}` }))
  await server.api('POST', '/api/photos', files)
  await client.sync()

  let [published, delivered] = [0, 0]
  while (published === 0 || delivered === 0) {
    await nextSample(client)
    const samples = await kept(server)
    published = samples.reduce((sum, { events_per_second: { photos = 0 } }, at) => {
      const [from, to] = [samples[at - 1], samples[at]].map((one) => Date.parse(one?.timestamp ?? ''))
      return sum + (photos > 0 ? (photos * ((to ?? 0) - (from ?? 0))) / 1000 : 0)
    }, 0)
    delivered = samples.filter(({ delivered_per_second }) => delivered_per_second > 0).length
  }

  // Of times that are told to the millisecond, a moment after it was counted.
  expect(published).toBeGreaterThan(30)
  expect(published).toBeLessThan(50)
})

test('with SAMPLE_INTERVAL=0s none are taken', async () => {
  await using server = await startTestServer({ SAMPLE_INTERVAL: 0 })

  const { body } = await server.api('GET', '/api/system/load')

  expect(body as unknown).toEqual({ interval_ms: 0, samples: [] })
})
