/** The doctor's shoot up to the developed photos: a session, its photos, and the jobs on them. */
import * as z from 'zod'
import { jobSchema, type Job } from '../lib/domain/job-schemas.ts'
import { photoSchema, type Photo } from '../lib/domain/photos.ts'
import { sessionSchema } from '../lib/domain/sessions.ts'
import type { Changes, Expected } from './doctor-changes.ts'
import type { Context } from './doctor-context.ts'
import { need, NotTried, type Note } from './doctor-report.ts'

const PHOTOS = 3
const importedSchema = z.object({ photos: z.array(photoSchema).length(PHOTOS), count: z.literal(PHOTOS) })
const claimSchema = z.object({ job: jobSchema.nullable() })
const pendingSchema = z.object({ jobs: z.array(jobSchema) })
const counted: Expected = { type: 'queue_status' }

/** Names by which a person finds what a run has left. */
export function namesOf({ run }: Pick<Context, 'run'>) {
  return { session: `Doctor ${run}`, folder: `/lightwire-doctor/${run}`, worker: `doctor-${run}` }
}

export function sessionUpdated(
  { run }: Pick<Context, 'run'>,
  session_id: number,
  { processed, status = 'importing' }: { processed: number; status?: string },
): Expected {
  const progress_percent = Math.round((processed / PHOTOS) * 10_000) / 100
  const counts = { total_photos: PHOTOS, processed_photos: processed, progress_percent, status }
  return { type: 'session_updated', data: { session_id, session_name: namesOf({ run }).session, ...counts } }
}

export async function createSession(context: Context, changes: Changes): Promise<number> {
  const { session: name, folder: import_folder } = namesOf(context)
  const is = { name, import_folder, status: 'importing', total_photos: 0 }
  const wanted = { status: 201, schema: sessionSchema, is, body: { name, import_folder } }
  const { id } = await changes.make('POST', '/api/sessions', wanted, ({ id: session_id }) => [
    { type: 'session_created', data: { session_id, session_name: name, import_folder } },
  ])
  changes.noteSession(id)
  return id
}

/** Three photos in one request, analyzed and selected; as far as it came. */
export async function preparePhotos(
  context: Context,
  changes: Changes,
): Promise<readonly Photo[] | undefined> {
  const { report } = context
  const { folder } = namesOf(context)
  const photos = await report.check('photos imported', async (note) => {
    const session_id = need(changes.sessionId(), 'there is no session')
    const files = Array.from({ length: PHOTOS }, (_, n) => `IMG_${n + 1}.jpg`)
    const body = files.map((name) => ({ session_id, file_path: `${folder}/${name}`, file_size: 1000 }))
    const wanted = { status: 201, schema: importedSchema, body }
    const imported = await changes.make('POST', '/api/photos', wanted, (answer) => [
      ...answer.photos.map(({ id: photo_id, file_name, file_path }): Expected => {
        return { type: 'photo_imported', data: { photo_id, session_id, file_name, file_path } }
      }),
      sessionUpdated(context, session_id, { processed: 0 }),
    ])
    note(`${PHOTOS} in one request`)
    return imported.photos
  })
  const analyzed = await report.check('photos analyzed', async () => {
    for (const [index, photo] of need(photos, 'there are no photos').entries()) {
      const body = { ai_score: 3 + index / 2, analysis_results: { faces: index, sharpness: 0.5 } }
      const is = { ...body, status: 'analyzed' }
      await changePhoto(changes, photo, { schema: photoSchema, body, is }, 'photo_analyzed')
    }
    return true
  })
  const selected = await report.check('photos selected', async () => {
    need(analyzed, 'the photos are not analyzed')
    for (const photo of photos ?? []) {
      const body = { context_tag: 'portrait', selected_preset: 'Warm' }
      const is = { ...body, status: 'selected' }
      await changePhoto(changes, photo, { schema: photoSchema, body, is }, 'photo_selected')
    }
    return true
  })
  return selected ? photos : undefined
}

