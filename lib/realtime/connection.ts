/** One attached client: its frames in, its replies out, what it is and what it follows. */
import { decodeFrame, type Framing } from '../protocol/codec.ts'
import type { Positions } from '../protocol/cursor.ts'
import type { Channel } from '../protocol/events.ts'
import { errorMessage, idOf, parseIncoming, type Incoming } from '../protocol/messages.ts'
import { Refusal, type RefusalCode } from '../protocol/refusals.ts'
import type { Principal } from '../access/rights.ts'
import type { Place } from '../access/room.ts'
import type { Rate } from '../setting-values.ts'
import type { FilterQuota } from './filter-quota.ts'
import { Following, type Subscription } from './following.ts'
import { Inbox, type InboxOwner } from './inbox.ts'
import type { Medium } from './medium.ts'
import { Outlet, type OutletServices } from './outlet.ts'
import { Patience } from './patience.ts'
import { Pongs, type MessageId } from './pongs.ts'
import type { Follower, Readers } from './reader.ts'
import type { Socket } from './socket.ts'
import type { EncodedEvent } from './tail.ts'
import type { Topics } from './topics.ts'
import type { Batch } from './window.ts'

/** Publishes of one client that wait for their commit; over it its socket pauses. */
const PUBLISHES_MAX = 64

/** Acts on one message; a promise holds back the messages behind it. @throws {Refusal} */
export type Dispatch = (connection: Connection, incoming: Incoming) => void | Promise<void>

/** What connections need from the rest; one object for all of them. */
export interface ConnectionServices extends OutletServices {
  readonly epoch: string
  readonly heartbeatMs: number
  readonly frameBytesMax: number
  /** Of the messages of one connection; undefined is no limit. */
  readonly messageRate: Rate | undefined
  readonly now: () => Date
  /** A clock that no time setting moves, in milliseconds. */
  readonly monotonicMs: () => number
  readonly topics: Topics
  readonly readers: Readers
  readonly filters: FilterQuota
  readonly dispatch: Dispatch
  /** Connections that owe a pong: told when topics move. */
  readonly awaiting: Set<Connection>
  /** Heads of what this node has committed, durable or not. */
  readonly heads: () => Positions
  /** Resolves when all of that is durable and handed to the topics; undefined when it is already. */
  readonly settled: () => Promise<void> | undefined
  readonly onMovedAside: (connection: Connection) => void
  readonly onRefusal: (code: RefusalCode) => void
  readonly onFault: (fault: unknown) => void
  readonly onBug: (error: unknown, where: { readonly client_id: string }) => void
}

// A class, for its size: thousands of idle connections share the methods of one prototype.
export class Connection extends Outlet implements Follower, InboxOwner {
  principal: Principal | undefined
  clientType: string | null = null
  clientName: string | null = null
  attachedMs: number
  /** When anything last came from the client, or bytes that waited for it moved. All `…Ms` are monotonic time. */
  lastHeardMs: number
  /** Until then nothing of it was read, by our choice: that silence is ours. */
  unreadUntilMs = 0
  lastPingMs: number
  warnedOfExpiry = false
  readonly connectedAt: Date
  readonly following: Following
  publishes = 0
  readonly patience: Patience
  private readonly inbox = new Inbox(this)
  private pongs: Pongs | undefined

  constructor(
    readonly id: string,
    socket: Socket,
    medium: Medium,
    private readonly services: ConnectionServices,
    private readonly place: Place,
  ) {
    super(socket, medium, services)
    this.patience = new Patience(services.messageRate)
    this.following = new Following(this, services)
    this.connectedAt = services.now()
    this.attachedMs = services.monotonicMs()
    this.lastHeardMs = this.attachedMs
    this.lastPingMs = this.attachedMs
  }

  get subscriptions(): ReadonlyMap<Channel, Subscription> {
    return this.following.subscriptions
  }

  get channels(): Channel[] {
    return this.following.channels
  }

  /** What limits count this client by. */
  get address(): string {
    return this.place.address
  }

  get framing(): Framing {
    return this.medium.framing
  }

  /** How far this connection got, over all channels it follows. */
  get cursor(): string {
    return this.following.cursor(this.services.epoch)
  }

  /** Whether it is owed so much that nothing more is read from it. */
  get isBusy(): boolean {
    return this.isSlow || this.publishes >= PUBLISHES_MAX
  }

