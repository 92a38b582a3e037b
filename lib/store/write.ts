/** What a write function works with: its queries, its time, and the events it emits, encoded but not yet numbered. */
import { EVENT_DEPTH_MAX, requireDepth } from '../protocol/codec.ts'
import { catalogue, envelopeFields, type Draft, type StoredEvent } from '../protocol/events.ts'
import type { Positions } from '../protocol/cursor.ts'
import { Refusal } from '../protocol/refusals.ts'
import type { Queries } from './schema.ts'

/** An encoded event over this is refused before commit (PROTOCOL §2, `too_large`). */
export const EVENT_BYTES_MAX = 65_536
/** Longest envelope in front of the data: type, timestamp, channel and seq. */
const ENVELOPE_BYTES_MAX = 160

/** A write function awaits nothing but its queries. */
export interface Write {
  readonly queries: Queries
  /** The group's time, UTC ISO 8601: rows and events of one commit carry the same. */
  readonly now: string
  /** Adds an event to this write. @throws {Refusal} `too_large`, `invalid_message` where it nests too deep */
  emit(draft: Draft): void
  /** Marks a derived value as perhaps changed; its event follows once per commit. */
  touch(key: string): void
  /** Runs in this transaction when all its events have their numbers; what it throws fails every write of the commit. */
  beforeCommit(step: BeforeCommit): void
}

export type WriteFunction<T> = (write: Write) => Promise<T>
export type RunWrite = <T>(run: WriteFunction<T>) => Promise<Committed<T>>
export type BeforeCommit = (numbered: Numbered) => Promise<void>

/** What became of a write's events. */
export interface Numbered {
  /** The write's own events, numbered, in the order it emitted them. */
  readonly events: readonly StoredEvent[]
  /** All events of its commit: those of writes beside it, and of the values derived from them. */
  readonly group: readonly StoredEvent[]
  /** Heads of all channels as this commit left them. */
  readonly heads: Positions
}

/** A write that is durable. */
export interface Committed<T> extends Numbered {
  readonly value: T
}

/** An event that waits for its number; `data` is encoded once, here. */
export interface PendingEvent {
  readonly draft: Draft
  readonly data: string
}

/** A write whose events, touched keys and last steps are collected into the given lists. */
export function writeInto(
  queries: Queries,
  now: string,
  events: PendingEvent[],
  touched: Set<string>,
  steps: BeforeCommit[] = [],
): Write {
  return {
    queries,
    now,
    emit: (draft) => void events.push(encodeDraft(draft)),
    touch: (key) => void touched.add(key),
    beforeCommit: (step) => void steps.push(step),
  }
}

function encodeDraft(draft: Draft): PendingEvent {
  const data = JSON.stringify(draft.data)
  if (Buffer.byteLength(data) + ENVELOPE_BYTES_MAX > EVENT_BYTES_MAX) {
    throw new Refusal('too_large', `the event ${draft.type} would be larger than ${EVENT_BYTES_MAX} bytes`)
  }
  requireDepth(data, EVENT_DEPTH_MAX)
  for (const field of envelopeFields) {
    if (Object.hasOwn(draft.data, field))
      throw new Error(`${draft.type} would overwrite the envelope's ${field}`)
  }
  return { draft, data }
}

/** Gives each event its channel's next seq; `heads` are the last ones given. */
export function numberEvents(pending: readonly PendingEvent[], heads: Positions, now: string): StoredEvent[] {
  const next = { ...heads }
  return pending.map(({ draft, data }) => {
    const { channel } = catalogue[draft.type]
    const seq = (next[channel] ?? 0) + 1
    next[channel] = seq
    return { channel, seq, type: draft.type, timestamp: now, data }
  })
}
