import { expect, setDefaultTimeout, test } from 'bun:test'
import { readMetric } from '../../bench/support/audience.ts'
import { framings } from '../../lib/protocol/codec.ts'
import type { Message } from '../support/client.ts'
import { startTestServer } from '../support/server.ts'
import { batchesOf, eventsOf, publishProgress, subscribeWith } from './batches.ts'

setDefaultTimeout(60_000)

/** Longer than any test takes: what waits for it has not come. */
const HOUR_LIKE = 5000

test('with batch_ms 0 the events of one commit come as one message, in every framing the same', async () => {
  await using server = await startTestServer()
  const clients = await Promise.all(framings.map((framing) => server.connect({ framing })))
  for (const client of clients) await subscribeWith(client, { channels: ['jobs'], batch_ms: 0 })

  await publishProgress(server, [
    ['a', 1],
    ['a', 2],
    ['b', 3],
  ])
  for (const client of clients) await client.sync()

  const [json, ...others] = clients.map(batchesOf)
  expect(json).toMatchObject([{ type: 'batch', channel: 'jobs', after: 0, upto: 3 }])
  expect(json?.[0]?.events.map(({ seq }) => seq)).toEqual([1, 2, 3])
  expect(others).toEqual([json, json] as never)
})

test('batch_ms collects commits, a pong does not wait for it and does not claim what it holds', async () => {
  await using server = await startTestServer({ COALESCE_MS: 0 })
  const client = await server.connect()
  await subscribeWith(client, { channels: ['jobs'], batch_ms: 2000 })

  for (let n = 0; n < 5; n += 1) await publishProgress(server, [['a', n]])
  const { cursor } = await client.sync()
  const before = batchesOf(client).length
  const batch = await client.next('batch')

  expect(before).toBe(0)
  expect(String(cursor)).toEndWith(':jobs=0')
  expect(batch).toMatchObject({ after: 0, upto: 5 })
  expect(eventsOf(client)).toHaveLength(5)
})

test('a batch holds at most 16 KB of events, and batches join without a hole', async () => {
  await using server = await startTestServer()
  const client = await server.connect({ framing: 'msgpack' })
  await subscribeWith(client, { channels: ['jobs'], batch_ms: 0 })
  const large = { type: 'job_completed', job_id: 'large', result: { text: 'x'.repeat(40_000) } }
  const small = Array.from({ length: 200 }, (_, n) => ({
    type: 'job_progress',
    job_id: `j${n}`,
    stage: 'develop',
    progress: 1,
    message: 'é'.repeat(100),
  }))

  await server.api('POST', '/api/events', [...small, large, ...small])
  await client.sync()

  const sizes = batchesOf(client).map(({ events }) =>
    events.reduce((sum, event) => sum + Buffer.byteLength(JSON.stringify(event)), 0),
  )
  expect(eventsOf(client)).toHaveLength(401)
  expect(sizes.filter((bytes) => bytes > 16_384)).toHaveLength(1)
  expect(sizes.length).toBeLessThan(16)
  expect(batchesOf(client).map(({ after }) => after)).toEqual([
    0,
    ...batchesOf(client)
      .map(({ upto }) => upto)
      .slice(0, -1),
  ])
})

test('conflation keeps every fact and the newest state per key, in order', async () => {
  await using server = await startTestServer()
  const client = await server.connect()
  await subscribeWith(client, { channels: ['jobs'], conflate: true })

  await server.api('POST', '/api/events', [
    { type: 'job_progress', job_id: 'a', stage: 's', progress: 1 },
    { type: 'job_failed', job_id: 'x', error_message: 'one' },
    { type: 'job_progress', job_id: 'b', stage: 's', progress: 2 },
    { type: 'job_progress', job_id: 'a', stage: 's', progress: 3 },
    { type: 'job_failed', job_id: 'x', error_message: 'two' },
    { type: 'job_progress', job_id: 'a', stage: 's', progress: 4 },
  ])
  await client.sync()

  expect(batchesOf(client)).toMatchObject([{ after: 0, upto: 6 }])
  expect(eventsOf(client).map(({ seq }) => seq)).toEqual([2, 3, 5, 6])
})

