/** Publishing: an event from a client is passed on, or as a command does what the row's REST route does. */
import * as z from 'zod'
import {
  catalogue,
  isEventType,
  type Channel,
  type Draft,
  type EventData,
  type EventType,
  type StoredEvent,
} from '../protocol/events.ts'
import { Refusal, refuseInput } from '../protocol/refusals.ts'
import type { Queries } from '../store/schema.ts'
import type { Committed, Write } from '../store/write.ts'
import { LEASE_SECONDS_DEFAULT } from './job-schemas.ts'
import { cancelJob, claimJob, completeJob, failJob, reportProgress, setPriority } from './jobs.ts'
import { patchPhoto } from './photos.ts'
import { deleteSession, patchSession, sessionPatch } from './sessions.ts'

/** A checked event and what its sender asked for. */
export interface Publication {
  readonly draft: Draft
  /** Whether it may act on rows that Lightwire holds. */
  readonly command: boolean
  readonly subject: string
  /** The claim's number, where the sender names it. */
  readonly attempt: number | undefined
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
  return { draft: { type, data: parsed.data } as Draft, command, subject, attempt: attempt.data }
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
  const { events } = await runWrite((write) => publish(write, publication))
  const own = events.find(({ type }) => type === publication.draft.type)
  if (!own) throw new Error(`${publication.draft.type} was published without an event`)
  return own
}

async function runCommand(write: Write, { draft, subject, attempt }: Publication): Promise<boolean> {
  const claimant = { subject, attempt }
  switch (draft.type) {
    case 'job_started': {
      const { job_id, worker } = draft.data
      await claimJob(write, job_id, subject, {
        worker: worker || subject,
        lease_seconds: LEASE_SECONDS_DEFAULT,
      })
      return true
    }
    case 'job_progress':
      await reportProgress(write, draft.data.job_id, claimant, draft.data)
      return true
    case 'job_completed':
      await completeJob(write, draft.data.job_id, claimant, draft.data)
      return true
    case 'job_failed':
      await failJob(write, draft.data.job_id, claimant, { ...draft.data, retry: false })
      return true
    case 'job_requeued':
      if (draft.data.reason !== 'retry') return false
      await failJob(write, draft.data.job_id, { subject, attempt: draft.data.attempt }, RETRY)
      return true
    case 'job_cancelled':
      await cancelJob(write, draft.data.job_id)
      return true
    case 'priority_changed': {
      const { job_id, new_priority, reason } = draft.data
      await setPriority(write, job_id, { priority: new_priority, reason })
      return true
    }
    case 'photo_analyzed':
    case 'photo_selected': {
      const { photo_id, session_id: _, ...patch } = draft.data
      await patchPhoto(write, photo_id, patch)
      return true
    }
    case 'session_updated':
      await patchSession(write, draft.data.session_id, patchOf(draft.data))
      return true
    case 'session_completed':
      await patchSession(write, draft.data.session_id, { status: 'completed' })
      return true
    case 'session_deleted':
      await deleteSession(write, draft.data.session_id)
      return true
    default:
      return false
  }
}

const RETRY = { error_message: '', error_details: {}, retry: true } as const

function patchOf({ session_name, status }: EventData<'session_updated'>) {
  const parsed = sessionPatch.safeParse({ name: session_name, status })
  if (!parsed.success) throw refuseInput(parsed.error.issues, 'event.')
  return parsed.data
}
