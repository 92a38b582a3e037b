/** Publishing as a command: an event about a held row does what the row's route does, and refuses what it refuses. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { channels, eventTypes, type EventType } from '../../lib/protocol/events.ts'
import { commandCases, neverCommands, refusedCommands, reports } from './command-cases.ts'
import { outside, outsideCases } from './event-samples.ts'
import { channelOf, numbered, perChannel, start, stateOf } from './event-support.ts'
import { createStudio, done } from './studio.ts'

setDefaultTimeout(60_000)

const commandTypes = Object.keys(commandCases) as EventType[]

test('each type is a command, never one, or a report about nobody', () => {
  const all = [...commandTypes, ...Object.keys(neverCommands), ...reports]

  expect(all.toSorted()).toEqual(eventTypes.toSorted())
})

test.each(commandTypes)('%s does to the row what its route does, and tells the same', async (type) => {
  const entry = commandCases[type]
  if (!entry) throw new Error(`the table has no ${type}`)
  await using routed = await start()
  await using commanded = await start()
  const routedShot = await createStudio(routed.api).shoot(entry.road)
  const shot = await createStudio(commanded.api).shoot(entry.road)
  const followers = [await routed.connect(), await commanded.connect()] as const
  for (const follower of followers) await follower.subscribe(channels)
  const sender = await commanded.connect({ framing: 'msgpack' })
  const before = await stateOf(commanded.api, shot)

  const answer = await routed.api(...entry.route(routedShot))
  const reply = await sender.request({
    type: 'publish',
    command: true,
    event: { type, ...entry.event(shot) },
  })
  for (const follower of followers) await follower.sync()

  const after = await stateOf(commanded.api, shot)
  const [told, toldByCommand] = followers.map(({ events }) => events)
  const event = toldByCommand?.find((one) => one.type === type)
  expect(answer.status).toBeOneOf([200, 201])
  expect(reply).toStrictEqual({
    type: 'published',
    event_type: type,
    channel: channelOf(type),
    seq: event?.['seq'],
    id: 't1',
  })
  expect(after).not.toEqual(before)
  expect(after).toEqual(await stateOf(routed.api, routedShot))
  expect(perChannel(toldByCommand ?? [], shot.job)).toEqual(perChannel(told ?? [], routedShot.job))
})

test.each(refusedCommands)(
  '%s is refused for %s, and changes nothing',
  async (type, _, road, event, code) => {
    await using server = await start()
    const shot = await createStudio(server.api).shoot(road)
    const client = await server.connect()
    const { cursor } = await client.subscribe(channels)
    const before = await stateOf(server.api, shot)

    const reply = await client.request({ type: 'publish', command: true, event: { type, ...event(shot) } })

    expect([reply.type, reply['code']]).toEqual(['error', code])
    expect(await stateOf(server.api, shot)).toEqual(before)
    expect((await client.sync())['cursor']).toBe(cursor)
    expect(client.events).toEqual([])
  },
)

test('session_completed is refused for a completed session under another name, and changes nothing', async () => {
  await using server = await start()
  const shot = await createStudio(server.api).shoot()
  await done(server.api, ['PATCH', '/api/sessions/1', { status: 'completed' }])
  const client = await server.connect()
  const { cursor } = await client.subscribe(channels)
  const before = await stateOf(server.api, shot)
  const event = { ...outsideCases.session_completed.sent, session_id: 1, session_name: 'Another' }

  const reply = await client.request({
    type: 'publish',
    command: true,
    event: { type: 'session_completed', ...event },
  })

  expect([reply.type, reply['code']]).toEqual(['error', 'conflict'])
  expect(await stateOf(server.api, shot)).toEqual(before)
  expect((await client.sync())['cursor']).toBe(cursor)
})

test('a command on a session that the next one deletes at once is answered, not broken', async () => {
  await using server = await start()
  await createStudio(server.api).shoot()
  const client = await server.connect()
  const updated = { ...outsideCases.session_updated.sent, session_id: 1, status: 'selecting' }
  const events = [
    { type: 'system_status', status: 'busy' },
    { type: 'session_updated', ...updated },
    { type: 'session_deleted', session_id: 1, session_name: 'Theirs' },
  ]

  const replies = await Promise.all(
    events.map((event) => client.request({ type: 'publish', command: true, event })),
  )

  expect(replies.map(({ type, code }) => code ?? type)).not.toContain('internal')
  expect(replies.at(-1)?.type).toBe('published')
})

test('session_updated is refused for a taken name; session_completed leaves the name as it is', async () => {
  await using server = await start()
  const studio = createStudio(server.api)
  const shot = await studio.shoot()
  await studio.shoot()
  const client = await server.connect()
  const before = await stateOf(server.api, shot)
  const send = (type: 'session_updated' | 'session_completed') => {
    const event = {
      type,
      ...outsideCases[type].sent,
      session_id: 1,
      session_name: 'Wedding 2',
      status: 'selecting',
    }
    return client.request({ type: 'publish', command: true, event })
  }

  const refused = await send('session_updated')
  const between = await stateOf(server.api, shot)
  const completed = await send('session_completed')

  expect(refused['code']).toBe('conflict')
  expect(between).toEqual(before)
  expect(completed.type).toBe('published')
  const { body } = await server.api<{ name: string; status: string }>('GET', '/api/sessions/1')
  expect([body.name === 'Wedding 2', body.status]).toEqual([false, 'completed'])
})

test.each(['job_progress', 'job_completed', 'job_failed'] as const)(
  '%s of another subject needs the attempt of the claim',
  async (type) => {
    await using server = await start()
    const shot = await createStudio(server.api).shoot(['createJob', 'claim'])
    const client = await server.connect({
      token: await server.tokenFor('events:publish api:write', 'other'),
    })
    const before = await stateOf(server.api, shot)
    const event = { type, ...outsideCases[type].sent, job_id: shot.job }

    const without = await client.request({ type: 'publish', command: true, event })
    const between = await stateOf(server.api, shot)
    const named = await client.request({ type: 'publish', command: true, event: { ...event, attempt: 1 } })

    expect([without['code'], named.type]).toEqual(['conflict', 'published'])
    expect(between).toEqual(before)
  },
)

test('a type that is no command is a conflict about a held row', async () => {
  await using server = await start()
  const shot = await createStudio(server.api).shoot(['createJob'])
  const client = await server.connect()
  const { cursor } = await client.subscribe(channels)

  const codes: unknown[] = []
  for (const [type, data] of Object.entries(neverCommands)) {
    const event = { type, ...data(shot) }
    codes.push((await client.request({ type: 'publish', command: true, event }))['code'])
  }

  expect(codes).toEqual(Object.keys(neverCommands).map(() => 'conflict'))
  expect((await client.sync())['cursor']).toBe(cursor)
  expect(client.events).toEqual([])
})

test('about rows that are not held every type is passed on', async () => {
  await using server = await start()
  const client = await server.connect()
  await client.subscribe(channels)

  const replies: unknown[] = []
  for (const event of outside) {
    const { type, event_type, channel, seq } = await client.request({
      type: 'publish',
      command: true,
      event,
    })
    replies.push({ type, event_type, channel, seq })
  }
  await client.sync()

  const expected = numbered(
    {},
    eventTypes.map((type) => [type, outsideCases[type].told]),
  )
  expect(client.events).toStrictEqual(expected)
  expect(replies).toEqual(
    expected.map(({ type, channel, seq }) => ({ type: 'published', event_type: type, channel, seq })),
  )
})

test('no command goes without api:write, or without publishing on its channel', async () => {
  await using server = await start()
  const shot = await createStudio(server.api).shoot(['createJob', 'claim'])
  const before = await stateOf(server.api, shot)
  const codes: unknown[] = []

  for (const scope of ['events:publish api:read', 'api:write events:read', '']) {
    const client = await server.connect({ token: await server.tokenFor(scope) })
    for (const type of commandTypes) {
      const event = { type, ...commandCases[type]?.event(shot) }
      codes.push((await client.request({ type: 'publish', command: true, event }))['code'])
    }
  }

  expect(codes).toEqual(Array.from({ length: 3 * commandTypes.length }, () => 'forbidden'))
  expect(await stateOf(server.api, shot)).toEqual(before)
})
