/** How subscribers ask to follow channels: seeded filters, batches and conflation, as `subscribe` takes them. */
import { channels, type Channel } from '../../../lib/protocol/events.ts'
import { parseFilter } from '../../../lib/protocol/filter.ts'
import type { Random } from '../random.ts'
import type { Where } from './where.ts'

/** How some channels are followed (PROTOCOL §4). */
export interface Options {
  readonly where?: Where
  readonly batch_ms?: number
  readonly conflate?: boolean
}

/** Few, so that the subscribers of one subject stay under its bound and share topics. */
const filters: readonly Where[] = [
  { session_id: 1 },
  { session_id: { in: [2, 3, 5, 8] } },
  { session_id: { exists: false } },
  { session_id: { exists: true }, type: { ne: 'photo_imported' } },
  { type: { in: ['job_progress', 'job_completed', 'photo_approved', 'session_updated', 'queue_status'] } },
  { type: 'job_progress', progress: { gte: 30, lt: 80 } },
  { progress: { gt: 50 } },
  { photo_id: { gt: 5, lte: 60 } },
  { priority: { lte: 4 } },
  { preset_name: 'Print' },
  { queue_count: { gte: 1 } },
  { message: { gte: 'm3' } },
  { seq: { gt: 20 }, channel: { in: ['photos', 'queue', 'sessions'] } },
]

/** One that events of these channels can be asked by; undefined where none is. */
export function drawWhere(random: Random, followed: readonly Channel[]): Where | undefined {
  const fitting = filters.filter((where) => fits(where, followed))
  return fitting.length === 0 ? undefined : random.pick(fitting)
}

export function drawOptions(random: Random, followed: readonly Channel[]): Options {
  const where = random.chance(0.5) ? drawWhere(random, followed) : undefined
  const batch = random.pick([undefined, undefined, 0, 50, 100, 250])
  return {
    ...(where ? { where } : {}),
    ...(batch === undefined ? {} : { batch_ms: batch }),
    ...(random.chance(0.4) ? { conflate: true } : {}),
  }
}

/** Some of the channels, at least one. */
export function drawSome(random: Random, of: readonly Channel[]): readonly Channel[] {
  const some = of.filter(() => random.chance(0.4))
  return some.length > 0 ? some : [random.pick(of)]
}

/** Every channel, or some. */
export function drawChannels(random: Random): readonly Channel[] {
  return random.chance(0.75) ? channels : drawSome(random, channels)
}

/** Whoever asks for more than bare events gets batches. */
export function isBatched({ where, batch_ms, conflate }: Options): boolean {
  return where !== undefined || batch_ms !== undefined || conflate === true
}

/** Whether the server takes it for these channels: only about what is asked, never about what matches. */
export function fits(where: Where, followed: readonly Channel[]): boolean {
  try {
    return parseFilter(where, followed).conditions.length > 0
  } catch {
    return false
  }
}