async function changePhoto(
  changes: Changes,
  { id: photo_id, session_id }: Photo,
  wanted: { schema: typeof photoSchema; body: Record<string, unknown>; is: Record<string, unknown> },
  type: 'photo_analyzed' | 'photo_selected',
): Promise<void> {
  const data = { photo_id, session_id, ...wanted.body }
  await changes.make('PATCH', `/api/photos/${photo_id}`, wanted, () => [{ type, data }])
}

/** A job that nobody works on: created, moved in the queue, cancelled. */
export async function queueAndCancel(
  context: Context,
  changes: Changes,
  photo: Photo | undefined,
): Promise<void> {
  const { report } = context
  const job = await report.check('job created', () =>
    createJob(changes, need(photo, 'no photo is selected'), 9),
  )
  await report.check('priority changed', async (note) => {
    const { id } = need(job, 'there is no job')
    const body = { priority: 8, reason: 'doctor' }
    const wanted = { schema: jobSchema, body, is: { priority: 8, status: 'pending' } }
    const moved = { old_priority: 9, new_priority: 8, reason: 'doctor' }
    await whileOurs(context, changes, id, () =>
      changes.make('PATCH', `/api/jobs/${id}`, wanted, (after) => [
        { type: 'priority_changed', data: { ...idsOf(after), ...moved } },
      ]),
    )
    note('from 9 to 8')
  })
  await report.check('job cancelled', async () => {
    const { id } = need(job, 'there is no job')
    const wanted = { schema: jobSchema, is: { status: 'cancelled' } }
    await whileOurs(context, changes, id, () =>
      changes.make('DELETE', `/api/jobs/${id}`, wanted, (after) => [
        { type: 'job_cancelled', data: idsOf(after) },
        counted,
      ]),
    )
  })
}

/** Works as a worker does: one job retried and completed, a second completed, a third failed; the completed photos. */
export async function developPhotos(
  context: Context,
  changes: Changes,
  photos: readonly Photo[] | undefined,
): Promise<readonly Photo[]> {
  const { report } = context
  const [first, second, third] = photos ?? []
  const claimed = await report.check('job claimed', (note) => startJob(context, changes, first, note))
  await report.check('job progress', async () => {
    const { id, attempts: attempt } = need(claimed, 'no job was claimed')
    const body = { stage: 'develop', progress: 42.5, message: 'half way' }
    const wanted = { schema: jobSchema, body: { ...body, attempt }, is: body }
    await changes.make('POST', `/api/jobs/${id}/progress`, wanted, (after) => [
      { type: 'job_progress', data: { ...idsOf(after), ...body } },
    ])
  })
  const retried = await report.check('job retried', async (note) => {
    const { id, attempts: attempt } = need(claimed, 'no job was claimed')
    const body = { error_message: 'a planned fault', retry: true, attempt }
    const wanted = { schema: jobSchema, body, is: { status: 'pending', worker: '' } }
    await changes.make('POST', `/api/jobs/${id}/fail`, wanted, (after) => [
      { type: 'job_requeued', data: { ...idsOf(after), reason: 'retry', attempt } },
      counted,
    ])
    const again = await claimJob(context, changes, id)
    note(`back to pending, claimed again as attempt ${again.attempts}`)
    return again
  })
  const completed = await report.check('job completed', async (note) => {
    await completeJob(context, changes, need(retried, 'no job was claimed'), 1)
    const other = await startJob(context, changes, second, () => undefined)
    await completeJob(context, changes, other, 2)
    note('2 photos wait for approval')
    return true
  })
  await report.check('job failed', async () => {
    const { id, attempts: attempt } = await startJob(context, changes, third, () => undefined)
    const failure = { error_message: 'a planned fault', error_details: { run: context.run } }
    const wanted = { schema: jobSchema, body: { ...failure, attempt }, is: { ...failure, status: 'failed' } }
    await changes.make('POST', `/api/jobs/${id}/fail`, wanted, (after) => [
      { type: 'job_failed', data: { ...idsOf(after), ...failure } },
      counted,
    ])
  })
  return completed ? (photos ?? []) : []
}

