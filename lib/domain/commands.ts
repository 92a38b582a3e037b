/** Publishing: an event from a client is passed on, or as a command does what the row's REST route does. */
import * as z from 'zod'
import {
  catalogue,
  isEventType,
  type Channel,
  type Draft,
  type EventType,
  type StoredEvent,
} from '../protocol/events.ts'
import { Refusal, refuseInput } from '../protocol/refusals.ts'
import type { Queries } from '../store/schema.ts'
import type { Committed, Write } from '../store/write.ts'
import { claimInput, completeInput, failInput, jobPatch, progressInput } from './job-schemas.ts'
import { cancelJob, claimJob, completeJob, failJob, reportProgress, setPriority } from './jobs.ts'
import { patchPhoto, photoPatch } from './photos.ts'
import { deleteSession, getSession, patchSession, sessionPatch } from './sessions.ts'

/** A checked event and what its sender asked for. */
export interface Publication {
  readonly draft: Draft
  /** Whether it may act on rows that Lightwire holds. */
  readonly command: boolean
  readonly subject: string
  /** The claim's number, where the sender names it. */
  readonly attempt: number | undefined
  /** The event as it was sent: a field that was left out has no default here. */
  readonly sent: Readonly<Record<string, unknown>>
}

/** The channel that events of a type travel on. @throws {Refusal} `unknown_type` */
export function channelOf(type: string): Channel {
  return catalogue[knownType(type)].channel
}

function knownType(type: string): EventType {
  if (isEventType(type)) return type
  throw new Refusal('unknown_type', `there is no event type "${type.slice(0, 64)}"`)
}

/** Checks an event against the catalogue. @throws {Refusal} `unknown_type`, `invalid_message` */
export function parsePublication(
  event: { readonly type: string } & Record<string, unknown>,
  { command, subject }: Pick<Publication, 'command' | 'subject'>,
): Publication {
  const type = knownType(event.type)
  const parsed = catalogue[type].data.safeParse(event)
  if (!parsed.success) throw refuseInput(parsed.error.issues, 'event.')
  const attempt = z.int().min(1).optional().safeParse(event['attempt'])
  return { draft: { type, data: parsed.data } as Draft, command, subject, attempt: attempt.data, sent: event }
}

/** Emits the event, or runs its command. @throws {Refusal} `conflict` about rows that only their routes may change */
async function publish(write: Write, publication: Publication): Promise<void> {
  const { draft, command } = publication
  await refuseWhileDerived(write.queries, draft.type)
  const row = await heldRow(write.queries, draft)
  if (!row) return write.emit(draft)
  if (!command)
    throw new Refusal('conflict', `${row} is held here; use its route, or publish with command: true`)
  const done = await runCommand(write, publication)
  if (!done) throw new Refusal('conflict', `${draft.type} is not a command on ${row}`)
}

/** Values that Lightwire derives by itself are not taken from outside while it has something to derive them from. */
async function refuseWhileDerived(queries: Queries, type: EventType): Promise<void> {
  const table = type === 'queue_status' ? 'jobs' : type === 'approval_queue_updated' ? 'photos' : undefined
  if (!table) return
  const row = await queries.selectFrom(table).select('id').limit(1).executeTakeFirst()
  if (row)
    throw new Refusal('conflict', `${type} follows the ${table} held here; it is not accepted from outside`)
}

/** The row that the event is about, if it is held here. Reports of the system channel are about nobody's row. */
async function heldRow(queries: Queries, { type, data }: Draft): Promise<string | undefined> {
  if (catalogue[type].channel === 'system') return undefined
  const named = data as { job_id?: string; photo_id?: number | null; session_id?: number | null }
  const { job_id, photo_id, session_id } = named
  if (job_id !== undefined) {
    const row = await queries.selectFrom('jobs').select('id').where('id', '=', job_id).executeTakeFirst()
    if (row) return `job ${job_id}`
  }
  for (const [table, id] of [['photos', photo_id] as const, ['sessions', session_id] as const]) {
    if (id === undefined || id === null) continue
    const row = await queries.selectFrom(table).select('id').where('id', '=', id).executeTakeFirst()
    if (row) return `${table.slice(0, -1)} ${id}`
  }
  return undefined
}

