/** A follower: what subscribers of every transport share. It comes back whenever it lost its connection, however it did. */
import { formatCursor, parseCursor, type Positions } from '../../../lib/protocol/cursor.ts'
import { channels as allChannels, type Channel } from '../../../lib/protocol/events.ts'
import type { Random } from '../random.ts'
import type { Arrivals } from './arrivals.ts'
import type { Gate } from './gate.ts'
import { hasExpired, isLasting, type Passes } from './passes.ts'
import type { Pass } from './operator-record.ts'
import type { History, SubscriberRecord } from './record.ts'
import { everything, opened, type Right } from './rights.ts'

const REACH_DEADLINE_MS = 30_000
/** An answer that takes longer was lost on its way. */
const ANSWER_DEADLINE_MS = 2500

export interface FollowerOptions {
  readonly name: string
  readonly clientType: string
  readonly channels: readonly Channel[]
  readonly gate: Gate
  readonly arrivals: Arrivals
  readonly history: History
  readonly token: string
  /** Where it takes its tokens from, if not the run's own. */
  readonly passes?: Passes
  readonly random: Random
  /** Connects here instead of the server's own port. */
  readonly proxyPort?: number
}

export abstract class Follower {
  protected record: SubscriberRecord = { name: '', segments: [], endings: [], stopped: false }
  protected positions: Positions = {}
  protected pass: Pass | undefined
  protected direct: boolean
  protected settling = false
  protected over = false
  private epoch: string | undefined
  private lives = 0
  private loop = Promise.resolve()

  constructor(
    protected readonly options: FollowerOptions,
    private readonly kind: string,
  ) {
    this.direct = options.proxyPort === undefined
    this.begin()
  }

  start(): this {
    this.loop = this.run()
    return this
  }

  /** The run is near its end: goes around the proxy with a pass that lasts, and stays with what it asked for. */
  settle(): void {
    this.settling = true
    if (this.direct && (!this.pass || isLasting(this.pass))) return
    this.direct = true
    this.hangUp()
  }

  /** Waits until it has everything up to there. A server that does not bring it has lost something: the checker says what. */
  async reach(target: Positions): Promise<void> {
    const deadline = performance.now() + REACH_DEADLINE_MS
    while (performance.now() < deadline && !this.hasReached(target)) await wait(5)
  }

  /** Ends for good. */
  async leave(): Promise<void> {
    this.over = true
    this.hangUp()
    await this.loop
  }

  /** Follows the server at this address until the connection ends. */
  protected abstract visit(url: string): Promise<void>
  protected abstract hangUp(): void

  protected hasReached(target: Positions): boolean {
    return this.channels.every((channel) => (this.positions[channel] ?? -1) >= (target[channel] ?? 0))
  }

  protected get right(): Right {
    return this.pass?.right ?? everything
  }

  /** What it wants and may have. */
  protected get channels(): readonly Channel[] {
    return this.options.channels.filter((channel) => opened(this.right, channel) !== 'none')
  }

  /** A new subscriber, with a record of its own; some have read the state before and come since its cursor. */
  protected begin(): void {
    const { name, history, random } = this.options
    this.lives += 1
    this.record = { name: `${name}.${this.lives} (${this.kind})`, segments: [], endings: [], stopped: false }
    history.subscribers.push(this.record)
    const read = random.chance(0.5) ? history.reads.at(-1) : undefined
    const cursor = read && parseCursor(read.cursor)
    this.epoch = cursor?.epoch
    this.positions = { ...cursor?.positions }
  }

  private async run(): Promise<void> {
    while (!this.over) {
      const url = await this.options.gate.whenUp()
      if (url === undefined) return
      const tired = this.pass && (this.settling ? !isLasting(this.pass) : this.options.random.chance(0.3))
      if (tired) this.hold(undefined)
      this.pass ??= await this.draw()
      // Refused, cut or killed before it stood: come again.
      await this.visit(url).catch(() => wait(5))
    }
  }

