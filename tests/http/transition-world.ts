/** Everything that a transition can touch, as REST tells it, and what each step makes of it. */
import type { Answer, Api } from '../support/api.ts'
import type { Told } from './event-support.ts'
import { done, LEASE_SECONDS, type Row, type Shot, type Step } from './studio.ts'

interface Queue {
  readonly pending: number
  readonly processing: number
  readonly completed: number
  readonly failed: number
  readonly total: number
}

/** What is there around one photo; null for what is gone. */
export interface World {
  readonly photo: Row | null
  readonly session: Row | null
  readonly jobs: readonly Row<string>[]
  readonly exports: readonly Row[]
  readonly queue: Queue
  /** Photos of all sessions that wait for approval. */
  readonly waiting: number
  /** The heads of all channels. */
  readonly cursor: string | null
}

/** The columns that a step sets, and the events that it tells beside the derived ones. */
export interface Effect {
  readonly photo?: object
  readonly job?: object
  readonly newJob?: Row<string>
  readonly export?: object
  readonly newExport?: Row
  readonly told: readonly Told[]
}

export async function lookAt(api: Api, { session, photo }: Shot): Promise<World> {
  const [photoRow, sessionRow, jobs, exports, queue, approval] = await Promise.all([
    api<Row>('GET', `/api/photos/${photo}`),
    api<Row>('GET', `/api/sessions/${session}`),
    api<{ jobs: Row<string>[] }>('GET', `/api/jobs?photo_id=${photo}&sort=created_at`),
    api<{ exports: Row[] }>('GET', `/api/exports?photo_id=${photo}&sort=id`),
    api<Queue>('GET', '/api/queue'),
    api<{ total: number }>('GET', '/api/approval/queue?limit=1'),
  ])
  return {
    photo: photoRow.status === 404 ? null : photoRow.body,
    session: sessionRow.status === 404 ? null : sessionRow.body,
    jobs: jobs.body.jobs,
    exports: exports.body.exports,
    queue: queue.body,
    waiting: approval.body.total,
    cursor: queue.cursor,
  }
}

