/** Publishing: where events from REST, sockets and bulk meet; each is passed on, or as a command changes its row. */
import * as z from 'zod'
import {
  catalogue,
  eventTypes,
  isEventType,
  type Channel,
  type Draft,
  type EventType,
  type StoredEvent,
} from '../protocol/events.ts'
import { excerpt, Refusal, refuseInput } from '../protocol/refusals.ts'
import type { Queries } from '../store/schema.ts'
import type { Committed, Write } from '../store/write.ts'
import { runCommand } from './commands.ts'

/** Events that one request may publish: all or none. */
export const EVENTS_PER_PUBLISH_MAX = 1000

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

type SentEvent = { readonly type: string } & Record<string, unknown>

/** An event as `POST /api/events` takes it: its type, and the fields of that type. */
export const publishable = z
  .discriminatedUnion('type', typedSchemas())
  .meta({ id: 'PublishedEvent', description: 'one event of the catalogue, without its envelope' })

function typedSchemas() {
  const [first, ...rest] = eventTypes.map((type) =>
    z.object({ type: z.literal(type), ...catalogue[type].data.shape }).meta({ id: type }),
  )
  if (!first) throw new Error('the catalogue is empty')
  return [first, ...rest] as const
}

/** The channel that events of a type travel on. @throws {Refusal} `unknown_type` */
export function channelOf(type: string): Channel {
  return catalogue[knownType(type)].channel
}

function knownType(type: string): EventType {
  if (isEventType(type)) return type
  throw new Refusal('unknown_type', `there is no event type "${excerpt(type)}"`)
}

/** Checks an event against the catalogue. @throws {Refusal} `unknown_type`, `invalid_message` */
export function parsePublication(
  event: SentEvent,
  { command, subject }: Pick<Publication, 'command' | 'subject'>,
): Publication {
  const type = knownType(event.type)
  const parsed = catalogue[type].data.safeParse(event)
  if (!parsed.success) throw refuseInput(parsed.error.issues, 'event.')
  const attempt = z.int().min(1).optional().safeParse(event['attempt'])
  if (command && !attempt.success) throw refuseInput(attempt.error.issues, 'event.attempt')
  return { draft: { type, data: parsed.data } as Draft, command, subject, attempt: attempt.data, sent: event }
}

/** A publication of an event that the schema above has checked. */
export function publicationOf({ type, ...data }: z.output<typeof publishable>, subject: string): Publication {
  return { draft: { type, data } as Draft, command: false, subject, attempt: undefined, sent: data }
}

/** Publishes one event through the writer; the event that followed, numbered. @throws {Refusal} */
export async function publishDurably(
  runWrite: <T>(run: (write: Write) => Promise<T>) => Promise<Committed<T>>,
  publication: Publication,
): Promise<StoredEvent> {
  const { events, group } = await runWrite((write) => publish(write, publication))
  return eventOf(publication, events, group)
}

/** Publishes within one write: all or none. Without commands the write's events are these, in their order. */
export async function publishAll(write: Write, publications: readonly Publication[]): Promise<void> {
  for (const publication of publications) await publish(write, publication)
}

/** Emits the event, or runs its command. @throws {Refusal} `conflict` about rows that only their routes may change */
async function publish(write: Write, publication: Publication): Promise<void> {
  const { draft, command } = publication
  await refuseWhileDerived(write.queries, draft.type)
  const row = await heldRow(write.queries, draft)
  if (!row) return write.emit(draft)
  if (!command)
    throw new Refusal('conflict', `${row} is held here; use its route, or publish with command: true`)
  await runCommand(write, draft, publication, row)
}

function eventOf(
  { draft }: Publication,
  own: readonly StoredEvent[],
  group: readonly StoredEvent[],
): StoredEvent {
  const { session_id } = draft.data as { session_id?: number | null }
  // A derived event is the commit's, not the write's: the one about the same session is meant.
  const about = ({ type, data }: StoredEvent) =>
    type === draft.type && (JSON.parse(data) as { session_id?: unknown }).session_id === session_id
  // A session that is deleted in the same commit has no other event left: that one tells of the change too.
  const { channel } = catalogue[draft.type]
  const event =
    own.find(({ type }) => type === draft.type) ??
    group.find(about) ??
    group.findLast((other) => other.channel === channel)
  if (!event) throw new Error(`${draft.type} was published without an event`)
  return event
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
