/** What one connection follows: a subscription per channel, live in a topic or reading the journal. */
import { formatCursor, type Positions } from '../protocol/cursor.ts'
import { channels as allChannels, type Channel } from '../protocol/events.ts'
import { mayRead, visible, type Principal } from '../access/rights.ts'
import type { FilterQuota } from './filter-quota.ts'
import type { Medium } from './medium.ts'
import type { Socket } from './socket.ts'
import type { Options, Topic } from './topic.ts'
import type { Topics } from './topics.ts'
import type { Window } from './window.ts'

/** One channel of one connection. While it is live, its position is its topic's. */
export interface Subscription {
  readonly topic: Topic
  /** What the client asked for, before its rights narrowed it: what other rights will narrow. */
  asked: Options
  /** Position of the last event sent, or passed over; kept here only while reading. */
  position: number
  /** How far the client knows to be covered: `after` of its next batch. */
  told: number
  live: boolean
  /** While reading in batches: what was read after `position`, and how far. */
  gathered: { readonly window: Window; upto: number } | undefined
  /** At the head of a topic that it does not join, events wait for one another. */
  hold: 'rests' | 'waits' | 'over' | undefined
}

export function positionOf({ live, topic, position }: Subscription): number {
  return live ? topic.published : position
}

/** How far its client knows to be covered; of bare events each says it. */
function toldOf(subscription: Subscription): number {
  const { live, topic, told } = subscription
  if (topic.options.batchMs === undefined) return positionOf(subscription)
  return live ? topic.covered : told
}

/** Like the position, but what `batch_ms` holds back counts as sent. */
function reachOf({ live, hold, topic, position }: Subscription): number {
  return live || hold === 'waits' ? topic.head : position
}

interface Owner {
  readonly socket: Socket
  readonly medium: Medium
  /** Set before anything is followed. */
  readonly principal: Principal | undefined
  send(message: object): void
}

interface FollowingServices {
  readonly topics: Topics
  readonly filters: FilterQuota
}

export class Following {
  readonly subscriptions = new Map<Channel, Subscription>()

  constructor(
    private readonly owner: Owner,
    private readonly services: FollowingServices,
  ) {}

  private get topics(): Topics {
    return this.services.topics
  }

  private get subject(): string {
    return this.owner.principal?.subject ?? ''
  }

  /** Whether its sockets take part in topics; else everything is read. */
  get joins(): boolean {
    return this.owner.medium.joins
  }

  get channels(): Channel[] {
    return allChannels.filter((channel) => this.subscriptions.has(channel))
  }

  /** How far the connection got, over all channels it follows; some of them elsewhere if that is asked. */
  cursor(epoch: string, but: Positions = {}): string {
    const positions: Positions = {}
    for (const [channel, subscription] of this.subscriptions)
      positions[channel] = but[channel] ?? positionOf(subscription)
    return formatCursor({ epoch, positions })
  }

  hasReached(target: Positions): boolean {
    for (const [channel, subscription] of this.subscriptions)
      if (reachOf(subscription) < (target[channel] ?? 0)) return false
    return true
  }

  /** Whether something before the event is still to be sent. */
  lacks({ channel, seq }: { readonly channel: Channel; readonly seq: number }): boolean {
    const subscription = this.subscriptions.get(channel)
    return subscription !== undefined && positionOf(subscription) < seq - 1
  }

  /** @throws {Refusal} `too_many_subscriptions` where the subject uses too many filters already */
  requireFilter(key: string): void {
    this.services.filters.require(this.subject, key)
  }

  /** Begins at `position`, else at the head; with `keep` a channel already followed goes on where it is. */
  follow(channel: Channel, asked: Options, position: number | undefined, { keep }: { keep: boolean }): void {
    const before = this.subscriptions.get(channel)
    const kept = before && keep ? positionOf(before) : undefined
    // Held before the old one is let go: it may be the same.
    const topic = this.topics.hold(channel, this.narrow(channel, asked))
    const start = position ?? kept ?? topic.head
    this.count(asked, 1)
    if (before?.topic === topic && kept !== undefined) {
      // Nothing changes for now: what the topic holds back still comes.
      this.count(before.asked, -1)
      before.asked = asked
      return this.topics.letGo(topic)
    }
    this.drop(channel)
    this.subscriptions.set(channel, {
      topic,
      asked,
      position: start,
      told: start,
      live: false,
      gathered: undefined,
      hold: undefined,
    })
  }

  drop(channel: Channel): void {
    const subscription = this.subscriptions.get(channel)
    if (!subscription) return
    this.park(subscription)
    this.topics.letGo(subscription.topic)
    this.count(subscription.asked, -1)
    this.subscriptions.delete(channel)
  }

  /** Joins the topic; false where there is no room for its filter. */
  join(subscription: Subscription): boolean {
    const { topic, told } = subscription
    const { socket, medium } = this.owner
    if (!this.topics.join(topic, medium.framing, socket, told)) return false
    subscription.live = true
    return true
  }

  /** Leaves every topic for the journal; whether there was one. */
  parkAll(): boolean {
    let parked = false
    for (const subscription of this.subscriptions.values()) parked = this.park(subscription) || parked
    return parked
  }

  clear(): void {
    for (const channel of this.channels) this.drop(channel)
  }

  /** The rights have changed: what they no longer cover ends now, what they widen waits for the next subscribe. */
  limit(): void {
    const { principal } = this.owner
    for (const channel of this.channels) {
      const subscription = this.subscriptions.get(channel)
      if (!principal || !mayRead(principal, channel)) this.drop(channel)
      else if (subscription && !principal.rights.read.has(channel)) {
        const { asked, topic } = subscription
        if (this.narrow(channel, asked).filter?.key === topic.options.filter?.key) continue
        this.tell(subscription)
        this.follow(channel, asked, undefined, { keep: true })
      }
    }
  }

  /** Says how far it is: what no confirmation says, would look like a gap before the next batch. */
  private tell(subscription: Subscription): void {
    const [after, upto] = [toldOf(subscription), positionOf(subscription)]
    const { channel } = subscription.topic
    if (after < upto) this.owner.send({ type: 'batch', channel, after, upto, events: [] })
  }

  /** A channel held by grants alone comes in batches, which can say what they leave out. */
  private narrow(channel: Channel, asked: Options): Options {
    const { principal } = this.owner
    const filter = principal ? visible(principal, channel, asked.filter) : asked.filter
    return filter === asked.filter ? asked : { ...asked, filter, batchMs: asked.batchMs ?? 0 }
  }

  private count({ filter }: Options, by: 1 | -1): void {
    if (filter) this.services.filters.count(this.subject, filter.key, by)
  }

  private park(subscription: Subscription): boolean {
    const { live, topic } = subscription
    if (!live) return false
    // Before it leaves: with its last member a topic forgets what it holds back.
    subscription.position = topic.published
    subscription.told = topic.covered
    subscription.live = false
    this.topics.leave(topic, this.owner.medium.framing, this.owner.socket)
    return true
  }
}
