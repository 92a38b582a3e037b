/** Pull: pages of the journal for whoever asks, at once or as soon as there is something; nothing is kept for them. */
import { formatCursor, type Cursor, type Positions } from '../protocol/cursor.ts'
import type { Channel } from '../protocol/events.ts'
import type { Fields, Filter } from '../protocol/filter.ts'
import type { Recovery } from '../protocol/messages.ts'
import { visible, type Principal } from '../access/rights.ts'
import { Refusal } from '../protocol/refusals.ts'
import type { Pages } from '../realtime/pages.ts'
import type { EncodedEvent } from '../realtime/tail.ts'
import type { Signal } from '../signal.ts'

/** Events that one page looks at (PROTOCOL §6). */
const LOOKED_AT_MAX = 10_000
/** A page ends with the event that makes it so large. */
const PAGE_BYTES = 1_048_576
/** How soon after its token's end a request that waits is refused. */
const STANDING_MS = 1000

export interface PullRequest {
  readonly channels: readonly Channel[]
  readonly since: Cursor | undefined
  readonly filter: Filter | undefined
  readonly principal: Principal
  readonly limit: number
  /** Milliseconds to wait for the first event. */
  readonly waitMs: number
  /** Aborted when the client went away. */
  readonly signal: AbortSignal
  /** After each wait: whether the token is still good. @throws {Refusal} */
  readonly requireStanding: () => void
}

export interface PulledPage {
  readonly events: readonly Fields[]
  readonly cursor: string
  /** Whether another page is there already. */
  readonly more: boolean
}

export interface PullOptions {
  readonly epoch: string
  readonly pages: () => Pages
  /** Per channel the newest seq that may be shown. */
  readonly heads: () => Positions
  /** Per channel the newest seq that retention took away. */
  readonly trimmed: () => Positions
  readonly judge: (cursor: Cursor, channel: Channel) => Recovery
  /** Takes note of what other nodes committed, where a cursor reaches beyond what is known here. */
  readonly catchUp?: (cursor: Cursor) => Promise<void> | undefined
  /** Woken with every delivery. */
  readonly delivered: Signal
  readonly monotonicMs: () => number
  /** The server stops: nobody waits any more. */
  readonly draining: AbortSignal
}

export type Pull = (request: PullRequest) => Promise<PulledPage>

export function createPull(options: PullOptions): Pull {
  const { epoch, heads, delivered, monotonicMs, draining, catchUp } = options

  return async (request) => {
    const { since, signal, waitMs, requireStanding } = request
    const deadline = monotonicMs() + waitMs
    if (since) await catchUp?.(since)
    const positions = startOf(request, options)
    for (;;) {
      const seen = delivered.version()
      const { events, more } = await readPage(request, positions, heads(), options)
      const left = deadline - monotonicMs()
      const done = events.length > 0 || more || left <= 0 || signal.aborted || draining.aborted
      if (done) return { events, cursor: formatCursor({ epoch, positions }), more }
      await delivered.wait(seen, Math.min(left, STANDING_MS), signal)
      requireStanding()
    }
  }
}

/**
 * Where each channel begins: without a cursor at the oldest event kept, where the cursor leaves it out at the head.
 * @throws {Refusal} `cursor_gone` with the recovery of each channel
 */
function startOf({ channels, since }: PullRequest, { judge, heads, trimmed }: PullOptions): Positions {
  const positions: Positions = {}
  for (const channel of channels) {
    const oldest = trimmed()[channel] ?? 0
    positions[channel] = since ? (since.positions[channel] ?? heads()[channel] ?? 0) : oldest
  }
  if (since) requireServable(since, channels, judge)
  return positions
}

/** @throws {Refusal} `cursor_gone` with the recovery of each channel, where one cannot be served */
export function requireServable(
  since: Cursor,
  channels: readonly Channel[],
  judge: (cursor: Cursor, channel: Channel) => Recovery,
): void {
  const recovery = Object.fromEntries(channels.map((channel) => [channel, judge(since, channel)]))
  const gone = channels.filter((channel) => recovery[channel]?.status === 'snapshot_required')
  if (gone.length === 0) return
  const sentence = `events after this cursor cannot be given for ${gone.join(', ')}; read the state again`
  throw new Refusal('cursor_gone', sentence, { members: { recovery } })
}

/** Moves the positions over one page: the channels' events in the order of their times. */
async function readPage(
  { channels, filter, principal, limit }: PullRequest,
  positions: Positions,
  heads: Positions,
  { pages }: Pick<PullOptions, 'pages'>,
): Promise<{ events: Fields[]; more: boolean }> {
  const filters = new Map(channels.map((channel) => [channel, visible(principal, channel, filter)]))
  const queues = new Map<Channel, EncodedEvent[]>()
  const events: Fields[] = []
  let bytes = 0
  for (let looked = 0; looked < LOOKED_AT_MAX; looked += 1) {
    for (const channel of channels) {
      const [position = 0, head = 0] = [positions[channel], heads[channel]]
      if (position >= head || queues.get(channel)?.length) continue
      queues.set(channel, await readAfter(pages(), channel, position, head))
    }
    const next = earliest(queues)
    if (!next) return { events, more: false }
    positions[next.channel] = next.seq
    queues.get(next.channel)?.shift()
    if (filters.get(next.channel)?.matches(next.fields) === false) continue
    events.push(next.fields)
    bytes += next.bytes
    if (events.length >= limit || bytes >= PAGE_BYTES) break
  }
  return { events, more: channels.some((channel) => (positions[channel] ?? 0) < (heads[channel] ?? 0)) }
}

async function readAfter(
  pages: Pages,
  channel: Channel,
  position: number,
  head: number,
): Promise<EncodedEvent[]> {
  const page = pages.inMemory(channel, position) ?? (await pages.load(channel, position, head))
  const events = page.filter(({ seq }) => seq <= head)
  if (events[0]?.seq === position + 1) return events
  const recovery = { [channel]: { status: 'snapshot_required', reason: 'trimmed' } }
  throw new Refusal('cursor_gone', `events of channel ${channel} after this position are no longer kept`, {
    members: { recovery },
  })
}

/** Of the channels' next events the one that was committed first. */
function earliest(queues: ReadonlyMap<Channel, readonly EncodedEvent[]>): EncodedEvent | undefined {
  let found: EncodedEvent | undefined
  for (const [event] of queues.values()) {
    if (event && (!found || String(event.fields['timestamp']) < String(found.fields['timestamp'])))
      found = event
  }
  return found
}
