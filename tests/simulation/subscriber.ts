/** A client that keeps the client rule of PROTOCOL §5, and holds every frame, before it drops any, against the truth. */
import type { Frame, Framing } from '../../lib/protocol/codec.ts'
import { formatCursor, parseCursor, type Cursor, type Positions } from '../../lib/protocol/cursor.ts'
import type { Channel } from '../../lib/protocol/events.ts'
import type { Random } from '../support/random.ts'
import { decoded, type Fields } from './frames.ts'
import type { Owner, Scheduler } from './scheduler.ts'
import type { Peer, VirtualSocket } from './socket.ts'
import { createStreamChecks, type Options, type Stream, type StreamChecks } from './streams.ts'
import { Violation, type Truth } from './truth.ts'

/** What the server had committed when it read a ping. */
export interface PingRecord {
  readonly heads: Positions
}

/** A state that was read, as its cursor and what history had led to it. */
export interface StateRead {
  readonly cursor: Cursor
  readonly chains: ReadonlyMap<Channel, number>
}

export interface SubscriberWorld {
  readonly scheduler: Scheduler
  readonly truth: Truth
  /** The server's end of a new connection, or undefined while nobody answers. */
  connect(peer: Peer, framing: Framing): VirtualSocket | undefined
  /** Reads the state over REST; undefined without an answer. */
  snapshot(owner: Owner, got: (read: StateRead | undefined) => void): void
  /** A ping as the server read it. */
  ping(id: string): PingRecord | undefined
  /** Whether a snapshot may be demanded for a cursor whose past is the beginning of what there is now. */
  mayDemandSnapshot(epoch: string): boolean
  readonly counts: Counts
}

export interface Counts {
  connections: number
  frames: number
  events: number
  batches: number
  recovered: number
  snapshots: number
  pongs: number
  overtaken: number
}

interface Asked {
  readonly channels: readonly Channel[]
  readonly since: Cursor | undefined
  /** What the client had seen when it asked. */
  readonly chains: ReadonlyMap<Channel, number>
  readonly options: Options
}

const RETRY_MS = 400

export class Subscriber implements Peer {
  readonly owner: Owner
  socket: VirtualSocket | undefined
  private readonly checks: StreamChecks
  private epoch = ''
  /** The client's positions, and the chain over what it has applied up to there. */
  private readonly positions = new Map<Channel, { at: number; chain: number }>()
  private streams = new Map<Channel, Stream>()
  private asked = new Map<string, Asked>()
  private questions = 0
  /** Channels whose unsubscription is on its way, in the order asked. */
  private leaving: Channel[] = []
  private readonly channels: readonly Channel[]
  private options: Options
  private pings = 0
  private answered = 0
  private retrying = false

  constructor(
    readonly name: string,
    private readonly world: SubscriberWorld,
    private readonly random: Random,
    private readonly framing: Framing,
    channels: readonly Channel[],
    private readonly drawOptions: () => Options,
  ) {
    this.owner = { name, alive: true }
    this.checks = createStreamChecks(name, world.truth)
    this.channels = [...channels]
    this.options = drawOptions()
  }

  /** Whether it has everything there is. */
  isCurrent(): boolean {
    return (
      this.socket?.readyState === 1 &&
      this.answered === this.pings &&
      this.asked.size === 0 &&
      this.channels.every((channel) => this.hasAll(channel))
    )
  }

  private hasAll(channel: Channel): boolean {
    const stream = this.streams.get(channel)
    if (!stream || stream.owed.size > 0) return false
    const { head } = this.world.truth
    // What passes a filter by is not told at once.
    return stream.at === head(channel) || this.checks.matching(channel, stream, head(channel)).length === 0
  }

  describe(): string {
    const { truth } = this.world
    const at = this.channels.map(
      (channel) => `${channel} ${this.streams.get(channel)?.at ?? 'nowhere'} of ${truth.head(channel)}`,
    )
    const pongs = `${this.answered} of ${this.pings} pongs`
    return `${this.name} (${this.socket ? `socket ${this.socket.readyState}` : 'no socket'}, ${pongs}): ${at.join(', ')}`
  }

