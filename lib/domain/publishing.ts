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
import type { ClientMessage } from '../protocol/messages.ts'
import { excerpt, Refusal, refuseInput } from '../protocol/refusals.ts'
import { inChunks } from '../store/chunks.ts'
import { answerOnce } from '../store/idempotency.ts'
import type { Queries } from '../store/schema.ts'
import type { RunWrite, Write } from '../store/write.ts'
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

/** The claim's number, where a command names it. */
const attemptNamed = z.int().min(1).optional()

/** Checks an event against the catalogue. @throws {Refusal} `unknown_type`, `invalid_message` */
export function parsePublication(
  event: SentEvent,
  { command, subject }: Pick<Publication, 'command' | 'subject'>,
): Publication {
  const type = knownType(event.type)
  const parsed = catalogue[type].data.safeParse(event)
  if (!parsed.success) throw refuseInput(parsed.error.issues, 'event.')
  const attempt = attemptNamed.safeParse(event['attempt'])
  if (command && !attempt.success) throw refuseInput(attempt.error.issues, 'event.attempt')
  return { draft: { type, data: parsed.data } as Draft, command, subject, attempt: attempt.data, sent: event }
}

/** A publication of an event that the schema above has checked. */
export function publicationOf({ type, ...data }: z.output<typeof publishable>, subject: string): Publication {
  return { draft: { type, data } as Draft, command: false, subject, attempt: undefined, sent: data }
}

/** Publishes one event through the writer; the event that followed, numbered. @throws {Refusal} */
export async function publishDurably(runWrite: RunWrite, publication: Publication): Promise<StoredEvent> {
  const { events, group } = await runWrite((write) => publishAll(write, [publication]))
  return eventOf(publication, events, group)
}

/** What the sender of a `publish` is told of its event. */
type Published = Pick<StoredEvent, 'channel' | 'seq'>

/**
 * Does what a `publish` message asks for, as every transport takes it; a key that came before gets the first one's
 * number. Rights are the caller's to check. @throws {Refusal}
 */
export function publishMessage(
  runWrite: RunWrite,
  { subject }: { readonly subject: string },
  { event, command, key }: ClientMessage<'publish'>,
): Promise<Published> {
  // Here, not in what is waited for: what is not acceptable is told from what was accepted.
  const publication = parsePublication(event, { command, subject })
  if (key === undefined) return publishDurably(runWrite, publication)
  return publishOnce(runWrite, publication, { subject, key, body: { event, command } })
}

async function publishOnce(
  runWrite: RunWrite,
  publication: Publication,
  asked: { readonly subject: string; readonly key: string; readonly body: object },
): Promise<Published> {
  const { answer } = await answerOnce(
    runWrite,
    { ...asked, method: 'publish', path: '' },
    {
      run: (write) => publishAll(write, [publication]),
      answer({ events, group }) {
        const { channel, seq } = eventOf(publication, events, group)
        return { status: 200, body: JSON.stringify({ channel, seq }), cursor: '' }
      },
      keep: () => true,
    },
  )
  // Stored just above, now or before.
  return JSON.parse(answer.body) as Published
}

/** Publishes within one write: all or none. Without commands the write's events are these, in their order. */
export async function publishAll(write: Write, publications: readonly Publication[]): Promise<void> {
  for (const type of new Set(publications.map(({ draft }) => draft.type))) {
    await refuseWhileDerived(write.queries, type)
  }
  const held = await readHeld(write.queries, publications)
  for (const publication of publications) await publish(write, publication, heldRow(publication.draft, held))
}

/** Emits the event, or runs its command. @throws {Refusal} `conflict` about rows that only their routes may change */
async function publish(write: Write, publication: Publication, row: string | undefined): Promise<void> {
  const { draft, command } = publication
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

/** The ids that an event names; reports of the system channel are about nobody's row. */
function idsOf({ type, data }: Draft): { job?: string | undefined; photo?: number; session?: number } {
  if (catalogue[type].channel === 'system') return {}
  const { job_id, photo_id, session_id } = data as {
    job_id?: string
    photo_id?: number | null
    session_id?: number | null
  }
  return {
    job: job_id,
    ...(photo_id ? { photo: photo_id } : {}),
    ...(session_id ? { session: session_id } : {}),
  }
}

/** Rows held here, of those that were asked for. */
interface Held {
  readonly jobs: ReadonlySet<unknown>
  readonly photos: ReadonlySet<unknown>
  readonly sessions: ReadonlySet<unknown>
}

/** Looks all of them up at once: a thousand events would be three thousand queries. */
async function readHeld(queries: Queries, publications: readonly Publication[]): Promise<Held> {
  const named = publications.map(({ draft }) => idsOf(draft))
  const read = async (
    table: 'jobs' | 'photos' | 'sessions',
    ids: readonly (string | number | undefined)[],
  ) => {
    const held = new Set<unknown>()
    const distinct = [...new Set(ids)].filter((id) => id !== undefined)
    for (const chunk of inChunks(distinct)) {
      const rows = await queries
        .selectFrom(table)
        .select('id')
        .where('id', 'in', chunk as never)
        .execute()
      for (const { id } of rows) held.add(id)
    }
    return held
  }
  return {
    jobs: await read(
      'jobs',
      named.map(({ job }) => job),
    ),
    photos: await read(
      'photos',
      named.map(({ photo }) => photo),
    ),
    sessions: await read(
      'sessions',
      named.map(({ session }) => session),
    ),
  }
}

/** The row that the event is about, if it is held here. */
function heldRow(draft: Draft, { jobs, photos, sessions }: Held): string | undefined {
  const { job, photo, session } = idsOf(draft)
  if (jobs.has(job)) return `job ${job}`
  if (photos.has(photo)) return `photo ${photo}`
  return sessions.has(session) ? `session ${session}` : undefined
}
