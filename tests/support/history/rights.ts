/** What tokens open, as PROTOCOL §7 says, written a second time: the server's own reading is what is judged. */
import { channels, type Channel } from '../../../lib/protocol/events.ts'
import type { Random } from '../random.ts'
import { drawSome, fits } from './options.ts'
import type { Row } from './record.ts'
import { passes, type Where } from './where.ts'

export interface Grant {
  readonly channel: Channel
  readonly where: Where
}

export interface Right {
  readonly scope: string
  readonly grants: readonly Grant[]
}

/** Of the run's own token. */
export const everything: Right = { scope: 'events:read', grants: [] }

/** How much of a channel may be seen. */
export function opened(right: Right, channel: Channel): 'all' | 'some' | 'none' {
  // What most ask for, and often.
  if (right === everything) return 'all'
  const { scope, grants } = right
  const words = scope.split(' ')
  if (words.includes('events:read') || words.includes(`events:read:${channel}`)) return 'all'
  return grants.some((grant) => grant.channel === channel) ? 'some' : 'none'
}

/** Whether an event may be seen: any one grant will do. */
export function shows(right: Right, event: { readonly channel: Channel } & Row): boolean {
  const how = opened(right, event.channel)
  const granted = ({ channel, where }: Grant) => channel === event.channel && passes(event, where)
  return how === 'all' || (how === 'some' && right.grants.some(granted))
}

/** Sessions whose rows may be read: those of grants that ask for nothing else. */
export function sessionsOpened({ grants }: Right): ReadonlySet<unknown> {
  const named = grants.flatMap(({ where }) => {
    const { session_id: wanted, ...more } = where
    if (wanted === undefined || Object.keys(more).length > 0) return []
    if (typeof wanted !== 'object' || wanted === null) return [wanted]
    const { eq, in: several = eq === undefined ? [] : [eq], ...others } = wanted as Record<string, unknown>
    return Object.keys(others).length > 0 ? [] : (several as unknown[])
  })
  return new Set(named.filter((id) => typeof id === 'number'))
}

/** Grants by what is neither a session nor a job: some hold for states, whose newest they may not show. */
const others: readonly Where[] = [
  { type: { in: ['job_progress', 'job_completed', 'photo_analyzed', 'session_updated', 'queue_status'] } },
  { session_id: { exists: false } },
  { photo_id: { lte: 40 } },
  { progress: { gte: 40 } },
  { progress_percent: { lt: 50 }, total_photos: { gt: 0 } },
  { pending: { gte: 3 } },
  { queue_count: { in: [0, 1, 2] } },
  { status: { ne: 'paused' } },
]

/** Looked up once: a right is drawn often. */
const othersOf = new Map(
  channels.map((channel) => [channel, others.filter((where) => fits(where, [channel]))]),
)
const withSessions = channels.filter((channel) => fits({ session_id: 1 }, [channel]))

/**
 * A right that opens at least one of these channels: all of it, some channels, rows of some, or a mixture.
 * @param sessions that there are, or may be
 */
export function drawRight(random: Random, wanted: readonly Channel[], sessions: readonly number[]): Right {
  const kind = random.next()
  if (kind < 0.2) return everything
  const whole = kind < 0.4 || random.chance(0.3) ? drawSome(random, wanted) : []
  const scope = whole.map((channel) => `events:read:${channel}`).join(' ')
  if (kind < 0.4) return { scope, grants: [] }
  const some = drawSome(random, random.chance(0.8) ? wanted : channels)
  const session = drawSession(random, sessions)
  const grants = some.flatMap((channel) => {
    const bySession = withSessions.includes(channel) ? [session, drawSession(random, sessions)] : []
    const drawn = [...bySession, ...(othersOf.get(channel) ?? []).filter(() => random.chance(0.3))]
    return drawn.filter(() => random.chance(0.6)).map((where) => ({ channel, where }))
  })
  // What opens nothing of what is wanted is of no use to whoever asks.
  const right = { scope, grants }
  return wanted.some((channel) => opened(right, channel) !== 'none') ? right : everything
}

function drawSession(random: Random, sessions: readonly number[]): Where {
  const pick = () => random.pick(sessions)
  return random.pick<() => Where>([
    () => ({ session_id: pick() }),
    () => ({ session_id: { eq: pick() } }),
    () => ({ session_id: { in: [pick(), pick(), pick()] } }),
    () => ({ session_id: { in: [pick(), pick()] }, type: { ne: 'job_progress' } }),
  ])()
}
