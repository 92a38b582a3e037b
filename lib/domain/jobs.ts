/** Jobs: work on one photo, claimed by outside workers under a lease; `attempts` is the fence. */
import { randomBytes } from 'node:crypto'
import type * as z from 'zod'
import { Refusal } from '../protocol/refusals.ts'
import type { JobRow, Queries } from '../store/schema.ts'
import type { Write } from '../store/write.ts'
import { countJobs, totalOf } from './counters.ts'
import type {
  claimInput,
  completeInput,
  failInput,
  Job,
  jobInput,
  jobPatch,
  jobQuery,
  progressInput,
} from './job-schemas.ts'
import type { PhotoStatus } from './photo-status.ts'
import {
  endJobPhoto,
  leaseEnd,
  moveJobPhoto,
  namesOf,
  openJobs,
  readJob,
  resumePhoto,
  toJob,
  updateJob,
} from './job-rows.ts'
import { movePhoto, readPhoto } from './photos.ts'
import { readPage, unindexed } from './paging.ts'
import { parseObject, wrongState } from './values.ts'

/** Who acts on a job, and with which claim: the attempt where it is named, else the subject that claimed. */
export interface Claimant {
  readonly subject: string
  readonly attempt?: number | undefined
}

export async function listJobs(queries: Queries, query: z.output<typeof jobQuery>) {
  const { status, photo_id, priority } = query
  let rows = queries.selectFrom('jobs').selectAll()
  // A photo has few jobs; no other index is better.
  const by = <C extends 'status' | 'priority'>(column: C) =>
    photo_id === undefined ? column : unindexed<JobRow[C]>(column)
  if (photo_id !== undefined) rows = rows.where('photo_id', '=', photo_id)
  if (status) rows = rows.where(by('status'), '=', status)
  if (priority !== undefined) rows = rows.where(by('priority'), '=', priority)
  const kept = photo_id === undefined && priority === undefined
  const total = kept ? await totalOf(queries, 'jobs', status) : undefined
  const { rows: jobs, ...page } = await readPage(rows, query, {
    tieBreak: 'ordinal',
    created: 'created_at',
    total,
  })
  return { jobs: jobs.map(toJob), count: jobs.length, ...page }
}

/** @throws {Refusal} `not_found` */
export async function getJob(queries: Queries, id: string): Promise<Job> {
  return toJob(await readJob(queries, id))
}

/** @throws {Refusal} `not_found`, or `conflict` for a photo that is decided already */
export async function createJob(write: Write, input: z.output<typeof jobInput>): Promise<Job> {
  const { queries, now } = write
  const photo = await readPhoto(queries, input.photo_id)
  if (photo.status === 'approved' || photo.status === 'rejected') {
    throw wrongState(`photo ${photo.id}`, photo.status)
  }
  const row = await queries
    .insertInto('jobs')
    .values({
      id: randomBytes(16).toString('hex'),
      photo_id: photo.id,
      session_id: photo.session_id,
      priority: input.priority,
      config: JSON.stringify(input.config),
      status: 'pending',
      stage: '',
      progress: 0,
      message: '',
      result: '{}',
      error_message: '',
      error_details: '{}',
      attempts: 0,
      worker: '',
      claimed_by: '',
      photo_status: photo.status,
      lease_seconds: 0,
      lease_expires_at: null,
      created_at: now,
      started_at: null,
      completed_at: null,
    })
    .returningAll()
    .executeTakeFirstOrThrow()
  write.emit({ type: 'job_created', data: { ...namesOf(row), priority: row.priority } })
  await countJobs(write, { pending: 1 })
  await movePhoto(write, photo, 'queued')
  return toJob(row)
}

/** Leases the next pending job by priority, then age; undefined when there is none. */
export async function claimNextJob(
  write: Write,
  subject: string,
  input: z.output<typeof claimInput>,
): Promise<Job | undefined> {
  const next = await write.queries
    .selectFrom('jobs')
    .selectAll()
    .where('status', '=', 'pending')
    .orderBy('priority')
    .orderBy('ordinal')
    .limit(1)
    .executeTakeFirst()
  return next && (await lease(write, next, subject, input))
}

/** Leases the named job. @throws {Refusal} `not_found`, or `conflict` when it is not pending */
export async function claimJob(
  write: Write,
  id: string,
  subject: string,
  input: z.output<typeof claimInput>,
): Promise<Job> {
  const row = await readJob(write.queries, id)
  if (row.status !== 'pending') throw wrongState(`job ${id}`, row.status)
  return await lease(write, row, subject, input)
}

/** Reports progress and renews the lease. @throws {Refusal} `not_found`, `conflict` */
export async function reportProgress(
  write: Write,
  id: string,
  claimant: Claimant,
  { stage, progress, message }: z.output<typeof progressInput>,
): Promise<Job> {
  const row = await readClaimed(write, id, claimant)
  const lease_expires_at = leaseEnd(write.now, row.lease_seconds)
  const after = await updateJob(write, row, { stage, progress, message, lease_expires_at })
  write.emit({ type: 'job_progress', data: { ...namesOf(row), stage, progress, message } })
  return toJob(after)
}

/** @throws {Refusal} `not_found`, `conflict` */
export async function completeJob(
  write: Write,
  id: string,
  claimant: Claimant,
  { result }: z.output<typeof completeInput>,
): Promise<Job> {
  const row = await readClaimed(write, id, claimant)
  const after = await finish(write, row, 'completed', { progress: 100, result: JSON.stringify(result) })
  write.emit({ type: 'job_completed', data: { ...namesOf(row), result } })
  await endJobPhoto(write, row, 'completed')
  return toJob(after)
}