  connect(): void {
    if (this.socket) return
    const socket = this.world.connect(this, this.framing)
    if (!socket) return this.retry()
    this.socket = socket
    this.streams = new Map()
    this.asked.clear()
    this.leaving = []
    this.pings = this.answered = 0
    this.world.counts.connections += 1
    this.world.scheduler.note('connects', this.name)
    // Nothing has to wait: the subscription goes out right after the upgrade.
    if (this.epoch === '' && this.random.chance(0.5)) this.readThenSubscribe()
    else this.subscribe(this.channels)
  }

  /** Something the client does now and then. */
  act(): void {
    if (this.socket?.readyState !== 1) return
    const kind = this.random.int(0, 9)
    if (kind < 5) return this.ping()
    if (kind < 7) {
      if (this.random.chance(0.3)) this.options = this.drawOptions()
      // Without a cursor a channel that is followed goes on where it is.
      return this.subscribe(this.channels, { anew: this.random.chance(0.5) })
    }
    const channel = this.random.pick(this.channels)
    if (kind === 7) return this.subscribe([channel])
    if (kind === 8 && this.channels.length > 1) {
      this.leaving.push(channel)
      this.say({ type: 'unsubscribe', channels: [channel] })
      // It comes back with the position that it has when that is confirmed.
      return this.subscribe([channel])
    }
    return this.readThenSubscribe()
  }

  ping(): void {
    this.pings += 1
    this.say({ type: 'ping', id: `${this.name}/${this.world.counts.connections}/${this.pings}` })
  }

  receive(frames: readonly Frame[]): void {
    for (const frame of frames) {
      this.world.counts.frames += 1
      this.take(decoded(frame, this.framing))
    }
  }

  closed(code: number): void {
    this.world.scheduler.note('closed', this.name, code)
    if (code === 4409) this.requireTrimmed()
    else if (code !== 1006 && code !== 1012 && code !== 4400 && code !== 4408)
      throw new Violation(`${this.name} was closed with ${code}`)
    this.socket = undefined
    this.retry()
  }

  /** Goes away without a word. */
  drop(halfOpen: boolean): void {
    this.socket?.cut({ halfOpen })
  }

  private retry(): void {
    if (this.retrying) return
    this.retrying = true
    this.world.scheduler.post(this.owner, this.random.next() * RETRY_MS, 'reconnect', () => {
      this.retrying = false
      this.connect()
    })
  }

  private say(message: object): void {
    this.world.scheduler.tell(() => `→ ${JSON.stringify(message)}`)
    this.socket?.fromClient(JSON.stringify(message))
  }

  private subscribe(channels: readonly Channel[], { anew = true } = {}): void {
    const known: Positions = {}
    const chains = new Map<Channel, number>()
    for (const channel of channels) {
      const position = this.positions.get(channel)
      if (!position) continue
      known[channel] = position.at
      chains.set(channel, position.chain)
    }
    const since = this.epoch === '' || !anew ? undefined : { epoch: this.epoch, positions: known }
    const id = `q${(this.questions += 1)}`
    const { options } = this
    this.asked.set(id, { since, channels, chains, options })
    this.say({
      type: 'subscribe',
      id,
      channels,
      ...(since ? { since: formatCursor(since) } : {}),
      ...options,
    })
  }

  private readThenSubscribe(): void {
    const socket = this.socket
    this.world.snapshot(this.owner, (read) => {
      if (!socket || this.socket !== socket) return
      if (!read) {
        return this.later('read again', () => this.readThenSubscribe())
      }
      const { cursor, chains } = read
      this.epoch = cursor.epoch
      for (const channel of this.channels) {
        this.positions.set(channel, { at: cursor.positions[channel] ?? 0, chain: chains.get(channel) ?? 0 })
      }
      this.subscribe(this.channels)
    })
  }