  /** A pass to come with, or one that a live connection can go on with. */
  protected async draw(subject?: string, lasting = this.settling): Promise<Pass | undefined> {
    const { passes, random, channels } = this.options
    return await passes?.take(random, { channels, lasting, ...(subject === undefined ? {} : { subject }) })
  }

  /** Goes by another pass from now on. */
  protected hold(pass: Pass | undefined): void {
    if (this.pass) this.options.passes?.letGo(this.pass)
    this.pass = pass
  }

  /** Where it goes on, on these channels; undefined at the very beginning. */
  protected cursor(channels: readonly Channel[] = allChannels): string | undefined {
    if (this.epoch === undefined) return undefined
    const known = Object.entries(this.positions).filter(([channel]) => channels.includes(channel as Channel))
    if (known.length === 0) return undefined
    return formatCursor({ epoch: this.epoch, positions: Object.fromEntries(known) })
  }

  /** Moves on with a cursor that the server gave, on these channels. */
  protected adopt(cursor: string, channels: readonly Channel[] = allChannels): void {
    const { epoch, positions } = parseCursor(cursor)
    this.epoch = epoch
    for (const channel of channels) {
      const seq = positions[channel]
      if (seq !== undefined) this.move(channel, seq)
    }
  }

  protected move(channel: Channel, seq: number): void {
    this.positions[channel] = Math.max(this.positions[channel] ?? 0, seq)
  }

  /** What became of a pass that was shown. */
  protected shown(
    what: string,
    startedMs: number,
    { pass = this.pass, code }: { pass?: Pass | undefined; code?: string | undefined } = {},
  ): void {
    if (!pass) return
    const { name } = this.record
    this.options.history.shown.push({ name, what, pass, startedMs, endedMs: Date.now(), code })
  }

  /** Its token was refused, or an operator sent it away: with another token it is another matter. */
  protected sentAway(): void {
    if (this.pass && (this.options.passes?.mayBeVoid(this.pass) || hasExpired(this.pass))) return this.tire()
    this.record.stopped = true
    this.begin()
  }

  /** Its pass is void or has expired; some try once more with it. */
  protected tire(): void {
    if (this.settling || this.options.random.chance(0.6)) this.hold(undefined)
  }

  protected address(url: string, scheme = 'http'): string {
    const port = this.direct ? new URL(url).port : this.options.proxyPort
    return `${scheme}://127.0.0.1:${port}`
  }

  protected get token(): string {
    return this.pass?.token ?? this.options.token
  }

  /** A request on a connection of its own, so that nothing sends it twice. @throws when no answer came */
  protected async call<T>(
    method: string,
    address: string,
    body?: unknown,
  ): Promise<{ status: number; body: T; cursor: string | null }> {
    const startedMs = Date.now()
    const { pass } = this
    const response = await fetch(address, {
      method,
      keepalive: false,
      signal: AbortSignal.timeout(ANSWER_DEADLINE_MS),
      headers: {
        Authorization: `Bearer ${this.token}`,
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const cursor = response.headers.get('lightwire-cursor')
    const answer = { status: response.status, body: (await response.json()) as T, cursor }
    const route = `${method} ${new URL(address).pathname.replace(/\/\d+$/, '/{id}')}`
    if (response.ok) {
      countRoute(this.options.history, route)
      this.shown(route, startedMs, { pass })
    }
    return answer
  }

  /** What a refused request means. @throws to come again later */
  protected refused(what: string, { status, body }: { status: number; body: unknown }): never {
    const { code } = body as { code?: string }
    if (status === 401) {
      this.shown(what, Date.now(), { code })
      this.sentAway()
    } else if (status !== 503)
      this.options.history.unexpected.push(`${what}: ${status} ${JSON.stringify(body)}`)
    throw new Error(`${what} was refused`)
  }
}

/** One more 2xx answer of a route without parameters. */
export function countRoute({ routes }: History, name: string): void {
  routes.set(name, (routes.get(name) ?? 0) + 1)
}

export function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
