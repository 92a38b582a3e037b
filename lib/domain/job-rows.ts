/** Rows of jobs: read, stored, shown, and the photo that moves with them. */
import type { JobRow, Queries } from '../store/schema.ts'
import type { Write } from '../store/write.ts'
import type { JobStatus } from './counters.ts'
import type { Job } from './job-schemas.ts'
import type { PhotoStatus } from './photo-status.ts'
import { movePhoto, readPhoto } from './photos.ts'
import { found, parseObject } from './values.ts'

/** A job moves its photo from any state but approved and rejected. */
export async function moveJobPhoto(write: Write, { photo_id }: JobRow, status: PhotoStatus): Promise<void> {
  const photo = await readPhoto(write.queries, photo_id)
  if (photo.status !== 'approved' && photo.status !== 'rejected') await movePhoto(write, photo, status)
}

/** What a finished job made of its photo is what a later cancel of another one gives back. */
export async function endJobPhoto(write: Write, row: JobRow, status: 'completed' | 'failed'): Promise<void> {
  await moveJobPhoto(write, row, status)
  await write.queries
    .updateTable('jobs')
    .set({ photo_status: status })
    .where('photo_id', '=', row.photo_id)
    .where('id', '!=', row.id)
    .where('status', 'in', ['pending', 'processing'])
    .execute()
}

export async function updateJob(write: Write, row: JobRow, columns: Partial<JobRow>): Promise<JobRow> {
  await write.queries.updateTable('jobs').set(columns).where('id', '=', row.id).execute()
  return { ...row, ...columns }
}

/** Statuses of the photo's jobs that are not over. */
export async function openJobs(queries: Queries, photoId: number): Promise<string[]> {
  const open = await queries
    .selectFrom('jobs')
    .select('status')
    .where('photo_id', '=', photoId)
    .where('status', 'in', ['pending', 'processing'])
    .execute()
  return open.map(({ status }) => status)
}

/** A photo that was queued anew while a job worked on it is in that job's hands again. */
export async function resumePhoto(write: Write, { photo_id }: JobRow): Promise<void> {
  const photo = await readPhoto(write.queries, photo_id)
  if (photo.status === 'queued') await movePhoto(write, photo, 'processing')
}

export async function readJob(queries: Queries, id: string): Promise<JobRow> {
  const row = await queries.selectFrom('jobs').selectAll().where('id', '=', id).executeTakeFirst()
  return found(row, `job ${id}`)
}

export function leaseEnd(now: string, seconds: number): string {
  return new Date(Date.parse(now) + seconds * 1000).toISOString()
}

export function namesOf({ id, photo_id, session_id }: JobRow) {
  return { job_id: id, photo_id, session_id }
}

export function toJob(row: JobRow): Job {
  const { ordinal: _, claimed_by: __, photo_status: ___, lease_seconds: ____, ...shown } = row
  return {
    ...shown,
    status: row.status as JobStatus,
    config: parseObject(row.config),
    result: parseObject(row.result),
    error_details: parseObject(row.error_details),
  }
}
