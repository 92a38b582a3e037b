/** The tail: the newest events in memory, each encoded once per framing however many sockets get it. */
import { encodeJson, type Frame, type Framing } from '../protocol/codec.ts'
import {
  catalogue,
  channels,
  eventJson,
  type Channel,
  type EventType,
  type StoredEvent,
} from '../protocol/events.ts'
import type { Fields } from '../protocol/filter.ts'

/** What an event costs in memory beside its text: the object, its place in the list, a second framing. */
const OVERHEAD_BYTES = 512

/** A numbered event with its frames and fields, each made when first asked for. */
export class EncodedEvent {
  readonly channel: Channel
  readonly seq: number
  readonly type: EventType
  readonly json: string
  private msgpack: Frame | undefined
  private deflate: Frame | undefined
  private parsed: Fields | undefined
  private size: number | undefined

  constructor(event: StoredEvent) {
    this.channel = event.channel
    this.seq = event.seq
    this.type = event.type
    this.json = eventJson(event)
  }

  frame(framing: Framing): Frame {
    if (framing === 'json') return this.json
    if (framing === 'msgpack') return (this.msgpack ??= encodeJson('msgpack', this.json))
    return (this.deflate ??= encodeJson('deflate', this.json))
  }

  /** What filters look at: the event as an object. */
  get fields(): Fields {
    return (this.parsed ??= JSON.parse(this.json) as Fields)
  }

  /** UTF-8 bytes as JSON. */
  get bytes(): number {
    return (this.size ??= Buffer.byteLength(this.json))
  }

  /** Equal for state events of which the newest says all (PROTOCOL §3); a fact has none. */
  get stateKey(): string | undefined {
    const { class: kind, key } = catalogue[this.type]
    if (kind === 'fact') return undefined
    return [this.type, ...key.map((field) => String(this.fields[field]))].join(' ')
  }

  /** Bytes the event may hold on to: UTF-8 is at most 3 bytes a unit, Latin text 1; frames come on top. */
  get cost(): number {
    return this.json.length * 3 + OVERHEAD_BYTES
  }
}

/** One channel's newest events, without a gap: `first` is the seq of `events[start]`. */
interface Run {
  events: EncodedEvent[]
  start: number
  bytes: number
  /** Cost of the events before `start`, which the list still holds on to. */
  passed: number
}

export type Tail = ReturnType<typeof createTail>

/** @param bytesMax bound on the cost of all events kept */
export function createTail(bytesMax: number) {
  const runs = new Map<Channel, Run>(
    channels.map((channel) => [channel, { events: [], start: 0, bytes: 0, passed: 0 }]),
  )
  let bytes = 0

  function evict(): void {
    let largest: Run | undefined
    for (const run of runs.values()) if (!largest || run.bytes > largest.bytes) largest = run
    const oldest = largest?.events[largest.start]
    if (!largest || !oldest) return
    largest.start += 1
    largest.bytes -= oldest.cost
    largest.passed += oldest.cost
    bytes -= oldest.cost
    // Compacted now and then, so that dropping one costs O(1) on average and an eighth at most is held too long.
    if (largest.passed * 8 <= bytesMax) return
    largest.events = largest.events.slice(largest.start)
    largest.start = 0
    largest.passed = 0
  }

  return {
    /** Adds the next event of its channel; after a gap the run begins anew. */
    push(event: EncodedEvent): void {
      const run = runs.get(event.channel)
      if (!run) return
      const last = run.events.at(-1)
      if (last && last.seq + 1 !== event.seq) {
        bytes -= run.bytes
        Object.assign(run, { events: [], start: 0, bytes: 0, passed: 0 })
      }
      run.events.push(event)
      run.bytes += event.cost
      bytes += event.cost
      while (bytes > bytesMax) evict()
    },

    /** Events with seq > `after`, at most `limit`; undefined when the tail does not reach back that far. */
    read(channel: Channel, after: number, limit: number): readonly EncodedEvent[] | undefined {
      const run = runs.get(channel)
      const first = run?.events[run.start]
      if (!run || !first || first.seq > after + 1) return undefined
      const from = run.start + (after + 1 - first.seq)
      return run.events.slice(from, from + limit)
    },
  }
}
