/** Which jobs the page says are next: those that the server hands out next. */
import { expect, test } from 'bun:test'
import { createJobs, type JobRead } from '../../clients/web/src/model/jobs.ts'
import { createNextJobs, PENDING_PATH } from '../../clients/web/src/model/next-jobs.ts'
import { placesOf } from '../../clients/web/src/model/slice.ts'
import { eventually } from './studio.ts'
import { event, reader } from './told.ts'

const START_MS = Date.parse('2026-01-01T00:00:00.000Z')
/** Each was created a second after the one before. */
const at = (id: number) => new Date(START_MS + id * 1000).toISOString()

const waiting = (id: number, priority = 5): JobRead => ({
  id: String(id),
  photo_id: id,
  session_id: 1,
  status: 'pending',
  stage: '',
  progress: 0,
  message: '',
  worker: '',
  priority,
  created_at: at(id),
  started_at: null,
})

const count = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)

/** A page that has read the first hundred of so many. */
function nextJobs(total: number) {
  const { asked, read } = reader()
  const jobs = createJobs()
  const next = createNextJobs({ jobs, read, onChange: () => undefined })
  const places = placesOf('e:jobs=1000,queue=1000,sessions=1000')
  const pending = { value: { jobs: count(1, Math.min(100, total)).map((id) => waiting(id)), total }, places }
  next.reset({ processing: { value: [], places }, pending })
  let seq = 1000
  const tell = (type: string, id: number, fields: object = {}) => {
    seq += 1
    next.apply({
      ...event('jobs', seq, type, { job_id: String(id), photo_id: id, session_id: 1, ...fields }),
      timestamp: at(id),
    })
  }
  const first = (many = 4) =>
    jobs
      .pending()
      .slice(0, many)
      .map(({ id }) => Number(id))
  return { jobs, next, asked, tell, first }
}

test('of more jobs than are kept those that are next stay', () => {
  const { jobs, tell, first } = nextJobs(0)

  for (const id of count(1, 400)) tell('job_created', id, { priority: 5 })
  expect([first(), jobs.pending().length]).toEqual([[1, 2, 3, 4], 300])
  tell('job_created', 401, { priority: 1 })
  tell('job_requeued', 0)
  expect(first()).toEqual([401, 0, 1, 2])
})

test('the next jobs are read when few of the first ones are left', async () => {
  const { jobs, asked, tell, first } = nextJobs(150)

  // Behind some that are not here.
  tell('job_created', 151, { priority: 5 })
  for (const id of count(1, 51)) tell('job_started', id, { worker: 'w' })
  expect(asked.map(({ path }) => path)).toEqual([PENDING_PATH])
  asked[0]?.answer({ jobs: count(52, 151).map((id) => waiting(id)), total: 100 }, 'e:jobs=1052')
  await eventually(async () => jobs.pending().length, 100)
  for (const id of count(52, 149)) tell('job_started', id, { worker: 'w' })
  expect(first()).toEqual([150, 151])
  tell('job_created', 152, { priority: 5 })
  expect(first()).toEqual([150, 151, 152])
  await Bun.sleep(300)
  expect(asked.length).toBe(1)
})

test('a job that is over while the next ones are read does not wait again', async () => {
  const { jobs, asked, tell, first } = nextJobs(150)

  for (const id of count(1, 51)) tell('job_started', id, { worker: 'w' })
  for (const id of count(52, 150)) {
    tell('job_started', id, { worker: 'w' })
    tell('job_completed', id)
  }
  tell('job_created', 151, { priority: 5 })
  asked[0]?.answer({ jobs: count(52, 150).map((id) => waiting(id)), total: 99 }, 'e:jobs=1051')
  await eventually(async () => first(), [151])
  expect(jobs.processing().length).toBe(51)
})

test('jobs are read again after a read that failed, and when one of the others is made more urgent', async () => {
  const { asked, next, first } = nextJobs(150)
  const urgent = { job_id: '140', old_priority: 5, new_priority: 1, reason: '' }

  next.apply(event('queue', 1001, 'priority_changed', urgent))
  asked[0]?.fail(503)
  await eventually(async () => asked.length, 2)
  const jobs = [waiting(140, 1), ...count(1, 99).map((id) => waiting(id))]
  asked[1]?.answer({ jobs, total: 150 }, 'e:jobs=1000,queue=1001')
  await eventually(async () => first(), [140, 1, 2, 3])
})

test('what the reads left out is not brought back by events from before them', () => {
  const { jobs, next, tell } = nextJobs(0)

  for (const [seq, type] of [
    [7, 'job_created'],
    [8, 'job_started'],
  ] as const)
    next.apply(event('jobs', seq, type, { job_id: 'gone', photo_id: 1, session_id: 7, priority: 5 }))
  tell('job_created', 2, { priority: 5 })
  expect([jobs.pending().length, jobs.processing().length]).toEqual([1, 0])
})