/** Publishes through the writer; the event as it was numbered. @throws {Refusal} */
export async function publishDurably(
  runWrite: <T>(run: (write: Write) => Promise<T>) => Promise<Committed<T>>,
  publication: Publication,
): Promise<StoredEvent> {
  const { events, group } = await runWrite((write) => publish(write, publication))
  const { type: published } = publication.draft
  const { session_id } = publication.draft.data as { session_id?: number | null }
  // A derived event is the commit's, not the write's: the one about the same session is meant.
  const about = ({ type, data }: StoredEvent) =>
    type === published && (JSON.parse(data) as { session_id?: unknown }).session_id === session_id
  const own = events.find(({ type }) => type === published) ?? group.find(about)
  if (!own) throw new Error(`${publication.draft.type} was published without an event`)
  return own
}

/** Does what the row's route does, with its checks; false where the event is no command. */
async function runCommand(write: Write, { draft, subject, attempt, sent }: Publication): Promise<boolean> {
  const claimant = { subject, attempt }
  switch (draft.type) {
    case 'job_started': {
      const { job_id, worker } = draft.data
      await claimJob(write, job_id, subject, check(claimInput, { worker: worker || subject }))
      return true
    }
    case 'job_progress':
      await reportProgress(write, draft.data.job_id, claimant, check(progressInput, draft.data))
      return true
    case 'job_completed':
      await completeJob(write, draft.data.job_id, claimant, check(completeInput, draft.data))
      return true
    case 'job_failed':
      await failJob(write, draft.data.job_id, claimant, check(failInput, { ...draft.data, retry: false }))
      return true
    case 'job_requeued': {
      if (draft.data.reason !== 'retry') return false
      const retry = check(failInput, { error_message: '', retry: true })
      await failJob(write, draft.data.job_id, { subject, attempt: draft.data.attempt }, retry)
      return true
    }
    case 'job_cancelled':
      await cancelJob(write, draft.data.job_id)
      return true
    case 'priority_changed': {
      const { job_id, new_priority: priority, reason } = draft.data
      await setPriority(write, job_id, check(jobPatch, { priority, reason }))
      return true
    }
    case 'photo_analyzed': {
      const { ai_score, analysis_results } = sent
      await patchPhoto(write, draft.data.photo_id, check(photoPatch, { ai_score, analysis_results }))
      return true
    }
    case 'photo_selected': {
      const { context_tag, selected_preset } = draft.data
      await patchPhoto(write, draft.data.photo_id, check(photoPatch, { context_tag, selected_preset }))
      return true
    }
    case 'session_updated':
    case 'session_completed':
      await changeSession(write, draft)
      return true
    case 'session_deleted':
      await deleteSession(write, draft.data.session_id)
      return true
    default:
      return false
  }
}

/** Renames or moves a session. @throws {Refusal} `conflict` when that already holds: no event would follow */
async function changeSession(
  write: Write,
  draft: Extract<Draft, { type: 'session_updated' | 'session_completed' }>,
): Promise<void> {
  const { session_id, session_name } = draft.data
  const { name, status } = await getSession(write.queries, session_id)
  const wanted =
    draft.type === 'session_completed'
      ? { name, status: 'completed' }
      : { name: session_name, status: draft.data.status }
  if (wanted.name === name && wanted.status === status) {
    throw new Refusal('conflict', `session ${session_id} is ${status} already`)
  }
  await patchSession(write, session_id, check(sessionPatch, wanted))
}

/** What the route would have checked. @throws {Refusal} `invalid_message` */
function check<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const parsed = schema.safeParse(value)
  if (!parsed.success) throw refuseInput(parsed.error.issues, 'event.')
  return parsed.data
}
