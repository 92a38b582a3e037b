/** Commands: an event about a row held here does what the row's REST route does, with its checks. */
import type * as z from 'zod'
import type { Draft, EventData, EventType } from '../protocol/events.ts'
import { Refusal, refuseInput } from '../protocol/refusals.ts'
import type { Write } from '../store/write.ts'
import { approvalInput, approvePhoto, rejectionInput, rejectPhoto } from './approval.ts'
import {
  completeExport,
  exportFailure,
  exportResult,
  exportTarget,
  failExport,
  runningExport,
  startExport,
} from './exports.ts'
import { claimInput, completeInput, failInput, jobPatch, progressInput } from './job-schemas.ts'
import { cancelJob, claimJob, completeJob, failJob, reportProgress, setPriority } from './jobs.ts'
import { patchPhoto, photoPatch } from './photos.ts'
import { wrongState } from './values.ts'
import { deleteSession, getSession, patchSession, sessionPatch } from './sessions.ts'

/** Who commands, and what beside the event's checked fields was said. */
interface Sender {
  readonly subject: string
  /** The claim's number, where the sender names it. */
  readonly attempt: number | undefined
  /** The event as it was sent: a field that was left out has no default here. */
  readonly sent: Readonly<Record<string, unknown>>
}

type Command<T extends EventType> = (write: Write, data: EventData<T>, sender: Sender) => Promise<unknown>

/** The event types that are commands. Creations are not: their rows get their ids here. */
const commands: { readonly [T in EventType]?: Command<T> } = {
  job_started: (write, { job_id, worker }, { subject }) =>
    claimJob(write, job_id, subject, check(claimInput, { worker: worker || subject })),
  job_progress: (write, data, sender) =>
    reportProgress(write, data.job_id, sender, check(progressInput, data)),
  job_completed: (write, data, sender) => completeJob(write, data.job_id, sender, check(completeInput, data)),
  job_failed: (write, data, sender) =>
    failJob(write, data.job_id, sender, check(failInput, { ...data, retry: false })),
  job_requeued(write, { job_id, reason, attempt }, { subject }) {
    if (reason !== 'retry') throw new Refusal('conflict', 'only the server itself ends leases')
    return failJob(write, job_id, { subject, attempt }, check(failInput, { error_message: '', retry: true }))
  },
  job_cancelled: (write, { job_id }) => cancelJob(write, job_id),
  priority_changed: (write, { job_id, new_priority: priority, reason }) =>
    setPriority(write, job_id, check(jobPatch, { priority, reason })),
  photo_analyzed: (write, { photo_id }, { sent: { ai_score, analysis_results } }) =>
    patchPhoto(write, photo_id, check(photoPatch, { ai_score, analysis_results })),
  photo_selected: (write, { photo_id, context_tag, selected_preset }) =>
    patchPhoto(write, photo_id, check(photoPatch, { context_tag, selected_preset })),
  photo_approved: (write, { photo_id }, { sent: { auto_export } }) =>
    approvePhoto(write, photo_id, check(approvalInput, { auto_export })),
  photo_rejected: (write, { photo_id, reason }) =>
    rejectPhoto(write, photo_id, check(rejectionInput, { reason })),
  session_updated: (write, { session_id, session_name: name, status }) =>
    changeSession(write, session_id, { name, status }),
  session_completed: (write, { session_id }) => changeSession(write, session_id, { status: 'completed' }),
  session_deleted: (write, { session_id }) => deleteSession(write, session_id),
  export_started: (write, { photo_id, ...target }) =>
    startExport(write, photo_id, check(exportTarget, target)),
  export_completed: async (write, { photo_id, preset_name, ...result }) =>
    completeExport(write, await exportMeant(write, photo_id, preset_name), check(exportResult, result)),
  export_failed: async (write, { photo_id, preset_name, ...failure }) =>
    failExport(write, await exportMeant(write, photo_id, preset_name), check(exportFailure, failure)),
}

/** Does what the row's route does. @throws {Refusal} as the route; `conflict` where the event is no command */
export async function runCommand(
  write: Write,
  { type, data }: Draft,
  sender: Sender,
  row: string,
): Promise<void> {
  // The table's key and its function go together; the compiler does not follow that through a lookup.
  const command = commands[type] as Command<EventType> | undefined
  if (!command) throw new Refusal('conflict', `${type} is not a command on ${row}`)
  await command(write, data, sender)
}

/** Renames or moves a session. @throws {Refusal} `conflict` when that already holds: no event would follow */
async function changeSession(
  write: Write,
  id: number,
  wanted: { readonly name?: string; readonly status: string },
): Promise<void> {
  const { name, status } = await getSession(write.queries, id)
  if ((wanted.name ?? name) === name && wanted.status === status) throw wrongState(`session ${id}`, status)
  await patchSession(write, id, check(sessionPatch, wanted))
}

function exportMeant(write: Write, photoId: number, preset: string): Promise<number> {
  const { preset_name } = check(exportTarget.pick({ preset_name: true }), { preset_name: preset })
  return runningExport(write.queries, photoId, preset_name)
}

/** What the route would have checked. @throws {Refusal} `invalid_message` */
function check<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const parsed = schema.safeParse(value)
  if (!parsed.success) throw refuseInput(parsed.error.issues, 'event.')
  return parsed.data
}
