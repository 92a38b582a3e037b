import { expect, setDefaultTimeout, test } from 'bun:test'
import { framings } from '../../lib/protocol/codec.ts'
import type { TestClient } from '../support/client.ts'
import { startTestServer, type TestServer } from '../support/server.ts'
import { batchesOf, eventsOf, publishProgress, subscribeWith } from './batches.ts'

setDefaultTimeout(60_000)

test('a filtered subscriber gets the events that match, in batches that cover all positions', async () => {
  await using server = await startTestServer()
  const client = await server.connect()
  await subscribeWith(client, { channels: ['jobs'], where: { job_id: 'a', progress: { gte: 50 } } })

  await publishProgress(server, [
    ['a', 10],
    ['a', 50],
    ['b', 60],
    ['a', 70],
    ['b', 80],
  ])
  const { cursor } = await client.sync()

  expect(eventsOf(client).map(({ seq }) => seq)).toEqual([2, 4])
  expect(client.events).toEqual([])
  expect(String(cursor)).toEndWith(':jobs=5')
  expectCovered(client, 0, 4)
})

test('each operator means what PROTOCOL says', async () => {
  await using server = await startTestServer()
  const cases: [where: object, expected: number[]][] = [
    [{ progress: 20 }, [2]],
    [{ progress: { eq: 20 } }, [2]],
    [{ progress: { ne: 20 } }, [1, 3]],
    [{ progress: { in: [10, 30, 99] } }, [1, 3]],
    [{ progress: { gt: 20 } }, [3]],
    [{ progress: { gte: 20 } }, [2, 3]],
    [{ progress: { lt: 20 } }, [1]],
    [{ progress: { lte: 20 } }, [1, 2]],
    [{ progress: { gt: 10, lt: 30 } }, [2]],
    [{ stage: { gt: 's1', lte: 's3' } }, [2, 3]],
    [{ priority: { exists: false } }, [1, 2, 3]],
    [{ priority: { exists: true } }, [4]],
    [{ priority: { ne: 7 } }, []],
    [{ type: 'job_created' }, [4]],
    [{ type: { in: ['job_created', 'job_failed'] } }, [4]],
    [{ seq: { lte: 2 } }, [1, 2]],
    [{ channel: 'jobs', photo_id: null }, [1, 2, 3, 4]],
    [{ timestamp: { gt: '2000-01-01' } }, [1, 2, 3, 4]],
  ]
  const clients: TestClient[] = []
  for (const [index, [where]] of cases.entries()) {
    const client = await server.connect({ token: await server.tokenFor('events:read', `s${index}`) })
    await subscribeWith(client, { channels: ['jobs'], where })
    clients.push(client)
  }

  await server.api('POST', '/api/events', [
    ...[1, 2, 3].map((n) => ({ type: 'job_progress', job_id: 'a', stage: `s${n}`, progress: n * 10 })),
    { type: 'job_created', job_id: 'b', priority: 7 },
  ])
  const seen: number[][] = []
  for (const client of clients) {
    await client.sync()
    seen.push(eventsOf(client).map(({ seq }) => Number(seq)))
  }

  expect(seen).toEqual(cases.map(([, expected]) => expected))
})

