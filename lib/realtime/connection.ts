/** One attached client: its frames in, its replies out, what it is, what it follows and how far it got. */
import { decodeFrame, encodeMessage, type Framing } from '../protocol/codec.ts'
import { formatCursor, type Positions } from '../protocol/cursor.ts'
import { channels as allChannels, type Channel } from '../protocol/events.ts'
import { errorMessage, idOf, parseIncoming, type Incoming } from '../protocol/messages.ts'
import { closeCodeOf, mayReconnect, Refusal, type RefusalCode } from '../protocol/refusals.ts'
import type { Principal } from '../access/rights.ts'
import { Inbox, type InboxOwner } from './inbox.ts'
import { positionOf, type Follower, type Readers, type Subscription } from './reader.ts'
import { closeReason, OPEN, type Socket } from './socket.ts'
import { frameBytes, type Topics } from './topic.ts'

/** After this many unacceptable messages in a row the client is not speaking the protocol. */
const FAULTS_MAX = 20
/** Pings that wait for their pong at once. */
const PONGS_MAX = 32
/** Publishes of one client that wait for their commit; over it its socket pauses. */
const PUBLISHES_MAX = 64

type MessageId = string | number | undefined

/** Acts on one message; a promise holds back the messages behind it. @throws {Refusal} */
export type Dispatch = (connection: Connection, incoming: Incoming) => void | Promise<void>

/** What connections need from the rest; one object for all of them. */
export interface ConnectionServices {
  readonly epoch: string
  readonly heartbeatMs: number
  readonly frameBytesMax: number
  readonly now: () => Date
  /** A clock that no time setting moves, in milliseconds. */
  readonly monotonicMs: () => number
  readonly topics: Topics
  readonly readers: Readers
  readonly dispatch: Dispatch
  /** Connections that owe a pong: told when topics move. */
  readonly awaiting: Set<Connection>
  /** Heads of what this node has committed, durable or not. */
  readonly heads: () => Positions
  /** Resolves when all of that is durable and handed to the topics; undefined when it is already. */
  readonly settled: () => Promise<void> | undefined
  /** Unsent bytes from which on a client is slow. */
  readonly highWaterBytes: () => number
  readonly beforeSend: (bytes: number) => void
  readonly onMovedAside: (connection: Connection) => void
  readonly onDropped: () => void
  readonly onRefusal: (code: RefusalCode) => void
  readonly onFault: (fault: unknown) => void
  readonly onBug: (error: unknown, where: { readonly client_id: string }) => void
}

interface EndOptions {
  readonly closeCode?: number
  readonly retryAfterMs?: number
}

// A class, for its size: thousands of idle connections share the methods of one prototype.
export class Connection implements Follower, InboxOwner {
  principal: Principal | undefined
  clientType: string | null = null
  clientName: string | null = null
  readonly attachedMs: number
  /** When anything last came from the client, or bytes that waited for it moved. All `…Ms` are monotonic time. */
  lastHeardMs: number
  lastPingMs: number
  /** Since when unsent bytes stand still; undefined while none wait or they move. */
  stalledSinceMs: number | undefined
  warnedOfExpiry = false
  /** How this side ended it, where it did. */
  ended: { readonly code: number; readonly reason: string } | undefined
  readonly connectedAt: Date
  readonly subscriptions = new Map<Channel, Subscription>()
  private faults = 0
  private publishes = 0
  private readonly inbox = new Inbox(this)
  private pongs: { readonly id: MessageId; readonly target: Positions }[] | undefined

  constructor(
    readonly id: string,
    readonly socket: Socket,
    readonly framing: Framing,
    private readonly services: ConnectionServices,
  ) {
    this.connectedAt = services.now()
    this.attachedMs = services.monotonicMs()
    this.lastHeardMs = this.attachedMs
    this.lastPingMs = this.attachedMs
  }

  get channels(): Channel[] {
    return allChannels.filter((channel) => this.subscriptions.has(channel))
  }

  /** How far this connection got, over all channels it follows. */
  get cursor(): string {
    const positions: Positions = {}
    for (const [channel, subscription] of this.subscriptions) positions[channel] = positionOf(subscription)
    return formatCursor({ epoch: this.services.epoch, positions })
  }

  get isOpen(): boolean {
    return this.socket.readyState === OPEN
  }

  /** Whether more bytes wait for this client than a quick one ever has. */
  get isSlow(): boolean {
    return this.unsentBytes() > this.services.highWaterBytes()
  }

  /** Whether it is owed so much that nothing more is read from it. */
  get isBusy(): boolean {
    return this.isSlow || this.publishes >= PUBLISHES_MAX
  }

  /** Counts publishes that began (1) or ended (−1). */
  countPublish(by: 1 | -1): void {
    this.publishes += by
    this.inbox.throttle()
  }

  unsentBytes(): number {
    return this.socket.getBufferedAmount()
  }

  /** One frame of the client. */
  receive(frame: string | Uint8Array): void {
    this.heard()
    this.inbox.receive(frame)
  }

  /** A ping or pong of RFC 6455 came. */
  heard(): void {
    this.lastHeardMs = this.services.monotonicMs()
  }

  /** Bytes that waited have moved. */
  drained(): void {
    this.heard()
    this.stalledSinceMs = undefined
    this.inbox.throttle()
    this.read()
  }

  /** Reads the journal where a subscription is behind its topic. */
  read(): void {
    this.services.readers.wake(this)
  }

  /** Leaves its topics for the journal: one stalled laptop must not hold up ninety-nine others. */
  moveAside(): void {
    let moved = false
    for (const subscription of this.subscriptions.values()) {
      if (!subscription.live) continue
      this.park(subscription)
      moved = true
    }
    if (!moved) return
    this.services.onMovedAside(this)
    this.read()
  }

