/** Publishing over REST: events about rows that are kept elsewhere, all or none, by those who may. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { channels, eventTypes, type Channel } from '../../lib/protocol/events.ts'
import type { Answer } from '../support/api.ts'
import { eventCases } from './event-cases.ts'
import { outside, outsideCases } from './event-samples.ts'
import { audience, between, channelOf, headsOf, numbered, start } from './event-support.ts'
import { createStudio } from './studio.ts'

setDefaultTimeout(60_000)

interface Published {
  readonly published: readonly { readonly channel: Channel; readonly seq: number }[]
}

test.each(eventTypes)(
  '%s about rows that are kept elsewhere is passed on as it is, defaults filled in',
  async (type) => {
    const channel = channelOf(type)
    const { sent, told } = outsideCases[type]
    await using server = await start()
    const { subscribers, elsewhere, nowhere, sync } = await audience(server, [channel])
    const envelope = { timestamp: 'never', channel: 'nowhere', seq: 99, id: 'x', extra: 'dropped' }

    const answer = await server.api<Published>('POST', '/api/events', { type, ...sent })
    const more = await server.api<Published>('POST', '/api/events', [
      { type, ...told },
      { type, ...told, ...envelope },
    ])
    await sync()

    expect(answer.status).toBe(201)
    expect(answer.body).toStrictEqual({ published: [{ channel, seq: 1 }] })
    expect(more.body).toStrictEqual({
      published: [
        { channel, seq: 2 },
        { channel, seq: 3 },
      ],
    })
    const events = numbered({}, [
      [type, told],
      [type, told],
      [type, told],
    ])
    for (const client of subscribers) expect(between(client)).toStrictEqual(events)
    expect([...elsewhere.events, ...nowhere.events]).toEqual([])
  },
)

test('an array of all types is published in its order, and the answer says where each went', async () => {
  await using server = await start()
  const { subscribers, nowhere, sync } = await audience(server, channels)

  const { status, body, cursor } = await server.api<Published>('POST', '/api/events', outside)
  await sync()

  const expected = numbered(
    {},
    eventTypes.map((type) => [type, outsideCases[type].told]),
  )
  expect(status).toBe(201)
  expect(body.published).toStrictEqual(expected.map(({ channel, seq }) => ({ channel, seq: Number(seq) })))
  for (const client of subscribers) {
    const got = between(client)
    for (const channel of channels) {
      expect(got.filter((event) => event['channel'] === channel)).toStrictEqual(
        expected.filter((event) => event.channel === channel),
      )
    }
    expect(got).toHaveLength(eventTypes.length)
  }
  expect(nowhere.events).toEqual([])
  expect(headsOf(cursor)).toEqual({
    approval: 1,
    export: 3,
    jobs: 7,
    photos: 5,
    queue: 2,
    sessions: 4,
    system: 3,
  })
})

test('a thousand events are accepted at once, one more is not', async () => {
  await using server = await start()
  const client = await server.connect({ framing: 'deflate' })
  await client.subscribe(['photos'])
  const events = Array.from({ length: 1001 }, (_, n) => ({ type: 'photo_approved', photo_id: n + 1 }))

  const tooMany = await server.api('POST', '/api/events', events)
  const none = await server.api('POST', '/api/events', [])
  const many = await server.api<Published>('POST', '/api/events', events.slice(0, 1000))
  await client.sync()

  expect([tooMany.status, none.status, many.status]).toEqual([400, 400, 201])
  const numbers = Array.from({ length: 1000 }, (_, n) => n + 1)
  expect(many.body.published).toEqual(numbers.map((seq) => ({ channel: 'photos', seq })))
  expect(client.events.map(({ seq, photo_id }) => [seq, photo_id])).toEqual(numbers.map((n) => [n, n]))
})

const good = { type: 'photo_approved', photo_id: 901 }
test.each([
  ['a wrong field', { type: 'job_progress', job_id: 'a', stage: 's', progress: 101 }, 400, 'invalid_message'],
  ['a missing field', { type: 'photo_imported', photo_id: 902 }, 400, 'invalid_message'],
  ['an unknown type', { type: 'cat_seen', photo_id: 902 }, 400, 'unknown_type'],
  ['a row that is held', { type: 'photo_approved', photo_id: 1 }, 409, 'conflict'],
  ['a channel that is not granted', { type: 'job_cancelled', job_id: 'a' }, 403, 'forbidden'],
  [
    'an event over 64 KiB',
    { type: 'photo_rejected', photo_id: 902, reason: 'x'.repeat(65_536) },
    413,
    'too_large',
  ],
])('of three events of which one has %s none is published', async (_, bad, status, code) => {
  await using server = await start()
  await createStudio(server.api).shoot()
  const client = await server.connect()
  const { cursor } = await client.subscribe(channels)
  const scope = code === 'forbidden' ? 'events:publish:photos' : 'events:publish'
  const api = server.apiAs(await server.tokenFor(scope))

  const answers: Answer<{ code?: string; errors?: { path: string }[] }>[] = []
  for (const events of [
    [bad, good, good],
    [good, bad, good],
    [good, good, bad],
  ]) {
    answers.push(await api('POST', '/api/events', events))
  }
  await client.sync()

  expect(answers.map((answer) => [answer.status, answer.body.code])).toEqual(
    answers.map(() => [status, code]),
  )
  expect(answers.map((answer) => answer.cursor)).toEqual(answers.map(() => String(cursor)))
  expect(client.events).toEqual([])
  if (code === 'invalid_message') {
    expect(answers.map(({ body }) => body.errors?.[0]?.path.split('.')[0])).toEqual(['0', '1', '2'])
  }
})

test.each([
  ['an unknown type', { type: 'cat_seen' }, 'unknown_type'],
  ['the name of an inherited property', { type: 'toString' }, 'unknown_type'],
  ['an empty type', { type: '' }, 'unknown_type'],
  ['a type of the protocol', { type: 'ping' }, 'unknown_type'],
  ['a list of unknown types', [{ type: 'cat_seen' }], 'unknown_type'],
  ['no type', { photo_id: 901 }, 'invalid_message'],
  ['a type that is no text', { type: 5 }, 'invalid_message'],
  ['no event', 'photo_approved', 'invalid_message'],
  ['null', null, 'invalid_message'],
])('%s is 400, and nothing is published', async (_, body, code) => {
  await using server = await start()
  const before = await server.api('GET', '/api/queue')

  const answer = await server.api<{ code?: string }>('POST', '/api/events', body)

  expect([answer.status, answer.body.code]).toEqual([400, code])
  expect(answer.cursor).toBe(before.cursor)
})

test('an event about a job, photo or session that is held is a conflict, whichever of its ids names it', async () => {
  await using server = await start()
  const shot = await createStudio(server.api).shoot(['createJob'])
  const ids = { job_id: shot.job, photo_id: shot.photo, session_id: shot.session }
  const client = await server.connect()
  const { cursor } = await client.subscribe(channels)
  const attempts = eventTypes.flatMap((type) => {
    const { sent, told } = outsideCases[type]
    const named = (Object.keys(ids) as (keyof typeof ids)[]).filter((id) => Object.hasOwn(told, id))
    return named.map((id) => ({ type, ...sent, [id]: ids[id] }))
  })

  const answers: unknown[] = []
  for (const event of attempts) {
    const answer = await server.api<{ code?: string }>('POST', '/api/events', event)
    answers.push([event.type, answer.status, answer.body.code, answer.cursor])
  }
  await client.sync()

  // Job events by three ids, photo and export events by two, session events by one, at least.
  expect(attempts.length).toBeGreaterThanOrEqual(8 * 3 + 8 * 2 + 4)
  expect(answers).toEqual(attempts.map(({ type }) => [type, 409, 'conflict', String(cursor)]))
  expect(client.events).toEqual([])
})

test('reports of the system channel may name rows that are held', async () => {
  await using server = await start()
  const { job } = await createStudio(server.api).shoot(['createJob'])
  const client = await server.connect()
  await client.subscribe(['system'])
  const error = { error_type: 'gpu', error_message: 'lost', error_details: {}, job_id: job, photo_id: 1 }

  const { status } = await server.api('POST', '/api/events', { type: 'error_occurred', ...error })
  await client.sync()

  expect(status).toBe(201)
  expect(client.events).toStrictEqual(numbered({}, [['error_occurred', error]]))
})

test('derived counts are refused while there are jobs or photos to derive them from, and only then', async () => {
  await using server = await start()
  const studio = createStudio(server.api)
  const queue = { type: 'queue_status', ...outsideCases.queue_status.sent }
  const approval = { type: 'approval_queue_updated', ...outsideCases.approval_queue_updated.sent }
  const statuses = async () => {
    const answers = [
      await server.api('POST', '/api/events', queue),
      await server.api('POST', '/api/events', approval),
    ]
    return answers.map(({ status }) => status)
  }

  const empty = await statuses()
  const shot = await studio.shoot()
  const withPhoto = await statuses()
  await studio.walk(shot, ['createJob', 'cancel'])
  const withJob = await statuses()
  await server.api('DELETE', `/api/sessions/${shot.session}`)
  const emptyAgain = await statuses()

  expect([empty, withPhoto, withJob, emptyAgain]).toEqual([
    [201, 201],
    [201, 409],
    [409, 409],
    [201, 201],
  ])
})

test.each(channels)(
  'a token for publishing on %s alone publishes its types and no others',
  async (channel) => {
    await using server = await start()
    const api = server.apiAs(await server.tokenFor(`events:publish:${channel}`))
    const client = await server.connect()
    await client.subscribe(channels)

    const accepted: string[] = []
    const refused: unknown[] = []
    for (const event of outside) {
      const { status, body } = await api<{ code?: string }>('POST', '/api/events', event)
      if (status === 201) accepted.push(event.type)
      else refused.push([status, body.code])
    }
    await client.sync()

    expect(accepted.toSorted()).toEqual(Object.keys(eventCases[channel]).toSorted())
    expect(refused).toEqual(
      Array.from({ length: eventTypes.length - accepted.length }, () => [403, 'forbidden']),
    )
    expect(client.events.map(({ type }) => String(type))).toEqual(accepted)
  },
)

test.each(['', 'events:read', 'api:read api:write admin'])(
  'a token with scope "%s" publishes nothing',
  async (scope) => {
    await using server = await start()
    const api = server.apiAs(await server.tokenFor(scope))
    const before = await server.api('GET', '/api/queue')

    const answer = await api<{ code?: string }>('POST', '/api/events', outside)

    expect([answer.status, answer.body.code, answer.cursor]).toEqual([403, 'forbidden', before.cursor])
  },
)
