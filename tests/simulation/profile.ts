/** What a seed decides before anything runs: how many of each, how fast, how large, and what may go wrong. */
import type { Framing } from '../../lib/protocol/codec.ts'
import { channels, type Channel } from '../../lib/protocol/events.ts'
import type { Random } from '../support/random.ts'
import type { NodeConfig } from './node.ts'
import type { Options } from './streams.ts'
import type { WriterShape } from './writers.ts'

/** Bytes that an event takes beside its padding, and that a reply takes. */
const EVENT_BYTES = 300
const REPLY_BYTES = 1000
/** Frames of one socket that Bun does not count yet, and one that a reader may add. */
const UNCOUNTED_FRAMES = 33
/** A window that ends leaves whole, in batches of at most so much. */
const WINDOW_BYTES = 300_000
const BATCH_BYTES = 20_000
/** As lib/realtime/sweep.ts bounds what a slow socket may hold. */
const SHARE_MIN_BYTES = 16 * 1024
const HIGH_WATER_MAX_BYTES = 256 * 1024

export interface Profile {
  /** Two nodes on one database server, else one with its own disk. */
  readonly cluster: boolean
  readonly horizonMs: number
  readonly creepMs: number
  readonly writers: number
  readonly publishers: number
  readonly subscribers: number
  readonly writesMax: number
  readonly shape: WriterShape
  readonly config: NodeConfig
  readonly syncMs: number
  readonly hopMs: number
  readonly latencyMs: number
  readonly kernelBytes: number
  readonly burstBytes: number
  /** Nobody asks for filters or batches, so that sockets get single events and can hold less. */
  readonly plain: boolean
  /** Unsent bytes of one socket that the sweep promises to stay under. */
  readonly limitBytes: number
  /** Mean pause between two mishaps. */
  readonly mishapMs: number
  readonly mishaps: readonly Mishap[]
  readonly busLoss: number
}

export type Mishap =
  | 'kill'
  | 'kill at commit'
  | 'power cut'
  | 'restore'
  | 'stop'
  | 'sync fails'
  | 'full'
  | 'cut'
  | 'half-open'
  | 'stall'
  | 'words'

const everyMishap: readonly Mishap[] = [
  'kill',
  'kill at commit',
  'power cut',
  'restore',
  'stop',
  'sync fails',
  'full',
  'cut',
  'half-open',
  'stall',
  'words',
]
/** What has no disk of its own cannot lose it. */
const ofDisks = new Set<Mishap>(['kill at commit', 'power cut', 'restore', 'sync fails', 'full'])

export function drawProfile(random: Random): Profile {
  const cluster = random.chance(0.3)
  const subscribers = random.int(2, 5)
  // Much at once, and links that stall: what the sweep is for.
  const flood = random.chance(0.1)
  const padding = flood ? 50 : random.pick([50, 1000, 6000])
  const queuedBytesMax = (flood ? 1 : random.pick([1, 1, 4])) * 2 * SHARE_MIN_BYTES * subscribers
  // Publishers are connections too; with fewer than counted on, a share is larger, never smaller than this.
  const share = Math.max(SHARE_MIN_BYTES, queuedBytesMax / 2)
  const mishaps = everyMishap.filter((mishap) => {
    if (flood) return mishap === 'stall' || mishap === 'cut'
    return (!cluster || !ofDisks.has(mishap)) && random.chance(0.5)
  })
  const plain = flood || random.chance(0.4)
  const kernelBytes = flood ? 500 : random.pick([500, 4000, 100_000])
  const horizonMs = random.int(2000, 5000)
  const writers = random.int(1, 4)
  const writesMax = random.int(20, 60)
  // In one rush at the beginning, or all the time.
  const thinkMs = ((horizonMs * writers) / writesMax) * random.pick([0.05, 0.3, 0.8])
  return {
    cluster,
    horizonMs,
    creepMs: random.pick([0, 0.01, 0.3]),
    writers,
    publishers: random.int(0, 1),
    subscribers,
    writesMax: flood ? 80 : writesMax,
    shape: { thinkMs, padding, floods: flood, burst: flood ? 150 : random.pick([1, 10, 40]) },
    config: {
      coalesceMs: random.pick([0, 5]),
      tailBytes: random.pick([4000, 40_000, 1_000_000]),
      queuedBytesMax,
      heartbeatMs: 30_000,
      // Who comes with one more reads the journal for ever.
      filtersMax: random.pick([1000, 1]),
      retentionEvents: random.pick([1_000_000, 30, 10]),
      retentionEveryMs: random.int(300, 2000),
      leaseAttemptsMax: 3,
      drain: { DRAIN_SPREAD: random.pick([0, 100, 400]), DRAIN_DEADLINE: random.pick([300, 2000]) },
    },
    syncMs: random.pick([0.1, 3, 40]),
    hopMs: random.pick([0.1, 2, 20]),
    latencyMs: random.pick([0.1, 2, 30]),
    kernelBytes,
    burstBytes: random.pick([500, 4000, 60_000]),
    plain,
    limitBytes:
      Math.min(HIGH_WATER_MAX_BYTES, share) +
      share +
      (plain ? 0 : WINDOW_BYTES) +
      REPLY_BYTES +
      UNCOUNTED_FRAMES * (plain ? padding + EVENT_BYTES : BATCH_BYTES),
    mishapMs: random.int(50, 600),
    mishaps,
    busLoss: random.pick([0, 0.3, 1]),
  }
}

export function drawChannels(random: Random): Channel[] {
  if (random.chance(0.5)) return [...channels]
  const some = channels.filter(() => random.chance(0.5))
  return some.length > 0 ? some : ['jobs']
}

export function drawFraming(random: Random): Framing {
  return random.pick(['json', 'json', 'msgpack', 'deflate'] as const)
}

/** Narrowed and gathered in any of the ways of PROTOCOL §4; good for any of the channels. */
export function drawOptions(random: Random): Options {
  // Some let most of a channel pass, some next to nothing.
  const many = ['job_progress', 'job_completed', 'error_occurred', 'queue_status', 'photo_imported']
  const few = ['job_completed', 'photo_approved', 'priority_changed', 'session_created']
  const where = [
    { type: { in: many } },
    { type: { in: few } },
    { seq: { gte: random.int(1, 60) } },
    { type: { ne: 'queue_status' } },
  ]
  const batch_ms = random.pick([null, 0, 50, 250])
  return {
    ...(random.chance(0.7) ? { where: random.pick(where) } : {}),
    ...(batch_ms === null ? {} : { batch_ms }),
    ...(random.chance(0.5) ? { conflate: true } : {}),
  }
}
