/** Readers: connections that read the journal at their own pace, to resume, because they are slow, or for ever. */
import { BATCH_BYTES_MAX } from '../protocol/batch.ts'
import type { Channel } from '../protocol/events.ts'
import { positionOf, type Following, type Subscription } from './following.ts'
import type { Pages } from './pages.ts'
import type { EncodedEvent } from './tail.ts'
import { Batch, Window } from './window.ts'

/** Bytes of pages sent in one turn, over all readers; then the live clients have the loop to themselves for a moment. */
const TICK_BYTES = 256 * 1024
/** What it costs to look at an event that is not sent, as if it were so many bytes. */
const LOOK_BYTES = 32
const PAUSE_MS = 2
/** Pages that may be under way from the journal at once. */
const LOADS_MAX = 8
/** After a read that failed. */
const RETRY_MS = 1000
/** Positions that one batch of a reader covers at most. */
const COVERED_MAX = 4096

/** What a reader works for. */
export interface Follower {
  readonly isOpen: boolean
  readonly following: Following
  unsentBytes(): number
  /** What is sent within leaves in one write. */
  cork(send: () => void): void
  /** Bytes handed over; 0 where the socket took nothing. */
  sendEvent(event: EncodedEvent): number
  sendBatch(batch: Batch): number
  /** Some position moved. */
  onMoved(): void
  /** Retention overtook a position: what comes next is lost for this follower. */
  onOvertaken(channel: Channel): void
}

export type Readers = ReturnType<typeof createReaders>

interface ReadersOptions {
  readonly pages: Pages
  readonly highWaterBytes: () => number
  /** Events handed to a socket. */
  readonly onDelivered: (channel: Channel, count: number) => void
  readonly onError: (error: unknown) => void
}

