/** What a run leaves behind for the checker: raw frames before any dedupe, acknowledged answers, reads, the journal. */
import type { Message } from '../client.ts'
import type { Channel } from '../../../lib/protocol/events.ts'

/** A journal event as a client sees it. */
export interface JournalEvent extends Message {
  readonly channel: Channel
  readonly seq: number
  readonly timestamp: string
}

/** A 2xx answer to a write, and the events it must have committed. */
export interface Acknowledged {
  readonly what: string
  /** Type and fields that exactly one event at or before `cursor` must carry. */
  readonly events: readonly ({ readonly type: string } & Readonly<Record<string, unknown>>)[]
  readonly cursor: string
}

/** A list that was read with its cursor. */
export interface ReadRecord {
  readonly kind: 'jobs' | 'sessions'
  readonly rows: readonly Readonly<Record<string, unknown>>[]
  readonly total: number
  readonly cursor: string
}

/** One connection of a subscriber, from its confirmation to its end. */
export interface Segment {
  /** The cursor it asked for, if any. */
  readonly since: string | undefined
  readonly confirmation: Message
  /** Everything that came after the confirmation, in order, events and pongs alike. */
  readonly received: Message[]
}

export interface SubscriberRecord {
  readonly name: string
  readonly segments: Segment[]
}

export interface History {
  readonly acknowledged: Acknowledged[]
  readonly reads: ReadRecord[]
  readonly subscribers: SubscriberRecord[]
  /** Answers that a client must never see. */
  readonly unexpected: string[]
  /** Writes that the storage refused. */
  unavailable: number
  /** The stored events at the end, in seq order per channel. */
  journal: ReadonlyMap<Channel, readonly JournalEvent[]>
  /** Rows of the database at the end. */
  database: {
    readonly jobs: readonly Readonly<Record<string, unknown>>[]
    readonly sessions: readonly Readonly<Record<string, unknown>>[]
    readonly photos: readonly Readonly<Record<string, unknown>>[]
  }
}

export function emptyHistory(): History {
  return {
    acknowledged: [],
    reads: [],
    subscribers: [],
    unexpected: [],
    unavailable: 0,
    journal: new Map(),
    database: { jobs: [], sessions: [], photos: [] },
  }
}

export function isJournalEvent(message: Message): message is JournalEvent {
  return (
    typeof message['seq'] === 'number' &&
    typeof message['channel'] === 'string' &&
    message.type !== 'published'
  )
}