  /** Whether nothing of it is read at present: its silence is ours then. */
  get isUnread(): boolean {
    return this.inbox.isPaused
  }

  /** Counts publishes that began (1) or ended (−1). */
  countPublish(by: 1 | -1): void {
    this.publishes += by
    this.inbox.throttle()
  }

  /** One frame of the client. */
  receive(frame: string | Uint8Array): void {
    this.heard()
    if (this.isOpen) this.inbox.receive(frame)
  }

  /** A ping or pong of RFC 6455 came. */
  heard(): void {
    this.lastHeardMs = this.services.monotonicMs()
  }

  /** A ping came: an answered frame like any other, so it counts as a message. */
  pinged(): void {
    this.heard()
    const limited = this.patience.admit(this.lastHeardMs)
    if (limited) this.fail(limited, undefined)
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
    if (!this.following.parkAll()) return
    this.services.onMovedAside(this)
    this.read()
  }

  drop(channel: Channel): void {
    this.following.drop(channel)
    this.onMoved()
  }

  /** Takes on new rights; what they no longer cover ends at once. @throws {Refusal} `too_many_connections` */
  adopt(principal: Principal): void {
    this.place.identify(principal.subject)
    this.principal = principal
    this.warnedOfExpiry = false
    this.following.limit()
    this.onMoved()
    this.read()
  }

  /** Answers a ping when everything committed by now has been sent here. @throws {Refusal} `rate_limited` */
  awaitPong(id: MessageId): void {
    this.pongs ??= new Pongs()
    this.pongs.add(id, this.services.heads(), this.services.heartbeatMs)
    this.services.awaiting.add(this)
    const settled = this.services.settled()?.then(() => this.onMoved())
    settled?.catch((error: unknown) => this.fail(error, id))
    this.onMoved()
  }

  sendEvent(event: EncodedEvent): number {
    const sent = this.hand(this.medium.event(event))
    if (sent > 0) this.trace?.noteSent('journal', event, sent)
    return sent
  }

  sendBatch(batch: Batch): number {
    const cursorAt = (seq: number) => this.following.cursor(this.services.epoch, { [batch.channel]: seq })
    const sent = this.hand(this.medium.batch(batch, cursorAt))
    if (sent > 0) this.trace?.noteSent('journal', batch, sent)
    return sent
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
    const { retryAfterMs } = refusal
    const last = this.patience.lost(refusal.code, this.services.monotonicMs())
    if (last !== undefined) this.end(refusal.code, last, retryAfterMs === undefined ? {} : { retryAfterMs })
  }

  /** The socket is gone. */
  detach(): void {
    this.following.clear()
    this.pongs = undefined
    this.services.awaiting.delete(this)
    this.inbox.clear()
    this.services.readers.forget(this)
    this.place[Symbol.dispose]()
  }

  onMoved(): void {
    const now = () => this.services.now().toISOString()
    // What a full mailbox has no room for comes after a poll, and one who asks and polls in turn would wait for itself.
    const isFull = this.medium.transport === 'poll' && this.unsentBytes() > this.services.highWaterBytes()
    this.pongs?.settle(
      (target) => isFull || this.following.hasReached(target),
      (id) => this.reply({ id }, { type: 'pong', timestamp: now(), cursor: this.cursor }),
    )
    if (this.pongs?.isEmpty) this.services.awaiting.delete(this)
  }

  onOvertaken(channel: Channel): void {
    this.end('cursor_gone', `events of channel ${channel} after this position are no longer kept`)
  }

  /** Never throws and never rejects: whatever goes wrong becomes an `error` message. */
  handle(frame: string | Uint8Array): Promise<void> | undefined {
    let id: MessageId
    const limited = this.patience.admit(this.services.monotonicMs())
    try {
      const value = decodeFrame(this.framing, frame, this.services.frameBytesMax)
      id = idOf(value)
      // Only now, so that the refusal carries the message's id.
      if (limited) throw limited
      const pending = this.services.dispatch(this, parseIncoming(value))
      if (!pending) this.patience.regained()
      return pending?.then(
        () => this.patience.regained(),
        (error: unknown) => this.fail(error, id),
      )
    } catch (error) {
      this.fail(limited ?? error, id)
      // As Bun does with a frame that is too large before anything is inflated.
      if (error instanceof Refusal && error.code === 'too_large') this.end(error.code, error.message)
      return undefined
    }
  }
}
