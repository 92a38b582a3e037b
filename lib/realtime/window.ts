/** A window: events of one channel that leave together, the newest state per key where asked for, cut into batches. */
import { BATCH_BYTES_MAX, encodeBatch, type Coverage } from '../protocol/batch.ts'
import type { Frame, Framing } from '../protocol/codec.ts'
import type { Channel } from '../protocol/events.ts'
import type { EncodedEvent } from './tail.ts'

/** One `batch` message, encoded once per framing however many sockets get it. */
export class Batch implements Coverage {
  private readonly frames = new Map<Framing, Frame>()

  constructor(
    readonly channel: Channel,
    readonly after: number,
    readonly upto: number,
    readonly events: readonly EncodedEvent[],
  ) {}

  frame(framing: Framing): Frame {
    const made = this.frames.get(framing)
    if (made !== undefined) return made
    const frame = encodeBatch(framing, this, this.events)
    this.frames.set(framing, frame)
    return frame
  }
}

export class Window {
  /** In seq order; a superseded state leaves a hole. */
  private events: (EncodedEvent | undefined)[] = []
  /** By state key: where its newest event lies. */
  private readonly newest = new Map<string, number>()
  /** Seq of the first event that came, superseded or not. */
  firstSeq: number | undefined
  /** UTF-8 bytes of what is held, as JSON. */
  bytes = 0

  /** @param conflate of the state events held, only the newest per key stays (PROTOCOL §4) */
  constructor(private readonly conflate: boolean) {}

  get isEmpty(): boolean {
    return this.firstSeq === undefined
  }

  /** Events held, and the holes of superseded ones. */
  get count(): number {
    return this.events.length
  }

  add(event: EncodedEvent): void {
    this.firstSeq ??= event.seq
    const key = this.conflate ? event.stateKey : undefined
    if (key !== undefined) this.supersede(key)
    this.events.push(event)
    this.bytes += event.bytes
  }

  private supersede(key: string): void {
    const index = this.newest.get(key)
    this.newest.set(key, this.events.length)
    const old = index === undefined ? undefined : this.events[index]
    if (index === undefined || !old) return
    this.events[index] = undefined
    this.bytes -= old.bytes
  }

  clear(): void {
    this.events = []
    this.newest.clear()
    this.firstSeq = undefined
    this.bytes = 0
  }

  /** Empties the window into batches that together cover the positions after `after` up to `upto`. */
  take(channel: Channel, after: number, upto: number): Batch[] {
    const parts: EncodedEvent[][] = []
    let bytes = Infinity
    for (const event of this.events) {
      if (!event) continue
      if (bytes + event.bytes > BATCH_BYTES_MAX) {
        parts.push([])
        bytes = 0
      }
      parts.at(-1)?.push(event)
      bytes += event.bytes
    }
    this.clear()
    let from = after
    return parts.map((events, index) => {
      const to = index === parts.length - 1 ? upto : (events.at(-1)?.seq ?? upto)
      const batch = new Batch(channel, from, to, events)
      from = to
      return batch
    })
  }
}