test('what cannot be a filter is refused with what was expected, and changes nothing', async () => {
  await using server = await startTestServer()
  const client = await server.connect()
  await client.subscribe(['jobs'])
  const refused: [where: unknown, sentence: RegExp][] = [
    [{ colour: 'red' }, /where\.colour: no event of these channels has this field; there are .*job_id/],
    [{ ai_score: 3 }, /where\.ai_score: no event of these channels/],
    [{ progress: 'half' }, /where\.progress: expected a number/],
    [{ progress: null }, /where\.progress: expected a number/],
    [{ progress: { gte: [] } }, /where\.progress\.gte: expected a number/],
    [{ progress: { like: 1 } }, /where\.progress\.like: no such operator/],
    [{ progress: {} }, /where\.progress: expected a value/],
    [{ progress: [1, 2] }, /where\.progress: expected a value/],
    [{ progress: { in: [] } }, /where\.progress\.in: expected a list of 1 to 100 values/],
    [{ progress: { in: Array.from({ length: 101 }, (_, n) => n) } }, /expected a list of 1 to 100/],
    [{ progress: { exists: 1 } }, /where\.progress\.exists: expected true or false/],
    [{ result: { a: 1 } }, /where\.result/],
    [{ result: { eq: 1 } }, /where\.result\.eq: only exists can be asked/],
    [{ type: 'job_melted' }, /where\.type: there is no event type "job_melted"/],
    [{ photo_id: { gt: null } }, /where\.photo_id\.gt: expected a number or a string/],
    [{}, /where: expected at least one condition/],
    [[], /where: expected at least one condition/],
    [[1], /where/],
    ['session_id = 1', /where/],
    [
      {
        progress: { ne: 1, gt: 1, gte: 1, lt: 1, lte: 1, eq: 1, exists: true },
        stage: { ne: '1', gt: '1', gte: '1', lt: '1', lte: '1', eq: '1', exists: true },
        job_id: { ne: 'a', gt: 'a', lt: 'a' },
      },
      /at most 16 conditions, not 17/,
    ],
  ]

  for (const [where, sentence] of refused) {
    const answer = await client.request({ type: 'subscribe', channels: ['jobs'], where })

    // Twenty faults in a row would end it.
    await client.sync()
    expect(answer).toMatchObject({
      type: 'error',
      code: 'invalid_message',
      error: expect.stringMatching(sentence),
    })
  }
  for (const batch_ms of [-1, 5001, '100', null]) {
    const answer = await client.request({ type: 'subscribe', channels: ['jobs'], batch_ms })

    expect(answer).toMatchObject({ type: 'error', code: 'invalid_message' })
  }
  await publishProgress(server, [['a', 1]])
  await client.sync()
  expect(client.events.map(({ seq }) => seq)).toEqual([1])
})

test('filters that mean the same are one, and a subject may use 32', async () => {
  await using server = await startTestServer({ MAX_FILTERS: 2 })
  const same = [
    { job_id: 'a', type: { in: ['job_failed', 'job_created'] } },
    { type: { in: ['job_created', 'job_failed', 'job_created'] }, job_id: { in: ['a'] } },
  ]
  const client = await server.connect()
  for (let n = 0; n < 31; n += 1) {
    const other = await server.connect()
    await subscribeWith(other, { channels: ['jobs'], where: { job_id: `j${n}` } })
  }

  const answers: unknown[] = []
  for (const where of [...same, { job_id: 'one too many' }]) {
    const asking = await server.connect()
    answers.push(await asking.request({ type: 'subscribe', channels: ['jobs'], where }))
  }
  const somebody = await server.connect({ token: await server.tokenFor('events:read', 'somebody else') })
  const theirs = await subscribeWith(somebody, { channels: ['jobs'], where: { job_id: 'theirs' } })

  expect(answers).toMatchObject([
    { type: 'subscription_confirmed' },
    { type: 'subscription_confirmed' },
    { type: 'error', code: 'too_many_subscriptions' },
  ])
  expect(theirs.type).toBe('subscription_confirmed')
  client.close()
})

test('a filter that is let go makes room for another', async () => {
  await using server = await startTestServer()
  const client = await server.connect()
  const others: TestClient[] = []
  for (let n = 0; n < 31; n += 1) {
    others.push(await server.connect())
    await subscribeWith(others.at(-1), { channels: ['jobs'], where: { job_id: `j${n}` } })
  }
  await subscribeWith(client, { channels: ['jobs'], where: { job_id: 'a' } })
  const full = await others[0]?.request({ type: 'subscribe', channels: ['photos'], where: { photo_id: 1 } })
  await client.request({ type: 'unsubscribe', channels: ['jobs'] })

  const after = await others[0]?.request({ type: 'subscribe', channels: ['photos'], where: { photo_id: 1 } })

  expect(full).toMatchObject({ code: 'too_many_subscriptions' })
  expect(after).toMatchObject({ type: 'subscription_confirmed', channels: ['jobs', 'photos'] })
})

