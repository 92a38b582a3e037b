/** Every event type of the catalogue: the route that makes it, its exact fields, and who gets it. */
import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { createResourceWatch, type ResourceUse } from '../../lib/domain/system.ts'
import { catalogue, channels, eventTypes, type EventType } from '../../lib/protocol/events.ts'
import { writeInto, type PendingEvent } from '../../lib/store/write.ts'
import { eventCases } from './event-cases.ts'
import { outsideCases } from './event-samples.ts'
import { AT, audience, between, channelOf, headsOf, numbered, start } from './event-support.ts'
import { createStudio, done, type Request, type Row, type Shot } from './studio.ts'

setDefaultTimeout(60_000)

const nobody: Shot = { session: 0, photo: 0, job: '', export: 0 }

test('the table of routes and the table of samples have the types of the catalogue, each on its channel', () => {
  const pairs = channels.flatMap((channel) => Object.keys(eventCases[channel]).map((type) => [type, channel]))

  expect(pairs.toSorted()).toEqual(eventTypes.map((type) => [type, catalogue[type].channel]).toSorted())
  expect(Object.keys(outsideCases).toSorted()).toEqual(eventTypes.toSorted())
})

describe('made by its route', () => {
  test.each(eventTypes)(
    '%s comes with exactly its fields, in each framing, to the subscribers of its channel alone',
    async (type) => {
      const channel = channelOf(type)
      const entry = eventCases[channel][type]
      if (!entry) throw new Error(`the table has no ${type}`)
      await using server = await start()
      const shot = (await entry.given(createStudio(server.api))) ?? nobody
      const { subscribers, elsewhere, nowhere, heads, same, sync } = await audience(server, [channel])

      const answer = await server.api<Row<string>>(...entry.request(shot))
      await sync()

      expect(answer.status).toBeOneOf([200, 201])
      const told = entry.told(shot.job === '' ? answer.body.id : shot.job)
      expect(told.map(([name]) => name)).toContain(type)
      expect(same).toBe(true)
      for (const client of subscribers) expect(between(client)).toStrictEqual(numbered(heads, told))
      expect(elsewhere.events.filter((event) => event['channel'] === channel)).toEqual([])
      expect(elsewhere.received.at(-1)?.type).toBe('pong')
      expect(nowhere.received.map((message) => message.type)).toEqual(['connection_established', 'pong'])
      expect(headsOf(answer.cursor)[channel]).toBe((heads[channel] ?? 0) + told.length)
    },
  )

  test.each([
    {
      what: 'progress without a message',
      road: ['createJob', 'claim'] as const,
      request: ({ job }: Shot): Request => [
        'POST',
        `/api/jobs/${job}/progress`,
        { stage: '', progress: 100 },
      ],
      event: { type: 'job_progress', stage: '', progress: 100, message: '' },
    },
    {
      what: 'a failure without details',
      road: ['createJob', 'claim'] as const,
      request: ({ job }: Shot): Request => ['POST', `/api/jobs/${job}/fail`, { error_message: '' }],
      event: { type: 'job_failed', error_message: '', error_details: {} },
    },
    {
      what: 'a new priority without a reason',
      road: ['createJob'] as const,
      request: ({ job }: Shot): Request => ['PATCH', `/api/jobs/${job}`, { priority: 9 }],
      event: { type: 'priority_changed', old_priority: 5, new_priority: 9, reason: '' },
    },
    {
      what: 'a rejection without a reason',
      road: ['createJob', 'claim', 'complete'] as const,
      request: ({ photo }: Shot): Request => ['POST', `/api/approval/${photo}/reject`],
      event: { type: 'photo_rejected', reason: '' },
    },
    {
      what: 'an analysis without a score',
      road: [] as const,
      request: ({ photo }: Shot): Request => ['PATCH', `/api/photos/${photo}`, { analysis_results: [] }],
      event: { type: 'photo_analyzed', ai_score: null, analysis_results: {} },
    },
    {
      what: 'a status without details',
      road: [] as const,
      request: (): Request => ['POST', '/api/system/status', { status: 'running' }],
      event: { type: 'system_status', status: 'running', details: {} },
    },
    {
      what: 'an error about nobody',
      road: [] as const,
      request: (): Request => ['POST', '/api/system/errors', { error_type: 'gpu', error_message: 'lost' }],
      event: { type: 'error_occurred', error_type: 'gpu', error_message: 'lost', error_details: {} },
    },
  ])('$what is told with empty text and empty objects', async ({ road, request, event }) => {
    await using server = await start()
    const shot = await createStudio(server.api).shoot(road)
    const client = await server.connect()
    await client.subscribe([channelOf(event.type as EventType)])

    const { status } = await server.api(...request(shot))
    await client.sync()

    const names = {
      ...(/^(job|priority)_/.test(event.type) ? { job_id: shot.job } : {}),
      ...(/^(job|photo|priority)_/.test(event.type) ? { photo_id: 1, session_id: 1 } : {}),
    }
    expect(status).toBeOneOf([200, 201])
    expect(client.events.at(-1)).toStrictEqual({
      ...names,
      ...event,
      timestamp: AT,
      channel: channelOf(event.type as EventType),
      seq: expect.any(Number),
    })
  })

  test('what is told about a photo of no session names none', async () => {
    await using server = await start()
    const client = await server.connect()
    await client.subscribe(channels)

    const photo = await done(server.api, ['POST', '/api/photos', { file_path: '/lone.jpg' }])
    const { walk } = createStudio(server.api)
    await walk({ ...nobody, photo: photo.id }, ['createJob', 'claim', 'complete', 'startExport', 'approve'])
    await client.sync()

    const told = client.events.filter((event) => !['queue', 'approval'].includes(String(event['channel'])))
    expect(told.map(({ type }) => type).toSorted()).toEqual([
      'export_started',
      'job_completed',
      'job_created',
      'job_started',
      'photo_approved',
      'photo_imported',
    ])
    expect(told.map((event) => event['session_id'])).toEqual(told.map(() => null))
    expect(client.events.filter((event) => event['channel'] === 'approval')).toStrictEqual([
      { type: 'approval_queue_updated', timestamp: AT, channel: 'approval', seq: 1, queue_count: 1 },
      { type: 'approval_queue_updated', timestamp: AT, channel: 'approval', seq: 2, queue_count: 0 },
    ])
  })
})