test('whoever catches up with conflation gets few batches, every fact, and the newest of each state', async () => {
  await using server = await startTestServer({ TAIL_BYTES: 65_536 })
  const first = await server.connect()
  const { cursor } = await first.subscribe(['jobs'])
  for (let n = 0; n < 20; n += 1) {
    await server.api('POST', '/api/events', [
      ...Array.from({ length: 99 }, (_, m) => ({
        type: 'job_progress',
        job_id: `j${m % 4}`,
        stage: 's',
        progress: n,
      })),
      { type: 'job_failed', job_id: `failed ${n}`, error_message: '' },
    ])
  }

  const back = await server.connect({ framing: 'deflate' })
  await subscribeWith(back, { channels: ['jobs'], conflate: true, since: String(cursor) })
  await back.sync()

  const facts = eventsOf(back).filter(({ type }) => type === 'job_failed')
  expect(facts.map(({ seq }) => seq)).toEqual(Array.from({ length: 20 }, (_, n) => (n + 1) * 100))
  expect(
    eventsOf(back)
      .slice(-5)
      .map(({ seq }) => seq),
  ).toEqual([1996, 1997, 1998, 1999, 2000])
  expect(batchesOf(back).length).toBeLessThan(4)
  expect(batchesOf(back).at(-1)?.upto).toBe(2000)
})

test('subscribing anew replaces the options and goes on where the channel is', async () => {
  await using server = await startTestServer({ COALESCE_MS: 0 })
  const client = await server.connect()
  const options = [{}, { batch_ms: HOUR_LIKE }, { where: { job_id: 'a' } }, { conflate: true }, {}]
  for (const [index, wanted] of options.entries()) {
    await subscribeWith(client, { channels: ['jobs'], ...wanted })
    await publishProgress(server, [['a', index]])
  }

  await client.sync()

  const seen = client.received.flatMap((message) => {
    const events = message.type === 'batch' ? (message['events'] as Message[]) : [message]
    return events.filter(({ type }) => type === 'job_progress')
  })
  expect(seen.map((event) => event['seq'])).toEqual([1, 2, 3, 4, 5])
})

test('a live subscription in a window that is open begins after what is held back', async () => {
  await using server = await startTestServer({ COALESCE_MS: 0 })
  const early = await server.connect()
  await subscribeWith(early, { channels: ['jobs'], batch_ms: 3000 })
  await publishProgress(server, [['a', 1]])
  await early.sync()

  const late = await server.connect()
  const confirmed = await subscribeWith(late, { channels: ['jobs'], batch_ms: 3000 })
  await publishProgress(server, [['a', 2]])
  await early.next('batch')
  await late.next((message) => message.type === 'batch' && message['upto'] === 2)

  expect(String(confirmed['cursor'])).toEndWith(':jobs=1')
  expect(eventsOf(early).map(({ seq }) => seq)).toEqual([1, 2])
  expect(eventsOf(late).map(({ seq }) => seq)).toEqual([2])
})

test('what comes in one piece that is larger than a socket takes loses nothing for who collects it', async () => {
  await using server = await startTestServer({ MAX_BODY_BYTES: 16 * 1024 * 1024 })
  const client = await server.connect()
  await subscribeWith(client, { channels: ['system'], batch_ms: 0 })
  const error = {
    type: 'error_occurred',
    error_type: 't',
    error_message: 'm',
    error_details: { pad: 'x'.repeat(60_000) },
  }

  await server.api('POST', '/api/events', Array<object>(150).fill(error))
  await client.sync()

  expect(eventsOf(client).map(({ seq }) => seq)).toEqual(Array.from({ length: 150 }, (_, n) => n + 1))
  expect(await readMetric(server.url, 'lightwire_dropped_total')).toBe(0)
})

test('members that hear nothing for long are told how far they are', async () => {
  await using server = await startTestServer()
  const client = await server.connect()
  await subscribeWith(client, { channels: ['jobs'], where: { job_id: 'never' } })

  await publishProgress(
    server,
    Array.from({ length: 1000 }, (_, n) => ['other', n % 100] as const),
  )
  const batch = await client.next('batch')

  expect(batch).toEqual({ type: 'batch', channel: 'jobs', after: 0, upto: 1000, events: [] })
})