/** What a step does at a time, statuses aside: those are the table's. */
export function effectOf(
  step: Step,
  { photo: photo_id, session: session_id, job: job_id, export: exportId }: Shot,
  { before, at, answer }: { before: World; at: string; answer: Answer<{ id?: unknown }> },
): Effect {
  const ofPhoto = { photo_id, session_id }
  const ofJob = { job_id, ...ofPhoto }
  const job = before.jobs.find(({ id }) => id === job_id)
  const leaseEnd = new Date(Date.parse(at) + LEASE_SECONDS * 1000).toISOString()
  const over = { lease_expires_at: null, completed_at: at }
  switch (step) {
    case 'analyze': {
      const columns = { ai_score: 4.5, analysis_results: { faces: 2 } }
      return { photo: { ...columns, updated_at: at }, told: [['photo_analyzed', { ...ofPhoto, ...columns }]] }
    }
    case 'select': {
      const columns = { context_tag: 'portrait', selected_preset: 'Warm' }
      return { photo: { ...columns, updated_at: at }, told: [['photo_selected', { ...ofPhoto, ...columns }]] }
    }
    case 'approve':
      return { told: [['photo_approved', ofPhoto]] }
    case 'reject':
      return {
        photo: { rejection_reason: 'blurred' },
        told: [['photo_rejected', { ...ofPhoto, reason: 'blurred' }]],
      }
    case 'createJob':
    case 'createLastJob': {
      const [priority, config] = step === 'createJob' ? [5, { quality: 90 }] : [9, {}]
      const newJob = { ...freshJob, id: String(answer.body.id), ...ofPhoto, priority, config, created_at: at }
      return { newJob, told: [['job_created', { ...ofJob, job_id: newJob.id, priority }]] }
    }
    case 'claim': {
      const attempts = Number(job?.['attempts']) + 1
      const started_at = job?.['started_at'] ?? at
      return {
        job: { attempts, worker: 'gpu-1', lease_expires_at: leaseEnd, started_at },
        told: [['job_started', { ...ofJob, worker: 'gpu-1', attempt: attempts }]],
      }
    }
    case 'progress': {
      const columns = { stage: 'tone', progress: 42.5, message: 'half way' }
      return {
        job: { ...columns, lease_expires_at: leaseEnd },
        told: [['job_progress', { ...ofJob, ...columns }]],
      }
    }
    case 'complete': {
      const result = { output: '/out/1.tif' }
      return { job: { ...over, progress: 100, result }, told: [['job_completed', { ...ofJob, result }]] }
    }
    case 'fail': {
      const error = { error_message: 'out of memory', error_details: { needed: 9 } }
      return { job: { ...over, ...error }, told: [['job_failed', { ...ofJob, ...error }]] }
    }
    case 'retry': {
      const freed = { worker: '', lease_expires_at: null, stage: '', progress: 0, message: '' }
      return {
        job: { ...freed, error_message: 'try again', error_details: {} },
        told: [['job_requeued', { ...ofJob, reason: 'retry', attempt: job?.['attempts'] }]],
      }
    }
    case 'prioritize': {
      const data = { old_priority: job?.['priority'], new_priority: 2, reason: 'rush' }
      return { job: { priority: 2 }, told: [['priority_changed', { ...ofJob, ...data }]] }
    }
    case 'cancel':
      return { job: { completed_at: at }, told: [['job_cancelled', ofJob]] }
    case 'startExport': {
      const target = { preset_name: 'Print', destination: '/exports' }
      const newExport = {
        ...freshExport,
        id: Number(answer.body.id),
        ...ofPhoto,
        ...target,
        started_at: at,
      }
      return { newExport, told: [['export_started', { ...ofPhoto, ...target }]] }
    }
    case 'completeExport': {
      const columns = { output_path: '/exports/1.jpg', file_size: 6_000_000_000 }
      const preset_name = before.exports.find(({ id }) => id === exportId)?.['preset_name']
      return {
        export: { ...columns, completed_at: at },
        told: [['export_completed', { ...ofPhoto, preset_name, ...columns }]],
      }
    }
    case 'failExport': {
      const columns = { error_message: 'the disk is full' }
      const preset_name = before.exports.find(({ id }) => id === exportId)?.['preset_name']
      return {
        export: { ...columns, completed_at: at },
        told: [['export_failed', { ...ofPhoto, preset_name, ...columns }]],
      }
    }
  }
}

const freshJob = {
  status: 'pending',
  stage: '',
  progress: 0,
  message: '',
  result: {},
  error_message: '',
  error_details: {},
  attempts: 0,
  worker: '',
  lease_expires_at: null,
  started_at: null,
  completed_at: null,
}

const freshExport = {
  status: 'running',
  output_path: '',
  file_size: null,
  error_message: '',
  completed_at: null,
}

/** The statuses that the table gives; what is left out stays. */
export interface Next {
  readonly photo?: string
  readonly job?: string
  readonly export?: string
}

/** The world after a step, its cursor aside. */
export function worldAfter(
  before: World,
  shot: Shot,
  effect: Effect,
  { next, at }: { next: Next; at: string },
) {
  const [was, becomes] = [before.photo?.status ?? '', next.photo ?? before.photo?.status ?? '']
  const moved = was !== becomes
  const photo = {
    ...before.photo,
    ...effect.photo,
    status: becomes,
    ...(moved ? { updated_at: at } : {}),
  }
  const jobs = before.jobs.map((job) => {
    return job.id === shot.job ? { ...job, ...effect.job, status: next.job ?? job.status } : job
  })
  const exports = before.exports.map((row) => {
    return row.id === shot.export ? { ...row, ...effect.export, status: next.export ?? row.status } : row
  })
  const done = isProcessed(becomes) ? 1 : 0
  const counted = { photo_counts: { [becomes]: 1 }, processed_photos: done, progress_percent: done * 100 }
  const allJobs = effect.newJob ? [...jobs, effect.newJob] : jobs
  return {
    photo,
    session: moved ? { ...before.session, ...counted, updated_at: at } : before.session,
    jobs: allJobs,
    exports: effect.newExport ? [...exports, effect.newExport] : exports,
    queue: queueAfter(before, allJobs),
    waiting: before.waiting + Number(becomes === 'completed') - Number(was === 'completed'),
  }
}