describe('resource_warning of the server itself', () => {
  /** The warnings that a series of samples gives. */
  async function warningsOf(samples: readonly ResourceUse[]): Promise<(readonly [string, number])[]> {
    const pending: PendingEvent[] = []
    const left = [...samples]
    const watch = createResourceWatch(
      () => Promise.resolve(left.shift() ?? {}),
      // It emits and asks nothing of the database.
      (run) => run(writeInto(undefined as never, AT, pending, new Set())),
    )
    for (const _ of samples) await watch()
    return pending.map(({ draft }) => {
      const data = draft.data as { resource_type: string; current_value: number }
      return [data.resource_type, data.current_value] as const
    })
  }

  test.each([
    ['cpu', 79.99, 80],
    ['memory', 84.99, 85],
    ['disk', 89.99, 90],
  ] as const)('%s at %d is no news, at %d it is', async (resource, below, threshold) => {
    expect(await warningsOf([{ [resource]: below }])).toEqual([])
    expect(await warningsOf([{ [resource]: below }, { [resource]: threshold }])).toEqual([
      [resource, threshold],
    ])
  })

  test('a resource that stays over its threshold is warned of once', async () => {
    expect(await warningsOf([{ cpu: 95 }, { cpu: 99 }, { cpu: 81 }])).toEqual([['cpu', 95]])
  })

  test('it is warned of again only after it fell 5 points below', async () => {
    expect(await warningsOf([{ cpu: 95 }, { cpu: 75.5 }, { cpu: 96 }])).toEqual([['cpu', 95]])
    expect(await warningsOf([{ cpu: 95 }, { cpu: 74.5 }, { cpu: 96 }])).toEqual([
      ['cpu', 95],
      ['cpu', 96],
    ])
  })

  test('resources are watched apart, and one that could not be measured stays as it was', async () => {
    const warnings = await warningsOf([
      { cpu: 80, memory: 90, disk: 99 },
      { disk: 50 },
      { cpu: 90, disk: 90.005 },
    ])

    expect(warnings).toEqual([
      ['cpu', 80],
      ['memory', 90],
      ['disk', 99],
      ['disk', 90.01],
    ])
  })

  test('a warning that could not be stored is given again', async () => {
    const pending: PendingEvent[] = []
    let full = true
    const watch = createResourceWatch(
      () => Promise.resolve({ disk: 95 }),
      (run) =>
        full ? Promise.reject(new Error('full')) : run(writeInto(undefined as never, AT, pending, new Set())),
    )

    const refused = await watch().then(
      () => undefined,
      (error: unknown) => String(error),
    )
    full = false
    await watch()
    await watch()

    expect(refused).toBe('Error: full')
    expect(pending.map(({ draft }) => draft)).toEqual([
      {
        type: 'resource_warning',
        data: { resource_type: 'disk', current_value: 95, threshold: 90, message: 'disk is at 95 %' },
      },
    ])
  })

  test('a sample over the threshold reaches the subscribers of system, in each framing', async () => {
    await using server = await start({ sampleResources: () => () => Promise.resolve({ cpu: 95 }) })
    const { subscribers, elsewhere, nowhere, sync } = await audience(server, ['system'])

    await Promise.all(subscribers.map((client) => client.next('resource_warning')))
    await sync()

    const data = { resource_type: 'cpu', current_value: 95, threshold: 80, message: 'cpu is at 95 %' }
    for (const client of subscribers) {
      expect(between(client)).toStrictEqual(numbered({ system: 0 }, [['resource_warning', data]]))
    }
    expect([...elsewhere.events, ...nowhere.events]).toEqual([])
  })
})