test('over MAX_FILTERS a subscriber reads on and misses nothing', async () => {
  await using server = await startTestServer({ MAX_FILTERS: 1 })
  const clients: TestClient[] = []
  for (const job_id of ['a', 'b', 'c']) {
    const client = await server.connect()
    await subscribeWith(client, { channels: ['jobs'], where: { job_id } })
    clients.push(client)
  }

  for (let n = 0; n < 20; n += 1)
    await publishProgress(server, [
      ['a', n],
      ['b', n],
      ['c', n],
    ])
  for (const client of clients) await client.sync()

  for (const [index, client] of clients.entries()) {
    expect(eventsOf(client).map(({ seq }) => seq)).toEqual(
      Array.from({ length: 20 }, (_, n) => n * 3 + 1 + index),
    )
  }
  expect(await readersOf(server)).toBe(2)
})

test('a filtered subscription resumes over tail and journal with exact coverage', async () => {
  await using server = await startTestServer({ TAIL_BYTES: 65_536 })
  const first = await server.connect()
  const { cursor } = await first.subscribe(['jobs'])
  for (let n = 0; n < 30; n += 1) {
    await publishProgress(
      server,
      Array.from({ length: 100 }, (_, m) => [m % 10 === 3 ? 'wanted' : `j${m}`, n] as const),
    )
  }

  for (const framing of framings) {
    const client = await server.connect({ framing })
    const where = { job_id: 'wanted' }
    const confirmed = await subscribeWith(client, { channels: ['jobs'], where, since: String(cursor) })
    await client.sync()

    expect(confirmed['recovery']).toEqual({ jobs: { status: 'recovered' } })
    expect(eventsOf(client).map(({ seq }) => seq)).toEqual(Array.from({ length: 300 }, (_, n) => n * 10 + 4))
    expectCovered(client, 0, 2994)
  }
})

test('whoever resumes beside a live twin is told what it covered before it joins', async () => {
  await using server = await startTestServer()
  const where = { job_id: 'wanted' }
  const live = await server.connect()
  await subscribeWith(live, { channels: ['jobs'], where })
  const plain = await server.connect()
  await plain.subscribe(['jobs'])
  await publishProgress(server, [['wanted', 1]])
  const { cursor } = await plain.sync()
  await publishProgress(server, [
    ['other', 1],
    ['other', 2],
    ['wanted', 2],
    ['other', 3],
    ['other', 4],
  ])

  const back = await server.connect()
  await subscribeWith(back, { channels: ['jobs'], where, since: String(cursor) })
  await back.sync()
  await publishProgress(server, [
    ['other', 5],
    ['wanted', 3],
  ])
  await back.sync()
  await live.sync()

  expect(eventsOf(back).map(({ seq }) => seq)).toEqual([4, 8])
  expectCovered(back, 1, 8)
  expectCovered(live, 0, 8)
})

/** PROTOCOL §5: no batch begins after what the client knows to be covered. */
function expectCovered(client: TestClient, from: number, to: number): void {
  let position = from
  for (const { after, upto } of batchesOf(client)) {
    expect(after).toBeLessThanOrEqual(position)
    expect(upto).toBeGreaterThanOrEqual(position)
    position = upto
  }
  expect(position).toBeGreaterThanOrEqual(to)
}

async function readersOf(server: TestServer): Promise<number> {
  const text = await (await fetch(`${server.url}/metrics`)).text()
  return Number(/^lightwire_readers (\d+)/m.exec(text)?.[1])
}