export function createReaders({ pages, highWaterBytes, onDelivered, onError }: ReadersOptions) {
  const ready = new Set<Follower>()
  /** At the end of what there is, or of what may be shown: looked at again when the topics moved. */
  const ahead = new Set<Follower>()
  const loading = new Set<Follower>()
  /** Waiting for one of the LOADS_MAX places. */
  const wantPage = new Set<Follower>()
  let scheduled = false

  function wake(follower: Follower): void {
    if (loading.has(follower)) return
    ready.add(follower)
    if (scheduled) return
    scheduled = true
    setImmediate(tick)
  }

  /** One page each in turn, until the tick's budget is spent: many readers share the loop fairly. */
  function tick(): void {
    scheduled = false
    let budget = TICK_BYTES
    for (const follower of ready) {
      ready.delete(follower)
      if (!follower.isOpen) continue
      const cost = turn(follower)
      budget -= cost
      if (cost > 0 && !loading.has(follower)) ready.add(follower)
      if (budget <= 0) break
    }
    admit()
    if (ready.size === 0 || scheduled) return
    scheduled = true
    if (budget > 0) setImmediate(tick)
    else setTimeout(tick, PAUSE_MS)
  }

  /** Lets as many waiting followers ask again as there are places; whoever then needs none leaves it to the next tick. */
  function admit(): void {
    let places = LOADS_MAX - loading.size
    for (const follower of wantPage) {
      if (places <= 0) return
      places -= 1
      wantPage.delete(follower)
      ready.add(follower)
    }
  }

  /** Sends the next page of each channel that is behind; joins the topic where nothing is left. What it cost. */
  function turn(follower: Follower): number {
    let cost = 0
    let held = false
    for (const [channel, subscription] of follower.following.subscriptions) {
      if (subscription.live) continue
      if (follower.unsentBytes() > highWaterBytes()) break
      const at = readUpTo(subscription)
      if (at >= subscription.topic.published) {
        arrive(follower, subscription)
        continue
      }
      if (mustHold(follower, channel, subscription)) {
        held = true
        continue
      }
      const page = pages.inMemory(channel, at)
      if (page) {
        cost += take(follower, channel, subscription, page)
        continue
      }
      if (loading.size < LOADS_MAX) load(follower, channel, subscription)
      else wantPage.add(follower)
      break
    }
    // A pong does not wait for what is held back.
    if (cost > 0 || held) follower.onMoved()
    return cost
  }

  /** Everything published was read: in the same tick nothing can come between the comparison and the join. */
  function arrive(follower: Follower, subscription: Subscription): void {
    const { topic } = subscription
    const { following } = follower
    if (subscription.gathered) {
      if (!sendGathered(follower, subscription)) return
      // Even where nothing was for it: a pong may have waited for just that.
      follower.onMoved()
    }
    // Else it came with a cursor from ahead, or its topic still holds back what it has had.
    if (subscription.position === topic.published) {
      if (following.joins && catchUpWith(follower, subscription) && following.join(subscription))
        return follower.onMoved()
      subscription.hold = 'rests'
    }
    // It stays a reader, and what it was owed for what was sent just now is due all the same.
    follower.onMoved()
    ahead.add(follower)
  }

  /** A topic with members goes on from what they were told; whoever was told less is told first. */
  function catchUpWith(follower: Follower, subscription: Subscription): boolean {
    const { topic, told, position } = subscription
    if (topic.options.batchMs === undefined || topic.size === 0 || told >= topic.covered) return true
    return sendBatch(follower, subscription, new Batch(topic.channel, told, position, [])) > 0
  }

  /** Whoever stays a reader lets events gather at the head as long as `batch_ms` says; on the way there nothing waits. */
  function mustHold(follower: Follower, channel: Channel, subscription: Subscription): boolean {
    const { batchMs = 0 } = subscription.topic.options
    if (batchMs === 0 || subscription.hold === undefined || subscription.hold === 'over') return false
    if (subscription.hold === 'waits') return true
    subscription.hold = 'waits'
    setTimeout(() => {
      if (follower.following.subscriptions.get(channel) !== subscription) return
      subscription.hold = 'over'
      wake(follower)
    }, batchMs)
    return true
  }

  function load(follower: Follower, channel: Channel, wanting: Subscription): void {
    const { topic } = wanting
    const at = readUpTo(wanting)
    loading.add(follower)
    pages
      .load(channel, at, topic.published)
      .then((events) => {
        const subscription = follower.following.subscriptions.get(channel)
        // Subscribed anew meanwhile, it may want another page.
        if (!follower.isOpen || !subscription || subscription.live) return
        if (subscription.topic !== topic || readUpTo(subscription) !== at) return
        if (take(follower, channel, subscription, events) > 0) follower.onMoved()
      })
      .then(
        () => again(follower),
        (error: unknown) => {
          onError(error)
          // The database does not answer: asking again at once would only fill the log.
          setTimeout(() => again(follower), RETRY_MS)
        },
      )
  }

  function again(follower: Follower): void {
    loading.delete(follower)
    wake(follower)
  }

  /** Sends or gathers what of a page is published already; what it cost. */
  function take(
    follower: Follower,
    channel: Channel,
    subscription: Subscription,
    page: readonly EncodedEvent[],
  ): number {
    // Read because something was published after this position: if nothing is there, retention took it.
    if (page.length === 0) follower.onOvertaken(channel)
    let cost = 0
    follower.cork(() => {
      const batched = subscription.topic.options.batchMs !== undefined
      cost = batched ? gather(follower, subscription, page) : sendBare(follower, subscription, page)
    })
    return cost
  }

  /** Event by event, as many as fit under the high-water mark. */
  function sendBare(follower: Follower, subscription: Subscription, page: readonly EncodedEvent[]): number {
    const { topic, position: from } = subscription
    const room = Math.max(1, highWaterBytes() - follower.unsentBytes())
    let bytes = 0
    for (const event of page) {
      if (event.seq > topic.published || bytes >= room) break
      if (!isNext(follower, subscription, event)) break
      // No sweep on its account: `room` bounds what this socket holds, and no other one gets these bytes.
      const sent = follower.sendEvent(event)
      if (sent === 0) break
      bytes += sent
      subscription.position = event.seq
    }
    onDelivered(topic.channel, subscription.position - from)
    return bytes
  }

  /** What passes the filter, until a batch is full; it leaves then, or when nothing is left to read. */
  function gather(follower: Follower, subscription: Subscription, page: readonly EncodedEvent[]): number {
    const { topic } = subscription
    const { filter, conflate } = topic.options
    const room = Math.max(1, highWaterBytes() - follower.unsentBytes())
    let cost = 0
    for (const event of page) {
      if (event.seq > topic.published || cost >= room || !isNext(follower, subscription, event)) break
      subscription.gathered ??= { window: new Window(conflate), upto: subscription.position }
      const { gathered } = subscription
      if (!filter || filter.matches(event.fields)) {
        cost += event.bytes
        gathered.window.add(event)
      }
      gathered.upto = event.seq
      cost += LOOK_BYTES
      const full =
        gathered.window.bytes >= BATCH_BYTES_MAX || event.seq - subscription.position >= COVERED_MAX
      if (full && !sendGathered(follower, subscription)) break
    }
    return cost
  }

  function isNext(follower: Follower, subscription: Subscription, event: EncodedEvent): boolean {
    if (event.seq === readUpTo(subscription) + 1) return true
    follower.onOvertaken(subscription.topic.channel)
    return false
  }

  /** False where the socket took nothing more. */
  function sendGathered(follower: Follower, subscription: Subscription): boolean {
    const { gathered, topic } = subscription
    if (!gathered) return true
    subscription.gathered = undefined
    const { upto, window } = gathered
    for (const batch of window.take(topic.channel, subscription.told, upto)) {
      if (sendBatch(follower, subscription, batch) === 0) return false
      onDelivered(topic.channel, batch.events.length)
    }
    subscription.position = upto
    if (upto - subscription.told < COVERED_MAX) return true
    return sendBatch(follower, subscription, new Batch(topic.channel, subscription.told, upto, [])) > 0
  }

  function sendBatch(follower: Follower, subscription: Subscription, batch: Batch): number {
    const sent = follower.sendBatch(batch)
    if (sent > 0) {
      subscription.position = Math.max(subscription.position, batch.upto)
      subscription.told = batch.upto
    }
    return sent
  }

  return {
    /** Something may have changed for this follower: its socket drained, or it subscribed. */
    wake,
    /** Topics moved on: those who wait for them look again. */
    wakeAhead(): void {
      for (const follower of ahead) {
        ahead.delete(follower)
        wake(follower)
      }
    },
    forget(follower: Follower): void {
      for (const set of [ready, ahead, wantPage]) set.delete(follower)
    },
  }
}

/** Where the next page begins. */
function readUpTo(subscription: Subscription): number {
  return subscription.gathered?.upto ?? positionOf(subscription)
}
