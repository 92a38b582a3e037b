/** What a run leaves behind for the checker: raw frames before any dedupe, writes, reads, operators' acts, the journal. */
import type { Channel, EventType } from '../../../lib/protocol/events.ts'
import type { Closed, Message } from '../client.ts'

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
  /** Lost: no answer came. Refused: the answer was not 2xx, so nothing of it may appear. */
  outcome: 'lost' | 'refused' | 'acknowledged'
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
}

/** One connection of a subscriber, from its confirmation to its end. */
export interface Segment {
  /** The cursor it asked for, if any. */
  readonly since: string | undefined
  readonly clientType: string
  /** Its pass, if it did not come with the run's own token. */
  readonly pass: Pass | undefined
  readonly confirmation: Message
  /** Everything that came after the confirmation, in order. */
  readonly received: Message[]
}

/** How a connection ended, confirmed or not. */
export interface Ending extends Closed {
  readonly clientId: string
  readonly pass: Pass | undefined
}

export interface SubscriberRecord {
  readonly name: string
  readonly segments: Segment[]
  readonly endings: Ending[]
  /** An operator sent it away for good: it did not see the end. */
  stopped: boolean
}

/** A token that an operator issued. */
export interface Pass {
  readonly token: string
  readonly jti: string
  readonly subject: string
  readonly issuedAtMs: number
}

export interface RevocationRecord {
  readonly kind: 'jti' | 'subject'
  readonly value: string
  /** What the answer said; undefined while none came. */
  revokedAtMs: number | undefined
  /** It was in force by then, if it ever was; unknown while it is under way. */
  untilMs: number | undefined
}

/** An ephemeral message. */
export interface WordRecord {
  readonly channel: Channel | undefined
  readonly clientType: string | undefined
  /** What the answer said; undefined when none came. */
  recipients: number | undefined
}

/** An operator sent a client away, perhaps. */
export interface DisconnectRecord {
  readonly clientId: string
  readonly reconnect: boolean
}

export interface History {
  readonly writes: WriteRecord[]
  acknowledged: number
  readonly cursors: CursorRecord[]
  readonly reads: ReadRecord[]
  /** 2xx answers by route: `GET /api/jobs/{id}`. */
  readonly routes: Map<string, number>
  readonly subscribers: SubscriberRecord[]
  readonly revocations: RevocationRecord[]
  /** By their number. */
  readonly words: Map<number, WordRecord>
  readonly disconnects: DisconnectRecord[]
  /** Sessions whose totals were set by hand, perhaps: they do not follow their photos. */
  readonly overridden: Set<unknown>
  /** Answers that a client must never see. */
  readonly unexpected: string[]
  /** Writes that the storage refused. */
  unavailable: number
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
    revocations: [],
    words: new Map(),
    disconnects: [],
    overridden: new Set(),
    unexpected: [],
    unavailable: 0,
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

/** Whether a revocation voids a pass; of one whose answer is missing: whether it may. */
export function covers({ kind, value, revokedAtMs, untilMs }: RevocationRecord, pass: Pass): boolean {
  if (kind === 'jti') return pass.jti === value
  return pass.subject === value && pass.issuedAtMs <= (revokedAtMs ?? untilMs ?? Infinity)
}
