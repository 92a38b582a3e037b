/** A topic: all sockets that would get the same bytes, and the one number that says what has really left to them. */
import type { Frame, Framing } from '../protocol/codec.ts'
import type { Channel } from '../protocol/events.ts'
import type { Filter } from '../protocol/filter.ts'
import { Meter } from './sweep.ts'
import { Window } from './window.ts'

/** How a channel is followed (PROTOCOL §4). */
export interface Options {
  readonly filter: Filter | undefined
  /** Milliseconds that events are collected; undefined where bare events are wanted. */
  readonly batchMs: number | undefined
  readonly conflate: boolean
}

export const PLAIN: Options = { filter: undefined, batchMs: undefined, conflate: false }

/** Equal for options that mean the same. */
export function optionsKey({ filter, batchMs, conflate }: Options): string {
  return `${batchMs ?? 'bare'} ${conflate} ${filter?.key ?? ''}`
}

/** Channel × options; a native topic per framing, named after its serial number. */
export class Topic {
  readonly members: Record<Framing, number> = { json: 0, msgpack: 0, deflate: 0 }
  /** Position that every member knows to be covered: the `after` of the next batch. */
  covered = 0
  /** Subscriptions that refer to it, live or reading. */
  holders = 0
  readonly window: Window | undefined
  readonly meter: Meter
  timer: Timer | undefined

  constructor(
    readonly channel: Channel,
    readonly options: Options,
    private readonly name: string,
    private readonly lane: { readonly head: number },
  ) {
    this.meter = new Meter(channel)
    if (options.batchMs !== undefined) this.window = new Window(options.conflate)
  }

  /** Seq of the last position that has really left to its sockets, with an event or without. */
  get published(): number {
    const first = this.window?.firstSeq
    return first === undefined ? this.lane.head : first - 1
  }

  /** Seq of the channel's newest event: what was evaluated, held back or not. */
  get head(): number {
    return this.lane.head
  }

  get size(): number {
    return this.members.json + this.members.msgpack + this.members.deflate
  }

  /** Nobody is left who would get what the window holds. */
  empty(): void {
    clearTimeout(this.timer)
    this.timer = undefined
    this.window?.clear()
  }

  nameOf(framing: Framing): string {
    return `${this.name}:${framing}`
  }
}

/** Most bytes the frame takes on the wire: text is UTF-8, at most 3 bytes a UTF-16 unit. */
export function frameBytes(frame: Frame): number {
  return (typeof frame === 'string' ? Buffer.byteLength(frame) : frame.byteLength) + FRAME_HEADER_BYTES
}

/** RFC 6455 §5.2, server to client, payload up to 64 KiB. */
const FRAME_HEADER_BYTES = 10
