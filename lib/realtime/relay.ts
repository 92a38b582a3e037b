/** The relay: offers events to the topics in seq order without a gap, at once when calm, gathered when they pour. */
import type { Channel, StoredEvent } from '../protocol/events.ts'
import type { Positions } from '../protocol/cursor.ts'
import type { JournalReader } from './pages.ts'
import { EncodedEvent } from './tail.ts'

/** Events read at once to close a gap. */
const GAP_EVENTS = 500

interface RelayOptions {
  readonly journal: JournalReader
  /** Where the journal stood at the start. */
  readonly heads: Positions
  /** Gets events in seq order per channel, each exactly once. */
  readonly deliver: (events: readonly EncodedEvent[]) => void
  /** Longest that an event waits for company, in milliseconds; 0 never waits. */
  readonly coalesceMs: number
  readonly onError: (error: unknown) => void
  /** Seconds from the commit of the oldest event of a delivery to that delivery. */
  readonly observeDelay: (seconds: number) => void
}

export function createRelay({ journal, heads, deliver, coalesceMs, onError, observeDelay }: RelayOptions) {
  const last = new Map<Channel, number>(Object.entries(heads) as [Channel, number][])
  /** Channels whose gap is being read, with the highest seq heard of meanwhile. */
  const closing = new Map<Channel, number>()
  let waiting: EncodedEvent[] = []
  /** When the oldest of those that wait was committed; undefined when another node did it. */
  let oldestMs: number | undefined
  let window: Timer | undefined

  /** last + 1 passes, what is older was there before, a gap is read from the journal. */
  function accept(event: StoredEvent, committedMs: number | undefined): void {
    const { channel, seq } = event
    const next = (last.get(channel) ?? 0) + 1
    if (seq < next) return
    if (seq > next || closing.has(channel)) return closeGap(channel, seq)
    last.set(channel, seq)
    waiting.push(new EncodedEvent(event))
    oldestMs ??= committedMs
  }

  function closeGap(channel: Channel, seq: number): void {
    const known = closing.get(channel)
    closing.set(channel, Math.max(known ?? 0, seq))
    if (known !== undefined) return
    readGap(channel).then(
      () => {
        const heard = closing.get(channel) ?? 0
        closing.delete(channel)
        // Heard of after the last look, before this moment.
        if (heard > (last.get(channel) ?? 0) && heard > seq) closeGap(channel, heard)
        flushSoon()
      },
      (error: unknown) => {
        closing.delete(channel)
        onError(error)
      },
    )
  }

  /** Reads until everything that was heard of has passed. */
  async function readGap(channel: Channel): Promise<void> {
    for (let at = last.get(channel) ?? 0; at < (closing.get(channel) ?? 0); at = last.get(channel) ?? 0) {
      const page = await journal.read(channel, at, GAP_EVENTS)
      if (page.length === 0) return
      for (const event of page) waiting.push(new EncodedEvent(event))
      last.set(channel, page.at(-1)?.seq ?? at)
      // Page by page: a gap may be as long as the journal.
      flush()
    }
  }

  function flush(): void {
    if (waiting.length === 0) return
    const events = waiting
    waiting = []
    deliver(events)
    if (oldestMs !== undefined) observeDelay((performance.now() - oldestMs) / 1000)
    oldestMs = undefined
  }

  /** The first event leaves at once; those behind it within the window leave together. */
  function flushSoon(): void {
    if (coalesceMs === 0) return flush()
    if (window !== undefined || waiting.length === 0) return
    flush()
    window = setTimeout(() => {
      window = undefined
      flushSoon()
    }, coalesceMs)
  }

  return {
    /** Takes durable events, committed at `committedMs` of the monotonic clock. */
    offer(events: readonly StoredEvent[], committedMs?: number): void {
      for (const event of events) accept(event, committedMs)
      flushSoon()
    },
    /** A hint that the channels reach at least to these heads: reads what was missed. */
    hint(heads: Positions): void {
      for (const [channel, seq] of Object.entries(heads) as [Channel, number][]) {
        if (seq > (last.get(channel) ?? 0)) closeGap(channel, seq)
      }
    },
    /** Hands out now what waits for company. */
    flush,
    stop(): void {
      clearTimeout(window)
      flush()
    },
  }
}
