/** Derived values: their events follow every change, once per key and commit. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { channels } from '../../lib/protocol/events.ts'
import type { Answer, Api } from '../support/api.ts'
import type { Message } from '../support/client.ts'
import { start } from './event-support.ts'
import { createStudio, done, type Request, type Row, type Shot, type Step } from './studio.ts'

setDefaultTimeout(60_000)

const imported = (count: number, session_id: (n: number) => number) =>
  Array.from({ length: count }, (_, n) => ({ session_id: session_id(n), file_path: `/many/${n}.jpg` }))

test('500 photos in one import are 500 events of photos and one of their session', async () => {
  await using server = await start()
  await createStudio(server.api).shoot()
  const client = await server.connect({ framing: 'msgpack' })
  await client.subscribe(channels)

  await done(server.api, ['POST', '/api/photos', imported(500, () => 1)])
  await client.sync()

  const told = Map.groupBy(client.events, ({ type }) => type)
  expect([...told].map(([type, events]) => [type, events.length]).toSorted()).toEqual([
    ['photo_imported', 500],
    ['session_updated', 1],
  ])
  expect(told.get('session_updated')).toMatchObject([{ session_id: 1, total_photos: 501 }])
})

test('one import into three sessions is one event of each', async () => {
  await using server = await start()
  const studio = createStudio(server.api)
  for (let n = 0; n < 3; n += 1) await studio.shoot()
  const client = await server.connect()
  await client.subscribe(['sessions'])

  await done(server.api, ['POST', '/api/photos', imported(30, (n) => 1 + (n % 3))])
  await client.sync()

  expect(client.events.map(({ session_id, total_photos }) => [session_id, total_photos]).toSorted()).toEqual([
    [1, 11],
    [2, 11],
    [3, 11],
  ])
})

test('writes at once tell each derived value once per commit', async () => {
  await using server = await start()
  const studio = createStudio(server.api)
  const shots = [await studio.shoot()]
  for (let n = 1; n < 40; n += 1) shots.push(await studio.importInto(1))
  const client = await server.connect()
  await client.subscribe(['queue', 'sessions', 'approval', 'jobs'])
  // An answer's cursor is that of its commit: writes of one commit have the same.
  const commitsOf = async (act: (shot: Shot) => Promise<Answer>) =>
    new Set((await Promise.all(shots.map(act))).map(({ cursor }) => cursor)).size

  const created = await commitsOf(({ photo }) => server.api('POST', '/api/jobs', { photo_id: photo }))
  const claimed = await commitsOf(() => server.api('POST', '/api/jobs/claim', { worker: 'w' }))
  const { jobs } = await done<{ jobs: Row<string>[] }>(server.api, ['GET', '/api/jobs'])
  const ids = jobs.map(({ id }) => id)
  const completed = await commitsOf(() =>
    server.api('POST', `/api/jobs/${ids.pop() ?? ''}/complete`, { result: {} }),
  )
  await client.sync()

  const counted = (type: string) => client.events.filter((event) => event.type === type).length
  expect(counted('job_completed')).toBe(40)
  expect(counted('queue_status')).toBe(created + claimed + completed)
  expect(counted('session_updated')).toBe(completed)
  expect(counted('approval_queue_updated')).toBe(completed)
  expect(client.events.findLast(({ type }) => type === 'queue_status')).toMatchObject({
    completed: 40,
    total: 40,
  })
  expect(client.events.findLast(({ type }) => type === 'approval_queue_updated')).toMatchObject({
    queue_count: 40,
  })
})

test('every write of a shoot tells the derived values that it changes, once, and no others', async () => {
  await using server = await start()
  const { api } = server
  const studio = createStudio(api)
  const client = await server.connect()
  await client.subscribe(channels)
  const [first, second] = await twoPhotos(studio)
  const other = await studio.shoot()
  let shot = first
  const on = (photo: Shot, step: Step) => async () => {
    shot = await studio.walk({ ...photo, job: shot.photo === photo.photo ? shot.job : photo.job }, [step])
  }
  const send = (request: Request) => () => done<object>(api, request)
  const patch = (body: object) => send(['PATCH', '/api/sessions/1', body])
  const script: readonly (readonly [what: string, act: () => Promise<unknown>, told: string])[] = [
    ['analyze', on(first, 'analyze'), ''],
    ['select', on(first, 'select'), ''],
    ['create a job', on(first, 'createJob'), 'queue'],
    ['claim', on(first, 'claim'), 'queue'],
    ['progress', on(first, 'progress'), ''],
    ['another priority', on(first, 'prioritize'), ''],
    ['put back', on(first, 'retry'), 'queue'],
    ['claim again', on(first, 'claim'), 'queue'],
    ['complete', on(first, 'complete'), 'approval queue sessions'],
    ['analyze a finished photo', on(first, 'analyze'), ''],
    ['start an export', on(first, 'startExport'), ''],
    ['a job for a photo that waits for approval', on(first, 'createJob'), 'approval queue sessions'],
    ['cancel it', on(first, 'cancel'), 'approval queue sessions'],
    ['approve', on(first, 'approve'), 'approval'],
    ['move the session', patch({ status: 'developing' }), 'sessions'],
    ['move it there again', patch({ status: 'developing' }), ''],
    ['set its totals', patch({ total_photos: 10, processed_photos: 5 }), 'sessions'],
    ['set them again', patch({ total_photos: 10 }), ''],
    ['import under a total that sticks', send(['POST', '/api/photos', photoOf(1, '/a.jpg')]), ''],
    ['free its totals', patch({ total_photos: null, processed_photos: null }), 'sessions'],
    ['import', send(['POST', '/api/photos', photoOf(1, '/b.jpg')]), 'sessions'],
    ['import into no session', send(['POST', '/api/photos', photoOf(null, '/c.jpg')]), ''],
    ['rename the session', patch({ name: 'Renamed' }), 'sessions'],
    ['a job for the second photo', on(second, 'createJob'), 'queue'],
    ['claim it', on(second, 'claim'), 'queue'],
    ['fail it', on(second, 'fail'), 'queue'],
    ['try anew', on(second, 'createJob'), 'queue'],
    ['claim anew', on(second, 'claim'), 'queue'],
    ['complete anew', on(second, 'complete'), 'approval queue sessions'],
    ['a job elsewhere', on(other, 'createJob'), 'queue'],
    ['claim elsewhere', on(other, 'claim'), 'queue'],
    ['complete elsewhere', on(other, 'complete'), 'approval queue sessions'],
    ['reject elsewhere', on(other, 'reject'), 'approval'],
    ['announce a status', send(['POST', '/api/system/status', { status: 'paused' }]), ''],
    ['complete a session', patch({ status: 'completed' }), 'sessions'],
    ['delete a session whose photos are decided', send(['DELETE', '/api/sessions/2']), 'queue'],
    ['delete a session with a photo that waits', send(['DELETE', '/api/sessions/1']), 'approval queue'],
  ]
  await client.sync()

  const told: unknown[] = []
  const views: unknown[] = []
  const states: unknown[] = []
  for (const [what, act] of script) {
    const before = client.events.length
    await act()
    await client.sync()
    const derived = client.events.slice(before).filter(({ type }) => derivedTypes.includes(type))
    told.push([
      what,
      derived
        .map((event) => String(event['channel']))
        .toSorted()
        .join(' '),
    ])
    views.push([what, viewOf(client.events)])
    states.push([what, await stateNow(api)])
  }

  expect(told).toEqual(script.map(([what, , derived]) => [what, derived]))
  expect(views).toEqual(states)
})

const derivedTypes = ['session_updated', 'queue_status', 'approval_queue_updated']

async function twoPhotos(studio: ReturnType<typeof createStudio>): Promise<readonly [Shot, Shot]> {
  const first = await studio.shoot()
  return [first, await studio.importInto(first.session)]
}

function photoOf(session_id: number | null, file_path: string) {
  return { session_id, file_path }
}

/** What somebody who only listens knows of the derived values. */
function viewOf(events: readonly Message[]) {
  let queue: object = { pending: 0, processing: 0, completed: 0, failed: 0, total: 0 }
  let waiting: unknown = 0
  const sessions = new Map<unknown, unknown>()
  for (const { type, timestamp: _, channel: __, seq: ___, ...data } of events) {
    const { session_id, session_name } = data
    if (type === 'queue_status') queue = data
    if (type === 'approval_queue_updated') waiting = data['queue_count']
    if (type === 'session_updated') sessions.set(session_id, data)
    if (type === 'session_deleted') sessions.delete(session_id)
    if (type === 'session_created') {
      const empty = { total_photos: 0, processed_photos: 0, progress_percent: 0, status: 'importing' }
      sessions.set(session_id, { session_id, session_name, ...empty })
    }
  }
  return { queue, waiting, sessions: [...sessions.values()] }
}

/** The same as REST tells it. */
async function stateNow(api: Api) {
  const [queue, approval, list] = await Promise.all([
    done<object>(api, ['GET', '/api/queue']),
    done<{ total: number }>(api, ['GET', '/api/approval/queue?limit=1']),
    done<{ sessions: Row[] }>(api, ['GET', '/api/sessions']),
  ])
  const sessions = list.sessions.map(
    ({ id, name, total_photos, processed_photos, progress_percent, status }) => {
      return { session_id: id, session_name: name, total_photos, processed_photos, progress_percent, status }
    },
  )
  return { queue, waiting: approval.total, sessions }
}