  /** After a while, if the connection is still the same. */
  private later(label: string, act: () => void): void {
    const { socket } = this
    this.world.scheduler.post(this.owner, RETRY_MS * this.random.next(), label, () => {
      if (this.socket === socket) act()
    })
  }

  /** Begins at a head: what was before does not matter. */
  private moveTo(channel: Channel, at: number): void {
    const chain = this.world.truth.chainAt(channel, at)
    if (chain === undefined) throw new Violation(`${this.name} was told ${channel}=${at}, which is not there`)
    this.positions.set(channel, { at, chain })
  }

  private take(message: Readonly<Record<string, unknown>>): void {
    this.world.scheduler.tell(() => `← ${JSON.stringify(message).slice(0, 250)}`)
    const { type } = message
    if (typeof message['seq'] === 'number') return this.onEvent(message)
    switch (type) {
      case 'batch':
        return this.onBatch(message)
      case 'subscription_confirmed':
        return this.onConfirmed(message)
      case 'unsubscription_confirmed':
        for (const channel of this.streams.keys()) {
          if (!(message['channels'] as string[]).includes(channel)) this.streams.delete(channel)
        }
        this.leaving.shift()
        return
      case 'pong':
        return this.onPong(message)
      case 'error':
        return this.onError(message)
      default:
        return
    }
  }

  private onEvent(message: Readonly<Record<string, unknown>>): void {
    const { channel, seq } = message as { channel: Channel; seq: number }
    const stream = this.streams.get(channel)
    if (!stream) throw new Violation(`${this.name} got ${channel}=${seq} without a subscription`)
    if (seq !== stream.at + 1)
      throw new Violation(
        `${this.name} got ${channel}=${seq} after ${stream.at}: ${seq <= stream.at ? 'repeated' : 'a gap'}`,
      )
    stream.at = seq
    this.checks.event(channel, seq, JSON.stringify(message))
    this.apply(channel, seq - 1, seq)
    this.world.counts.events += 1
  }

  /** The client rule; frames are held against the stream before it. */
  private apply(channel: Channel, after: number, upto: number): void {
    const position = this.positions.get(channel)
    if (!position || upto <= position.at) return
    // It has asked already for what it lacks.
    if (after > position.at && this.asked.values().some(({ channels }) => channels.includes(channel))) return
    if (after > position.at)
      throw new Violation(`${this.name} sees a gap in ${channel}: ${position.at} to ${after}`)
    position.at = upto
    position.chain = this.world.truth.chainAt(channel, upto) ?? 0
  }

  private onBatch(message: Readonly<Record<string, unknown>>): void {
    const { channel, after, upto, events } = message as {
      channel: Channel
      after: number
      upto: number
      events: Fields[]
    }
    const stream = this.streams.get(channel)
    if (!stream) throw new Violation(`${this.name} got a batch of ${channel} without a subscription`)
    if (after > stream.at)
      throw new Violation(`${this.name} got a batch of ${channel} after ${after}, was at ${stream.at}`)
    if (upto < stream.at)
      throw new Violation(`${this.name} got a batch of ${channel} up to ${upto}, was at ${stream.at}`)
    this.checks.batch(channel, stream, upto, events)
    this.apply(channel, after, upto)
    stream.at = upto
    this.world.counts.batches += 1
    this.world.counts.events += events.length
  }

