/** What the web app knows, event by event: each part begins where it was read, however late the others were. */
import { expect, test } from 'bun:test'
import { createAlerts } from '../../clients/web/src/model/alerts.ts'
import { createApproval, type PhotoRead } from '../../clients/web/src/model/approval.ts'
import { createFeed } from '../../clients/web/src/model/feed.ts'
import { createJobs, timeLeft } from '../../clients/web/src/model/jobs.ts'
import { createNames } from '../../clients/web/src/model/names.ts'
import { createSessions } from '../../clients/web/src/model/sessions.ts'
import { earliest, placesOf } from '../../clients/web/src/model/slice.ts'
import { event, noAnswer, reader, timestamp } from './told.ts'
import { eventually } from './studio.ts'

const photo = (id: number, more: Partial<PhotoRead> = {}): PhotoRead => ({
  id,
  session_id: 1,
  file_name: `${id}.jpg`,
  file_path: `/${id}.jpg`,
  status: 'completed',
  ai_score: 3,
  context_tag: '',
  selected_preset: '',
  ...more,
})

test('the cursor of several reads is before each of them, channel by channel', () => {
  expect(earliest(['e:jobs=5,photos=9', 'e:jobs=7,photos=8'])).toBe('e:jobs=5,photos=8')
  expect(earliest([])).toBe('')
})

test('an event that a read includes already is not applied to it a second time', () => {
  const sessions = createSessions()
  const row = { id: 1, name: 'a', status: 'importing', updated_at: timestamp }
  const counts = { total_photos: 10, processed_photos: 5, progress_percent: 50 }
  sessions.reset([{ ...row, ...counts }], placesOf('e:sessions=7'))
  const updated = (seq: number, processed_photos: number) =>
    event('sessions', seq, 'session_updated', {
      session_id: 1,
      session_name: 'a',
      ...counts,
      processed_photos,
    })

  expect(sessions.apply(updated(6, 4))).toBe(false)
  expect(sessions.get(1)?.processed_photos).toBe(5)
  expect(sessions.apply(updated(8, 6))).toBe(true)
  expect(sessions.get(1)?.processed_photos).toBe(6)
})

test('of two reads of jobs the later one counts, and events go on from there', () => {
  const jobs = createJobs()
  const job = { photo_id: 1, session_id: 1, stage: '', progress: 0, message: '', worker: '', priority: 5 }
  const times = { created_at: timestamp, started_at: null }
  const pending = { id: 'a', ...job, ...times, status: 'pending' } as const
  const working = { ...pending, status: 'processing', worker: 'w', started_at: timestamp } as const
  jobs.read([working], placesOf('e:jobs=9'))
  jobs.read([pending], placesOf('e:jobs=4'))

  expect(jobs.processing().map(({ id }) => id)).toEqual(['a'])
  expect(jobs.apply(event('jobs', 9, 'job_requeued', { job_id: 'a' }))).toBe(false)
  jobs.apply(event('jobs', 10, 'job_progress', { job_id: 'a', stage: 'develop', progress: 50, message: '' }))
  expect(jobs.processing()[0]).toMatchObject({ stage: 'develop', progress: 50, worker: 'w' })
  jobs.apply(event('jobs', 11, 'job_completed', { job_id: 'a' }))
  expect([jobs.processing().length, jobs.over()[0]?.status]).toEqual([0, 'completed'])
})

test('what is left of a job follows from how it went, in the time of the server', () => {
  const job = {
    id: 'a',
    photoId: 1,
    sessionId: 1,
    status: 'processing',
    stage: '',
    message: '',
    worker: '',
  } as const
  const row = { ...job, priority: 5, seq: 1, createdAt: 0, startedAt: 1000, heardAt: 11_000 }

  expect(timeLeft({ ...row, progress: 25 })).toBe(30_000)
  expect(timeLeft({ ...row, progress: 0 })).toBeUndefined()
  expect(timeLeft({ ...row, progress: 25, startedAt: 0 })).toBeUndefined()
})

test('a photo that is decided on while it is read does not come back', async () => {
  const { asked, read } = reader()
  const approval = createApproval({ read, onChange: () => undefined })
  approval.reset({ photos: [photo(1)], total: 1 }, placesOf('e:approval=1,jobs=1,photos=1'))

  approval.apply(event('jobs', 2, 'job_completed', { job_id: 'j', photo_id: 2 }))
  expect(asked.map(({ path }) => path)).toEqual(['/api/photos/2'])
  // Decided by somebody else after the server answered, and heard of before the answer is here.
  approval.apply(event('photos', 2, 'photo_approved', { photo_id: 2 }))
  asked[0]?.answer(photo(2), 'e:approval=2,jobs=2,photos=1')
  await Bun.sleep(0)
  expect(approval.list().map(({ id }) => id)).toEqual([1])
})

test('a photo that is read later than an event of it keeps what was read', async () => {
  const { asked, read } = reader()
  const approval = createApproval({ read, onChange: () => undefined })
  approval.reset({ photos: [], total: 0 }, placesOf('e:approval=1,jobs=1,photos=1'))

  approval.apply(event('jobs', 2, 'job_completed', { job_id: 'j', photo_id: 2 }))
  // The answer knows of a second development already, whose first event comes after it.
  asked[0]?.answer(photo(2, { ai_score: 5 }), 'e:approval=3,jobs=5,photos=4')
  await Bun.sleep(0)
  approval.apply(event('jobs', 3, 'job_created', { job_id: 'k', photo_id: 2, priority: 5 }))
  approval.apply(event('photos', 3, 'photo_analyzed', { photo_id: 2, ai_score: 1 }))
  expect(approval.list()).toMatchObject([{ id: 2, ai_score: 5 }])
  approval.apply(event('photos', 5, 'photo_rejected', { photo_id: 2 }))
  expect(approval.list()).toEqual([])
})