/** Fails a job for good, or with `retry` puts it back to pending. @throws {Refusal} `not_found`, `conflict` */
export async function failJob(
  write: Write,
  id: string,
  claimant: Claimant,
  { error_message, error_details, retry }: z.output<typeof failInput>,
): Promise<Job> {
  const row = await readClaimed(write, id, claimant)
  const error = { error_message, error_details: JSON.stringify(error_details) }
  if (retry) return toJob(await requeueJob(write, row, 'retry', error))
  return toJob(await failForGood(write, row, error))
}

/** @throws {Refusal} `not_found`, or `conflict` when the job is over */
export async function setPriority(write: Write, id: string, patch: z.output<typeof jobPatch>): Promise<Job> {
  const row = await readJob(write.queries, id)
  if (row.status !== 'pending' && row.status !== 'processing') {
    throw wrongState(`job ${id}`, row.status)
  }
  const { priority, reason } = patch
  const after = await updateJob(write, row, { priority })
  const data = { ...namesOf(row), old_priority: row.priority, new_priority: priority, reason }
  write.emit({ type: 'priority_changed', data })
  return toJob(after)
}

/** Cancels a pending job and gives its photo the earlier status back. @throws {Refusal} `not_found`, `conflict` */
export async function cancelJob(write: Write, id: string): Promise<Job> {
  const { queries, now } = write
  const row = await readJob(queries, id)
  if (row.status !== 'pending') throw wrongState(`job ${id}`, row.status)
  const after = await updateJob(write, row, { status: 'cancelled', completed_at: now })
  write.emit({ type: 'job_cancelled', data: namesOf(row) })
  await countJobs(write, { pending: -1, cancelled: 1 })
  // Another open job of the same photo keeps it, and inherits the status to give back.
  await queries
    .updateTable('jobs')
    .set({ photo_status: row.photo_status })
    .where('photo_id', '=', row.photo_id)
    .where('status', 'in', ['pending', 'processing'])
    .where('photo_status', 'in', ['queued', 'processing'])
    .execute()
  const open = await openJobs(queries, row.photo_id)
  if (open.length === 0) await moveJobPhoto(write, row, row.photo_status as PhotoStatus)
  // Only this job had queued it; the other one is still at work.
  else if (open.includes('processing')) await resumePhoto(write, row)
  return toJob(after)
}

/** Puts a claimed job back to pending, its photo to queued. */
export async function requeueJob(
  write: Write,
  row: JobRow,
  reason: 'retry' | 'lease_expired',
  error: Pick<JobRow, 'error_message' | 'error_details'>,
): Promise<JobRow> {
  const freed = { worker: '', claimed_by: '', lease_expires_at: null, stage: '', progress: 0, message: '' }
  const after = await updateJob(write, row, { ...freed, ...error, status: 'pending' })
  write.emit({ type: 'job_requeued', data: { ...namesOf(row), reason, attempt: row.attempts } })
  await countJobs(write, { processing: -1, pending: 1 })
  await moveJobPhoto(write, row, 'queued')
  return after
}

/** Ends a claimed job as failed, its photo too. */
export async function failForGood(
  write: Write,
  row: JobRow,
  error: Pick<JobRow, 'error_message' | 'error_details'>,
): Promise<JobRow> {
  const after = await finish(write, row, 'failed', error)
  const { error_message } = error
  write.emit({
    type: 'job_failed',
    data: { ...namesOf(row), error_message, error_details: parseObject(error.error_details) },
  })
  await endJobPhoto(write, row, 'failed')
  return after
}

async function lease(
  write: Write,
  row: JobRow,
  subject: string,
  { worker, lease_seconds }: z.output<typeof claimInput>,
): Promise<Job> {
  const attempts = row.attempts + 1
  const after = await updateJob(write, row, {
    status: 'processing',
    attempts,
    worker,
    claimed_by: subject,
    lease_seconds,
    lease_expires_at: leaseEnd(write.now, lease_seconds),
    started_at: row.started_at ?? write.now,
  })
  write.emit({ type: 'job_started', data: { ...namesOf(row), worker, attempt: attempts } })
  await countJobs(write, { pending: -1, processing: 1 })
  await moveJobPhoto(write, row, 'processing')
  return toJob(after)
}

/** The job, when the claimant still holds it. @throws {Refusal} `not_found`, `conflict` */
async function readClaimed(write: Write, id: string, { subject, attempt }: Claimant): Promise<JobRow> {
  const row = await readJob(write.queries, id)
  if (row.status !== 'processing') throw wrongState(`job ${id}`, row.status)
  if (attempt !== undefined && attempt !== row.attempts) {
    throw lostClaim(row, `job ${id} is at attempt ${row.attempts}, not ${attempt}`)
  }
  if (attempt === undefined && row.claimed_by !== subject) {
    throw lostClaim(row, `job ${id} was claimed by somebody else; name the attempt of the claim`)
  }
  // The sweep of leases may come a moment later; a lease that ran out is over at once.
  if (row.lease_expires_at !== null && row.lease_expires_at <= write.now) {
    throw lostClaim(row, `the lease of job ${id} ran out`)
  }
  return row
}

function lostClaim({ status }: JobRow, sentence: string): Refusal {
  return new Refusal('conflict', sentence, { currentStatus: status })
}

async function finish(
  write: Write,
  row: JobRow,
  status: 'completed' | 'failed',
  columns: Partial<JobRow>,
): Promise<JobRow> {
  const after = await updateJob(write, row, {
    ...columns,
    status,
    lease_expires_at: null,
    completed_at: write.now,
  })
  await countJobs(write, { processing: -1, [status]: 1 })
  return after
}