function isProcessed(status: string): boolean {
  return ['completed', 'approved', 'rejected'].includes(status)
}

/** The counts, moved by what became of the jobs of one photo. */
function queueAfter({ queue, jobs: before }: World, after: readonly Row<string>[]): Queue {
  const by = (status: string) =>
    after.filter((job) => job.status === status).length - before.filter((job) => job.status === status).length
  const pending = queue.pending + by('pending')
  const processing = queue.processing + by('processing')
  const completed = queue.completed + by('completed')
  const failed = queue.failed + by('failed')
  return { pending, processing, completed, failed, total: pending + processing + completed + failed }
}

/** The derived events of what differs between two worlds. */
export function derivedBetween(before: World, after: World, { session: session_id }: Shot): readonly Told[] {
  const told: Told[] = []
  const [then, now] = [seenOf(before.session), seenOf(after.session)]
  if (now && !Bun.deepEquals(then, now)) told.push(['session_updated', now])
  if (!Bun.deepEquals(before.queue, after.queue)) told.push(['queue_status', after.queue])
  if (before.waiting !== after.waiting) {
    told.push(['approval_queue_updated', { queue_count: after.waiting, session_id }])
  }
  return told
}

/** What `session_updated` says of a session. */
function seenOf(session: Row | null) {
  if (!session) return undefined
  const { id, name, total_photos, processed_photos, progress_percent, status } = session
  return { session_id: id, session_name: name, total_photos, processed_photos, progress_percent, status }
}

/** Kept counts beside what counting the rows gives. */
export async function keptAndCounted(api: Api) {
  const jobs = await allOf<Row<string>>(api, 'jobs')
  const photos = await allOf<Row>(api, 'photos')
  const sessions = await allOf<Row>(api, 'sessions')
  const kept = {
    queue: await done<object>(api, ['GET', '/api/queue']),
    waiting: (await done<{ total: number }>(api, ['GET', '/api/approval/queue?limit=1'])).total,
    sessions: await Promise.all(
      sessions.map(async ({ id }) => {
        const session = await done(api, ['GET', `/api/sessions/${id}`])
        return [id, session['photo_counts'], session['total_photos'], session['processed_photos']]
      }),
    ),
  }
  const { pending = 0, processing = 0, completed = 0, failed = 0 } = countBy(jobs)
  const total = pending + processing + completed + failed
  const counted = {
    queue: { pending, processing, completed, failed, total },
    waiting: photos.filter(({ status }) => status === 'completed').length,
    sessions: sessions.map(({ id }) => {
      const own = photos.filter(({ session_id }) => session_id === id)
      return [id, countBy(own), own.length, own.filter(({ status }) => isProcessed(status)).length]
    }),
  }
  return { kept, counted, rows: jobs.length + photos.length + sessions.length }
}

async function allOf<T>(api: Api, plural: string): Promise<T[]> {
  const rows: T[] = []
  for (;;) {
    const path = `/api/${plural}?limit=500&offset=${rows.length}`
    const page = await done<Record<string, T[]>>(api, ['GET', path])
    const more = page[plural] ?? []
    rows.push(...more)
    if (more.length < 500) return rows
  }
}

function countBy(rows: readonly { status: string }[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { status } of rows) counts[status] = (counts[status] ?? 0) + 1
  return counts
}
