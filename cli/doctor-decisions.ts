/** The rest of the doctor's shoot: approval, exports, words about the system, the session's end, and its removal. */
import * as z from 'zod'
import { approvalAnswer } from '../lib/domain/approval.ts'
import { exportSchema, type Export } from '../lib/domain/exports.ts'
import { jobSchema } from '../lib/domain/job-schemas.ts'
import { photoSchema, type Photo } from '../lib/domain/photos.ts'
import { sessionSchema } from '../lib/domain/sessions.ts'
import { errorInput, statusInput } from '../lib/domain/system.ts'
import { ask } from './rest-client.ts'
import { parseAs } from './doctor-api.ts'
import type { Changes } from './doctor-changes.ts'
import { needRights, type Context } from './doctor-context.ts'
import { need, NotTried, type Note } from './doctor-report.ts'
import { namesOf, sessionUpdated } from './doctor-shoot.ts'

/** How long a worker of somebody else is waited for that has a job of this run. */
const RELEASE_MS_MAX = 10_000
const RELEASE_PAUSE_MS = 500
const preset = { preset_name: 'Print', destination: '/lightwire-doctor/out' }
const waiting = 'no photo waits for approval'

/** Approves the first, rejects the second, ends an export well and one badly; the photo that was approved. */
export async function decidePhotos(
  context: Context,
  changes: Changes,
  [first, second]: readonly Photo[],
  anyPhoto: Photo | undefined,
): Promise<Photo | undefined> {
  const { report } = context
  const started = await report.check('photo approved', async (note) => {
    const { id: photo_id, session_id } = need(first, waiting)
    const schema = approvalAnswer.extend({ export: exportSchema })
    const wanted = { schema, is: { status: 'approved' }, body: { auto_export: preset } }
    const approved = await changes.make('POST', `/api/approval/${photo_id}/approve`, wanted, () => [
      { type: 'photo_approved', data: { photo_id, session_id } },
      { type: 'export_started', data: { photo_id, session_id, ...preset } },
      { type: 'approval_queue_updated' },
    ])
    note('with an export')
    return approved.export
  })
  await report.check('photo rejected', async () => {
    const { id: photo_id, session_id } = need(second, waiting)
    const reason = 'out of focus'
    const wanted = {
      schema: photoSchema,
      is: { status: 'rejected', rejection_reason: reason },
      body: { reason },
    }
    await changes.make('POST', `/api/approval/${photo_id}/reject`, wanted, () => [
      { type: 'photo_rejected', data: { photo_id, session_id, reason } },
      { type: 'approval_queue_updated' },
    ])
  })
  await report.check('export completed', async () => {
    const { id, photo_id, session_id } = need(started, 'no export was started')
    const result = { output_path: '/lightwire-doctor/out/IMG_1.tif', file_size: 5_000_000_000 }
    const wanted = { schema: exportSchema, is: { ...result, status: 'completed' }, body: result }
    await changes.make('POST', `/api/exports/${id}/complete`, wanted, () => [
      {
        type: 'export_completed',
        data: { photo_id, session_id, preset_name: preset.preset_name, ...result },
      },
    ])
  })
  await report.check('export failed', () => failExport(changes, need(anyPhoto, 'there are no photos')))
  return started && first
}

async function failExport(changes: Changes, { id: photo_id, session_id }: Photo): Promise<void> {
  const target = { preset_name: 'Web', destination: '/lightwire-doctor/out' }
  const wanted = {
    status: 201,
    schema: exportSchema,
    body: { photo_id, ...target },
    is: { status: 'running' },
  }
  const { id } = await changes.make('POST', '/api/exports', wanted, () => [
    { type: 'export_started', data: { photo_id, session_id, ...target } },
  ])
  const failure = { error_message: 'a planned fault' }
  const is: Partial<Export> = { ...failure, status: 'failed' }
  await changes.make('POST', `/api/exports/${id}/fail`, { schema: exportSchema, is, body: failure }, () => [
    { type: 'export_failed', data: { photo_id, session_id, preset_name: target.preset_name, ...failure } },
  ])
}