  /** Begins at `position`, else at the head; with `keep` a channel already followed goes on where it is. */
  follow(channel: Channel, position: number | undefined, { keep }: { keep: boolean }): void {
    const existing = this.subscriptions.get(channel)
    if (existing && keep) return
    if (existing?.live) this.park(existing)
    const topic = this.services.topics.of(channel, this.framing)
    this.subscriptions.set(channel, { topic, position: position ?? topic.published, live: false })
  }

  drop(channel: Channel): void {
    const subscription = this.subscriptions.get(channel)
    if (subscription?.live) this.park(subscription)
    this.subscriptions.delete(channel)
    this.onMoved()
  }

  /** Takes on new rights; what they no longer cover ends at once. */
  adopt(principal: Principal): void {
    this.principal = principal
    this.warnedOfExpiry = false
    for (const channel of this.channels) if (!principal.rights.read.has(channel)) this.drop(channel)
  }

  /** Answers a ping when everything committed by now has been sent here. @throws {Refusal} `rate_limited` */
  awaitPong(id: MessageId): void {
    this.pongs ??= []
    if (this.pongs.length >= PONGS_MAX) {
      const retryAfterMs = this.services.heartbeatMs
      throw new Refusal('rate_limited', `${PONGS_MAX} pings wait for their pong`, { retryAfterMs })
    }
    this.pongs.push({ id, target: this.services.heads() })
    this.services.awaiting.add(this)
    const settled = this.services.settled()
    settled?.then(
      () => this.onMoved(),
      (error: unknown) => this.fail(error, id),
    )
    this.onMoved()
  }

  /** Sends a message of the server's own; it goes around the journal. */
  send(message: object): void {
    if (!this.isOpen) return
    const frame = encodeMessage(this.framing, message)
    this.services.beforeSend(frameBytes(frame))
    if (this.socket.send(frame) === 0 && this.isOpen) this.services.onDropped()
  }

  reply({ id }: { readonly id?: MessageId }, message: object): void {
    this.send(id === undefined ? message : { ...message, id })
  }

  /** Turns what a message met with into an `error`; anything but a Refusal is a bug of ours. */
  fail(error: unknown, id: MessageId): void {
    const refusal = error instanceof Refusal ? error : new Refusal('internal', 'something went wrong here')
    if (error !== refusal) this.services.onBug(error, { client_id: this.id })
    if (refusal.cause !== undefined) this.services.onFault(refusal)
    this.services.onRefusal(refusal.code)
    this.reply({ id }, errorMessage(refusal, this.services.now()))
    if (refusal.code !== 'invalid_message') return
    this.faults += 1
    if (this.faults >= FAULTS_MAX) this.end('invalid_message', `${FAULTS_MAX} unacceptable messages in a row`)
  }

  /** Says why, then closes. */
  end(
    code: RefusalCode,
    reason: string,
    { closeCode = closeCodeOf(code), retryAfterMs }: EndOptions = {},
  ): void {
    if (!this.isOpen) return
    const reconnect = mayReconnect(closeCode)
    const retry = retryAfterMs === undefined ? {} : { retry_after_ms: retryAfterMs }
    this.send({ type: 'disconnect', code: closeCode, reason, reconnect, ...retry })
    this.ended = { code: closeCode, reason }
    const stuck = this.isSlow || this.stalledSinceMs !== undefined
    this.socket.close(closeCode, closeReason(reason))
    // A socket that takes nothing would linger until its bytes time out.
    if (stuck) this.socket.terminate()
  }

  /** The socket is gone. */
  detach(): void {
    for (const { live, topic } of this.subscriptions.values())
      if (live) this.services.topics.leave(topic, this.socket)
    this.subscriptions.clear()
    this.pongs = undefined
    this.services.awaiting.delete(this)
    this.inbox.clear()
    this.services.readers.forget(this)
  }

  onMoved(): void {
    for (let first = this.pongs?.[0]; first; first = this.pongs?.[0]) {
      const { target, id } = first
      for (const [channel, subscription] of this.subscriptions) {
        if (positionOf(subscription) < (target[channel] ?? 0)) return
      }
      this.pongs?.shift()
      this.reply({ id }, { type: 'pong', timestamp: this.services.now().toISOString(), cursor: this.cursor })
    }
    this.pongs = undefined
    this.services.awaiting.delete(this)
  }

  onOvertaken(channel: Channel): void {
    this.end('cursor_gone', `events of channel ${channel} after this position are no longer kept`)
  }

  private park(subscription: Subscription): void {
    this.services.topics.leave(subscription.topic, this.socket)
    subscription.live = false
    subscription.position = subscription.topic.published
  }

  /** Never throws and never rejects: whatever goes wrong becomes an `error` message. */
  handle(frame: string | Uint8Array): Promise<void> | undefined {
    let id: MessageId
    try {
      // Text is JSON; bytes are the connection's binary framing, MessagePack where that is JSON.
      const binary = this.framing === 'json' ? 'msgpack' : this.framing
      const framing = typeof frame === 'string' ? 'json' : binary
      const value = decodeFrame(framing, frame, this.services.frameBytesMax)
      id = idOf(value)
      const pending = this.services.dispatch(this, parseIncoming(value))
      if (!pending) this.faults = 0
      return pending?.then(
        () => void (this.faults = 0),
        (error: unknown) => this.fail(error, id),
      )
    } catch (error) {
      this.fail(error, id)
      return undefined
    }
  }
}
