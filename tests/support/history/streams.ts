/** Subscribers over server-sent events: they come back with the last id that they saw, as browsers do. */
import type { Positions } from '../../../lib/protocol/cursor.ts'
import { mayReconnect } from '../../../lib/protocol/refusals.ts'
import { TestStream } from '../event-stream.ts'
import { countRoute, Follower, wait, type FollowerOptions } from './follower.ts'
import { EXPIRED_CODE, heldFrom, noteHeard, noteStood } from './held.ts'
import { drawWhere, fits } from './options.ts'
import { isJournalEvent, type Segment } from './record.ts'
import type { Where } from './where.ts'

const OPEN_DEADLINE_MS = 2000
/** Whoever has a proxy before it comes again after this: a stream that was cut half looks like a quiet one. */
const STAY_MS_MAX = 1500

export class StreamFollower extends Follower {
  private abort = new AbortController()
  private where: Where | undefined
  private open = false

  constructor(options: FollowerOptions, where: Where | undefined) {
    super(options, 'sse')
    this.where = where
  }

  /** Of a quiet stream nobody knows how far it is; it is told by the server's lists, and by a clean end. */
  protected override hasReached(_: Positions): boolean {
    return this.open
  }

  protected hangUp(): void {
    this.abort.abort()
  }

  protected async visit(url: string): Promise<void> {
    const { arrivals, random } = this.options
    const { channels } = this
    const since = this.cursor()
    this.abort = new AbortController()
    if (random.chance(0.1)) this.where = random.chance(0.5) ? drawWhere(random, channels) : undefined
    // Another pass may open no channel that has the fields it asked for.
    if (this.where && !fits(this.where, channels)) this.where = undefined
    const { where } = this
    const asked = { channels, since, ...(where ? { where } : {}) }
    const segment: Segment = {
      transport: 'sse',
      clientType: undefined,
      held: heldFrom(this.pass),
      refreshes: new Map(),
      asked: new Map([['stream', asked]]),
      pinged: new Map(),
      received: [],
    }
    // Where it never saw an id, what it read tells it where to begin.
    const resumes = this.record.segments.length > 0
    const query = new URLSearchParams({ channels: channels.join(',') })
    if (where) query.set('where', JSON.stringify(where))
    if (since !== undefined && !resumes) query.set('since', since)
    const deadline = setTimeout(() => this.abort.abort(), OPEN_DEADLINE_MS)
    let told: unknown
    const startedMs = Date.now()
    const opened = await TestStream.open({
      url: `${this.address(url)}/api/events/stream?${query.toString()}`,
      signal: this.abort.signal,
      headers: {
        Authorization: `Bearer ${this.token}`,
        ...(since !== undefined && resumes ? { 'Last-Event-ID': since } : {}),
      },
      onBlock: (id, event) => {
        const first = segment.received.length === 0
        noteHeard(segment.held, arrivals, event?.data)
        if (event?.type === 'disconnect') told = event.data['code']
        if (event) segment.received.push(event.data)
        // An event whose block has no id has the one before, as in a browser.
        const last = id ?? (event && isJournalEvent(event.data) ? event.id : undefined)
        if (last === undefined) return
        segment.received.push({ type: first ? 'stream_began' : 'stream_id', cursor: last })
        this.adopt(last)
      },
    }).finally(() => clearTimeout(deadline))
    if (!(opened instanceof TestStream)) return this.refused('a stream', opened)
    this.open = true
    this.shown('a stream', startedMs)
    countRoute(this.options.history, 'GET /api/events/stream')
    if (!this.direct) void wait(random.int(50, STAY_MS_MAX)).then(() => this.direct || opened.close())
    await opened.ended
    this.open = false
    if (this.direct) noteStood(segment.held, arrivals)
    if (segment.received.length > 0) this.record.segments.push(segment)
    if (told === EXPIRED_CODE) this.tire()
    if (told !== undefined && !mayReconnect(Number(told))) this.sentAway()
    else await wait(random.int(0, 50))
  }
}