  private onConfirmed(message: Readonly<Record<string, unknown>>): void {
    const id = String(message['id'])
    const asked = this.asked.get(id)
    this.asked.delete(id)
    if (!asked) throw new Violation(`${this.name} got a confirmation that nobody asked for`)
    const cursor = parseCursor(String(message['cursor']))
    const recovery = message['recovery'] as Record<string, { status: string; reason?: string }>
    this.epoch = cursor.epoch
    let lost = false
    for (const channel of asked.channels) {
      const at = cursor.positions[channel]
      const status = recovery[channel]?.status
      if (at === undefined || status === undefined)
        throw new Violation(`${this.name}: the confirmation says nothing of ${channel}`)
      const since = asked.since?.positions[channel]
      const stream = this.streams.get(channel)
      this.streams.set(channel, { at, options: asked.options, owed: new Map() })
      if (status === 'recovered') {
        this.requireRecovered(channel, asked, at)
      } else if (status === 'live') {
        if (since !== undefined)
          throw new Violation(`${this.name}: ${channel}=${since} was asked, the answer is live`)
        if (
          stream &&
          (at < stream.at || (at > stream.at && this.checks.matching(channel, stream, at).length > 0))
        )
          throw new Violation(`${this.name}: ${channel} goes on at ${at}, not ${stream.at}`)
        // What its filter passed by counts as had; who comes without a cursor begins at the head.
        if (stream && this.positions.has(channel)) this.apply(channel, stream.at, at)
        else if (!this.hasAskedSince(channel)) this.moveTo(channel, at)
      } else {
        lost = true
        this.requireReason(channel, asked, recovery[channel]?.reason)
        this.positions.delete(channel)
      }
    }
    if (!lost) return
    this.world.counts.snapshots += 1
    this.later('read the state', () => this.readThenSubscribe())
  }

  private hasAskedSince(channel: Channel): boolean {
    return this.asked.values().some(({ since }) => since?.positions[channel] !== undefined)
  }

  /** Never falsely: what this client had seen is the very beginning of what there is. */
  private requireRecovered(channel: Channel, { since, chains }: Asked, at: number): void {
    const position = since?.positions[channel]
    if (position === undefined || at !== position)
      throw new Violation(`${this.name}: ${channel} recovered at ${at}, asked was ${position ?? 'nothing'}`)
    if (chains.get(channel) !== this.world.truth.chainAt(channel, position))
      throw new Violation(
        `${this.name} was told that ${channel}=${position} is recovered, but history differs`,
      )
    this.world.counts.recovered += 1
  }

  private requireReason(channel: Channel, { since, chains }: Asked, reason: string | undefined): void {
    const position = since?.positions[channel]
    if (!since || position === undefined)
      throw new Violation(`${this.name}: no cursor, but a snapshot is required`)
    if (reason === 'trimmed' && position < this.world.truth.trimmed(channel)) return
    const differs = chains.get(channel) !== this.world.truth.chainAt(channel, position)
    if (reason === 'epoch' && (differs || this.world.mayDemandSnapshot(since.epoch))) return
    throw new Violation(
      `${this.name}: a snapshot is required for ${channel}=${position} (${reason ?? 'no reason'})`,
    )
  }

  private onPong(message: Readonly<Record<string, unknown>>): void {
    this.answered += 1
    this.world.counts.pongs += 1
    const cursor = parseCursor(String(message['cursor']))
    const target = this.world.ping(String(message['id']))
    for (const [channel, stream] of this.streams) {
      const told = cursor.positions[channel]
      if (told === undefined && this.leaving.includes(channel)) continue
      this.checks.pong(channel, stream, { told, mustReach: target?.heads[channel] ?? 0 })
      this.apply(channel, stream.at, told ?? stream.at)
      stream.at = told ?? stream.at
    }
  }

  private onError(message: Readonly<Record<string, unknown>>): void {
    const code = String(message['code'])
    const id = String(message['id'])
    const asked = this.asked.get(id)
    this.asked.delete(id)
    if (asked && code === 'storage_unavailable')
      return this.later('ask again', () => this.subscribe(asked.channels))
    if (code !== 'rate_limited' && code !== 'storage_unavailable' && code !== 'draining')
      throw new Violation(`${this.name} got ${JSON.stringify(message)}`)
    this.answered += 1
  }

  private requireTrimmed(): void {
    this.world.counts.overtaken += 1
    for (const [channel, { at }] of this.streams) if (at < this.world.truth.trimmed(channel)) return
    throw new Violation(
      `${this.name} was told that its cursor is gone, and nothing was trimmed: ${[...this.streams].map(([channel, { at }]) => `${channel} ${at} trimmed ${this.world.truth.trimmed(channel)}`).join(', ')}`,
    )
  }
}
