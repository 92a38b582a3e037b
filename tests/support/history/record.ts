/** What a run leaves behind for the checker: raw frames before any dedupe, writes, reads, operators' acts, the journal. */
import type { Channel, EventType } from '../../../lib/protocol/events.ts'
import type { Closed, Message } from '../client.ts'
import type { DisconnectRecord, Pass, RevocationRecord, WordRecord } from './operator-record.ts'
import type { Options } from './options.ts'
import type { Right } from './rights.ts'
import type { Where } from './where.ts'

export type Row = Readonly<Record<string, unknown>>

/** A journal event as a client sees it. */
export interface JournalEvent extends Message {
  readonly channel: Channel
  readonly seq: number
  readonly timestamp: string
}

/** Type and fields that exactly one event must carry; of a derived type at least one. */
export type Expected = { readonly type: EventType } & Row

/** A write, written down before it is sent. */
export interface WriteRecord {
  readonly what: string
  /** Unanswered: it may have happened or not. Refused: the answer was not 2xx, so nothing of it may appear. */
  outcome: 'unanswered' | 'refused' | 'acknowledged'
  /** What it commits, as far as it is known: the answer adds the ids. */
  events: readonly Expected[]
  /** Position that the answer named. */
  cursor: string | undefined
}

/** A cursor that a writer was told, in the order of its answers. */
export interface CursorRecord {
  readonly writer: string
  readonly what: string
  readonly cursor: string
}

export type ReadKind = 'jobs' | 'sessions' | 'photos' | 'approval' | 'exports' | 'queue' | 'photo_counts'

/** Something that was read with its cursor. */
export interface ReadRecord {
  readonly kind: ReadKind
  readonly rows: readonly Row[]
  readonly cursor: string
  /** Of the whole list; undefined where a single row was asked for. */
  readonly total?: number
  /** Fields that all rows of the list have. */
  readonly filter?: Row
  /** The sessions of which whoever asked may see anything; undefined where that is all of them. */
  readonly seen?: ReadonlySet<unknown>
}

/** What a subscriber asked for in one message. */
export interface Asked extends Options {
  readonly channels: readonly Channel[]
  readonly since: string | undefined
}

export type Transport = 'websocket' | 'sse' | 'poll'

/** A pass that a connection went by, for as long as it did. Times are of the wall clock, as early as they can have been. */
export interface Held {
  readonly pass: Pass
  /** When something last came, but for a `disconnect`. */
  heardMs: number
  /** When the connection stood last, as far as that can be seen: where nothing stands between. */
  stoodMs: number
  /** A `disconnect` came. */
  isOver?: boolean
  /** When its connection was told that it had expired. */
  expiredMs?: number
}

/** One connection of a subscriber, from its first confirmation to its end. */
export interface Segment {
  readonly transport: Transport
  readonly clientType: string | undefined
  /** Its passes in their order; none where it came with the run's own token. */
  readonly held: Held[]
  /** By the `id` of an `auth`: the pass that it showed. A session has `shown` among its messages, with that id. */
  readonly refreshes: Map<unknown, Pass>
  /** By the `id` of the message. */
  readonly asked: Map<unknown, Asked>
  /** By the `id` of a ping: what the newest answer to a writer had told before. */
  readonly pinged: Map<unknown, string | undefined>
  /**
   * Everything that came, in order. Of a stream: `stream_began` and `stream_id` with their cursors beside the
   * messages. Of a polling session: `lost` where an answer never arrived.
   */
  readonly received: Message[]
}

/** How a connection of a WebSocket ended, confirmed or not. */
export interface Ending extends Closed {
  readonly clientId: string
  /** What it had shown: the pass that it went by, and one that was not answered yet. */
  readonly passes: readonly Pass[]
  /** Of the wall clock. */
  readonly atMs: number
  /** Number of the server's life that it was in. */
  readonly life: number
  /** Nothing stood between. */
  readonly direct: boolean
  /** Its client hung up. */
  readonly left: boolean
  /** Code of the `disconnect` message, if one came. */
  readonly told: unknown
}

export interface SubscriberRecord {
  readonly name: string
  readonly segments: Segment[]
  readonly endings: Ending[]
  /** An operator sent it away for good: it did not see the end. */
  stopped: boolean
}

/** A page that was pulled. */
export interface PullRecord {
  readonly name: string
  readonly pass: Pass | undefined
  readonly right: Right
  readonly channels: readonly Channel[]
  /** Without one it begins with the oldest event. */
  readonly since: string | undefined
  readonly where: Where | undefined
  readonly limit: number
  /** Seconds that it may wait for the first event. */
  readonly wait: number
  readonly events: readonly JournalEvent[]
  readonly cursor: string
  readonly more: boolean
}

/** A pass that was shown, and what was said to it. */
export interface ShownRecord {
  readonly name: string
  readonly what: string
  readonly pass: Pass
  readonly startedMs: number
  readonly endedMs: number
  /** Why it was refused; undefined where it was not. */
  readonly code: string | undefined
}

export interface History {
  readonly writes: WriteRecord[]
  acknowledged: number
  readonly cursors: CursorRecord[]
  readonly reads: ReadRecord[]
  /** 2xx answers by route: `GET /api/jobs/{id}`. */
  readonly routes: Map<string, number>
  readonly subscribers: SubscriberRecord[]
  readonly pulls: PullRecord[]
  /** How each of the server's lives ended. */
  readonly lives: ('kill' | 'drain')[]
  readonly revocations: RevocationRecord[]
  /** By their number. */
  readonly words: Map<number, WordRecord>
  readonly disconnects: DisconnectRecord[]
  readonly shown: ShownRecord[]
  /** The longest that this machine, being busy, kept a process waiting, in milliseconds. */
  lateMs: number
  /** Sessions whose totals were set by hand, perhaps: they do not follow their photos. */
  readonly overridden: Set<unknown>
  /** Answers that a client must never see. */
  readonly unexpected: string[]
  /** Writes that the storage refused. */
  unavailable: number
  /** Answers that were given again for their key, to whoever had them and to whoever had lost them. */
  replays: number
  rescued: number
  /** The stored events at the end, in seq order per channel. */
  journal: ReadonlyMap<Channel, readonly JournalEvent[]>
  /** Whole lists at the end, as REST gives them. */
  database: readonly ReadRecord[]
}

export function emptyHistory(): History {
  return {
    writes: [],
    acknowledged: 0,
    cursors: [],
    reads: [],
    routes: new Map(),
    subscribers: [],
    pulls: [],
    lives: [],
    revocations: [],
    words: new Map(),
    disconnects: [],
    shown: [],
    lateMs: 0,
    overridden: new Set(),
    unexpected: [],
    unavailable: 0,
    replays: 0,
    rescued: 0,
    journal: new Map(),
    database: [],
  }
}

export function isJournalEvent(message: Message): message is JournalEvent {
  return (
    typeof message['seq'] === 'number' &&
    typeof message['channel'] === 'string' &&
    message.type !== 'published'
  )
}
