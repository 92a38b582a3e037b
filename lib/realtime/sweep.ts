/** The sweep: looks at every socket's unsent bytes often enough that native publish can never drop a frame. */

/** Bun queues at most this many messages per socket before `getBufferedAmount` counts them. */
const LAG_MESSAGES = 32
/** What MessagePack makes of JSON at worst: nine bytes of the four in `1.5,`. */
export const PACKED_GROWTH = 2.25
/** A single event with its envelope, its batch's where it is one, and the frame header. */
const FRAME_BYTES_MAX = 65_536 * PACKED_GROWTH + 144
/** Bun drops what a socket would queue beyond this. */
export const BACKPRESSURE_LIMIT = 8 * 1024 * 1024
/** A socket over the high-water mark is slow, whatever the number of connections. */
const HIGH_WATER_MAX = 256 * 1024
/** With very many connections the bound on all of them gives way to this, so that a burst moves nobody. */
const SHARE_MIN = 16 * 1024
/** A reader may go one frame over the mark. */
const BUDGET_MAX = BACKPRESSURE_LIMIT - HIGH_WATER_MAX - (LAG_MESSAGES + 1) * FRAME_BYTES_MAX

/** What one topic was handed since the last sweep. A socket is in one topic of a channel at most. */
export class Meter {
  round = 0
  bytes = 0

  constructor(readonly channel: string) {}
}

/** A connection as the sweep sees it. */
export interface Swept {
  unsentBytes(): number
  /** Leaves its topics and reads the journal at its own pace. */
  moveAside(): void
}

interface SweepOptions {
  readonly connections: { readonly size: number; values(): Iterable<Swept> }
  /** Unsent bytes over all sockets between two sweeps. */
  readonly queuedBytesMax: number
  readonly onSweep: () => void
}

export function createSweep({ connections, queuedBytesMax, onSweep }: SweepOptions) {
  /** Bytes that any one socket can have been handed since the last sweep. */
  let handedOut = 0
  let round = 1
  /** Per channel the most that one of its topics was handed: other topics have other sockets. */
  const most = new Map<string, number>()

  // Half of a connection's share may lie over from before, half be handed out until the next sweep.
  const share = () => Math.max(SHARE_MIN, queuedBytesMax / 2 / Math.max(1, connections.size))
  const highWaterBytes = () => Math.min(HIGH_WATER_MAX, share())

  function sweep(): void {
    handedOut = 0
    round += 1
    most.clear()
    onSweep()
    const mark = highWaterBytes()
    for (const connection of connections.values()) {
      if (connection.unsentBytes() > mark) connection.moveAside()
    }
  }

  /** By how much the bytes raise what any one socket can have been handed. */
  function raise(bytes: number, meter: Meter | undefined): number {
    if (!meter) return bytes
    const handed = (meter.round === round ? meter.bytes : 0) + bytes
    return Math.max(0, handed - (most.get(meter.channel) ?? 0))
  }

  function note(bytes: number, meter: Meter | undefined): void {
    handedOut += raise(bytes, meter)
    if (!meter) return
    meter.bytes = (meter.round === round ? meter.bytes : 0) + bytes
    meter.round = round
    most.set(meter.channel, Math.max(most.get(meter.channel) ?? 0, meter.bytes))
  }

  return {
    highWaterBytes,
    /** To be called before bytes are handed to sockets: each event once with its largest encoding. */
    before(bytes: number, meter?: Meter): void {
      if (handedOut > 0 && handedOut + raise(bytes, meter) > Math.min(BUDGET_MAX, share())) sweep()
      note(bytes, meter)
    },
  }
}