async function startJob(
  context: Context,
  changes: Changes,
  photo: Photo | undefined,
  note: Note,
): Promise<Job> {
  const { id } = await createJob(changes, need(photo, 'no photo is selected'), 1)
  const job = await claimJob(context, changes, id)
  note(`by ${job.worker}, attempt ${job.attempts}`)
  return job
}

async function createJob(changes: Changes, { id: photo_id }: Photo, priority: number): Promise<Job> {
  const body = { photo_id, priority, config: { preset: 'Warm' } }
  const wanted = { status: 201, schema: jobSchema, body, is: { ...body, status: 'pending', attempts: 0 } }
  return await changes.make('POST', '/api/jobs', wanted, (job) => [
    { type: 'job_created', data: { ...idsOf(job), priority } },
    counted,
  ])
}

/** Claims a job of ours and no other. @throws {NotTried} where a worker of the server has it, or would lose one */
async function claimJob(context: Context, changes: Changes, id: string): Promise<Job> {
  const { worker } = namesOf(context)
  await unlessTaken(context, changes, id)
  const { body: pending } = await context.api('GET', '/api/jobs?status=pending&priority=1&limit=1', {
    schema: pendingSchema,
  })
  if (pending.jobs[0]?.id !== id) {
    await unlessTaken(context, changes, id)
    throw new NotTried('another job of priority 1 waits there: a claim would take it from its workers')
  }
  const wanted = { schema: claimSchema, body: { worker } }
  const { job } = await changes.make('POST', '/api/jobs/claim', wanted, ({ job: claimed }) =>
    claimed?.id === id
      ? [{ type: 'job_started', data: { ...idsOf(claimed), worker, attempt: claimed.attempts } }, counted]
      : [],
  )
  if (job?.id === id) return job
  if (job) await giveBack(changes, job)
  await unlessTaken(context, changes, id)
  throw new NotTried('another worker was faster')
}

/** Another's job, claimed in a moment between two looks. */
async function giveBack(changes: Changes, { id, attempts: attempt }: Job): Promise<void> {
  const body = { error_message: 'claimed by a check of the server, given back', retry: true, attempt }
  await changes.make('POST', `/api/jobs/${id}/fail`, { schema: jobSchema, body }, () => [])
}

/** Acts on a pending job; that it failed because a worker took the job meanwhile is no fault. */
async function whileOurs<T>(
  context: Context,
  changes: Changes,
  id: string,
  act: () => Promise<T>,
): Promise<T> {
  await unlessTaken(context, changes, id)
  try {
    return await act()
  } catch (error) {
    await unlessTaken(context, changes, id)
    throw error
  }
}

/** @throws {NotTried} where a worker of somebody else has the job, or had it */
async function unlessTaken({ api, run }: Context, changes: Changes, id: string): Promise<void> {
  const { body: job } = await api('GET', `/api/jobs/${id}`, { schema: jobSchema })
  if (job.worker === '' || job.worker === namesOf({ run }).worker) return
  changes.noteTaken(id, job.worker)
  throw new NotTried(`worker ${job.worker} of that server took the job`)
}

async function completeJob(context: Context, changes: Changes, job: Job, processed: number): Promise<void> {
  const { id, session_id, attempts: attempt } = job
  const result = { output: `${job.photo_id}.tif` }
  const wanted = {
    schema: jobSchema,
    body: { result, attempt },
    is: { result, status: 'completed', progress: 100 },
  }
  await changes.make('POST', `/api/jobs/${id}/complete`, wanted, (after) => [
    { type: 'job_completed', data: { ...idsOf(after), result } },
    counted,
    { type: 'approval_queue_updated' },
    sessionUpdated(context, session_id ?? 0, { processed }),
  ])
}

function idsOf({ id: job_id, photo_id, session_id }: Job) {
  return { job_id, photo_id, session_id }
}