test('many photos at once are one read of the queue, best first', async () => {
  const { asked, read } = reader()
  const approval = createApproval({ read, onChange: () => undefined })
  approval.reset({ photos: [], total: 0 }, placesOf('e:approval=0,jobs=0,photos=0'))

  for (let seq = 1; seq <= 20; seq += 1)
    approval.apply(event('jobs', seq, 'job_completed', { job_id: String(seq), photo_id: seq }))
  asked[0]?.answer(photo(1), 'e:approval=1,jobs=1,photos=0')
  await Bun.sleep(300)

  expect(asked.map(({ path }) => path)).toEqual(['/api/photos/1', '/api/approval/queue?limit=200'])
  const photos = [photo(1), photo(2, { ai_score: 4 }), photo(3)]
  asked[1]?.answer({ photos, total: 3 }, 'e:approval=20,jobs=20,photos=0')
  await Bun.sleep(0)
  expect(approval.list().map(({ id }) => id)).toEqual([2, 3, 1])
})

test('of a session that is looked at alone all is read, however many of others are better', async () => {
  const { asked, read } = reader()
  const approval = createApproval({ read, onChange: () => undefined })
  const better = Array.from({ length: 199 }, (_, index) => photo(index + 10, { session_id: 2 }))
  approval.reset({ photos: [...better, photo(1)], total: 202 }, placesOf('e:approval=0,jobs=0,photos=0'))

  approval.lookAt(1)
  expect(asked.map(({ path }) => path)).toEqual(['/api/approval/queue?limit=200&session_id=1'])
  expect(approval.sessionHasMore).toBe(true)
  asked[0]?.answer({ photos: [photo(1), photo(2), photo(3)], total: 3 }, 'e:approval=0,jobs=0,photos=0')
  await eventually(async () => approval.sessionHasMore, false)
  expect(approval.list().filter(({ session_id }) => session_id === 1).length).toBe(3)
  expect(approval.total).toBe(202)
})

test('photos whose read has no answer are read again, and of several only the one that is gone is left out', async () => {
  const { asked, read } = reader()
  const approval = createApproval({ read, onChange: () => undefined })
  approval.reset({ photos: [], total: 0 }, placesOf('e:approval=0,jobs=0,photos=0'))
  const complete = (id: number) =>
    approval.apply(event('jobs', id, 'job_completed', { job_id: String(id), photo_id: id }))
  complete(1)
  for (const id of [2, 3, 4]) complete(id)

  asked[0]?.fail(0)
  await eventually(async () => asked.length, 5)
  expect(asked.slice(1).map(({ path }) => path.split('/').at(-1))).toEqual(['2', '3', '4', '1'])
  asked[1]?.fail(404)
  asked[2]?.fail(503)
  for (const [place, id] of [
    [3, 4],
    [4, 1],
  ] as const)
    asked[place]?.answer(photo(id), 'e:approval=1,jobs=4')
  await eventually(async () => asked.length, 6)
  expect(asked[5]?.path).toBe('/api/photos/3')
  asked[5]?.answer(photo(3), 'e:approval=1,jobs=4')
  await eventually(async () => approval.list().map(({ id }) => id), [4, 3, 1])
})

test('a name is asked for again when there was no answer, and is a number when there is none', async () => {
  const asked: number[] = []
  const names = createNames({
    async read(id) {
      asked.push(id)
      if (id === 1) throw noAnswer(404)
      if (asked.length < 3) throw noAnswer(429)
      return 'two.jpg'
    },
    onChange: () => undefined,
  })
  names.want(1)
  names.want(2)

  await eventually(async () => names.of(2), 'two.jpg')
  names.want(1)
  expect([asked, names.of(1)]).toEqual([[1, 2, 2], ''])
})

test('the feed keeps the newest two thousand of each kind, however many come', () => {
  const feed = createFeed((id) => `IMG_${id}`)
  const filter = { channels: new Set(['jobs', 'photos'] as const), withStates: false, words: '' }
  for (let seq = 1; seq <= 5000; seq += 1) {
    feed.apply(event('jobs', seq, 'job_progress', { job_id: 'a', stage: 's', progress: 1, message: '' }))
    if (seq % 1000 === 0) feed.apply(event('photos', seq, 'photo_approved', { photo_id: seq }))
  }

  expect(feed.list(filter).map(({ seq }) => seq)).toEqual([5000, 4000, 3000, 2000, 1000])
  expect(feed.list({ ...filter, withStates: true }).length).toBe(2000)
  expect(feed.list({ ...filter, words: 'img_3000' }).map(({ seq }) => seq)).toEqual([3000])
})

test('what was seen is not shown again after a reload, and new things are', () => {
  const kept = new Map<string, string>()
  const storage = {
    getItem: (name: string) => kept.get(name) ?? null,
    setItem: (name: string, value: string) => void kept.set(name, value),
  }
  const wrong = [1, 2, 3].map((seq) => event('system', seq, 'error_occurred'))
  const first = createAlerts(storage)
  first.reset(wrong.slice(0, 2), placesOf('e:system=2'))
  first.see(['system:1:' + timestamp])
  expect(first.list().map(({ seq }) => seq)).toEqual([2])

  const second = createAlerts(storage)
  second.reset(wrong, placesOf('e:system=3'))
  expect(second.list().map(({ seq }) => seq)).toEqual([3, 2])
})