/** What is about no photo, then the session's end. */
export async function closeShoot(
  context: Context,
  changes: Changes,
  approved: Photo | undefined,
): Promise<void> {
  const { report, run } = context
  await report.check('system status', async () => {
    needRights(context, 'apiWrite')
    const body = { status: 'checked', details: { by: 'lightwire doctor', run } }
    await changes.make('POST', '/api/system/status', { schema: statusInput, is: body, body }, () => [
      { type: 'system_status', data: body },
    ])
  })
  await report.check('system error', async () => {
    needRights(context, 'apiWrite')
    const about = {
      error_type: 'doctor',
      error_message: 'a planned report of a check',
      error_details: { run },
    }
    const wanted = { status: 201, schema: errorInput, is: about, body: about }
    await changes.make('POST', '/api/system/errors', wanted, () => [{ type: 'error_occurred', data: about }])
  })
  await report.check('session completed', async () => {
    const session_id = need(changes.sessionId(), 'there is no session')
    need(approved, 'no photo was approved')
    const body = { status: 'completed' }
    // A worker of somebody else may have completed the third.
    const processed = changes.takenJobs.size > 0 ? {} : { processed_photos: 2 }
    const wanted = { schema: sessionSchema, is: { ...body, total_photos: 3, ...processed }, body }
    const { session: session_name } = namesOf(context)
    const rate = { total_photos: 3, approved_photos: 1, approval_rate: 33.33 }
    await changes.make('PATCH', `/api/sessions/${session_id}`, wanted, () => [
      { type: 'session_completed', data: { session_id, session_name, ...rate } },
      sessionUpdated(context, session_id, { processed: 2, status: 'completed' }),
    ])
  })
}

/** Removes what the run left there, whatever failed before. @throws {NotTried} where a worker holds a job of it */
export async function deleteSession(context: Context, changes: Changes, note: Note): Promise<void> {
  const { session: session_name } = namesOf(context)
  const session_id = changes.sessionId() ?? (await findSession(context))
  if (session_id === undefined) throw new NotTried('no session was created')
  changes.noteSession(session_id)
  const jobs = await releaseJobs(context, changes, session_id)
  const wanted = { schema: z.object({ deleted: sessionSchema }) }
  const left = jobs.some(({ status }) => status !== 'cancelled')
  await changes.make('DELETE', `/api/sessions/${session_id}`, wanted, () => [
    { type: 'session_deleted', data: { session_id, session_name } },
    ...(left ? [{ type: 'queue_status' } as const] : []),
  ])
  note(`session ${session_id} with its photos, jobs and exports`)
}

/** For an answer that never came: the name is this run's own. */
async function findSession(context: Context): Promise<number | undefined> {
  const schema = z.object({ sessions: z.array(z.object({ id: z.int(), name: z.string() })) })
  const answer = await ask(context, 'GET', '/api/sessions?sort=-id&limit=100')
  return parseAs('GET /api/sessions', answer, schema).sessions.find(
    ({ name }) => name === namesOf(context).session,
  )?.id
}

/** Ends our own running jobs and waits for those of others: a session with a running job cannot be deleted. */
async function releaseJobs(context: Context, changes: Changes, sessionId: number) {
  const { worker } = namesOf(context)
  const deadline = performance.now() + RELEASE_MS_MAX
  for (;;) {
    const jobs = await jobsOf(context, sessionId)
    const running = jobs.filter(({ status }) => status === 'processing')
    const [held] = running.filter((job) => job.worker !== worker)
    for (const { id, attempts: attempt } of running.filter((job) => job.worker === worker)) {
      const body = { error_message: 'the check ended', attempt }
      await changes.make('POST', `/api/jobs/${id}/fail`, { schema: jobSchema, body }, ({ photo_id }) => [
        {
          type: 'job_failed',
          data: {
            job_id: id,
            photo_id,
            session_id: sessionId,
            error_message: 'the check ended',
            error_details: {},
          },
        },
      ])
    }
    if (!held && running.length === 0) return jobs
    if (held && performance.now() > deadline) {
      throw new NotTried(
        `worker ${held.worker} is at a job of it; delete session ${sessionId} when that is over`,
      )
    }
    if (held) await Bun.sleep(RELEASE_PAUSE_MS)
  }
}

async function jobsOf({ api }: Context, sessionId: number) {
  const { body } = await api('GET', `/api/photos?session_id=${sessionId}`, {
    schema: z.object({ photos: z.array(photoSchema) }),
  })
  const perPhoto = await Promise.all(
    body.photos.map(({ id }) =>
      api('GET', `/api/jobs?photo_id=${id}`, { schema: z.object({ jobs: z.array(jobSchema) }) }),
    ),
  )
  return perPhoto.flatMap((answer) => answer.body.jobs)
}
