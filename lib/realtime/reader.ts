/** Readers: connections that read the journal at their own pace, to resume, because they are slow, or for ever. */
import type { Framing } from '../protocol/codec.ts'
import type { Channel } from '../protocol/events.ts'
import { OPEN, type Socket } from './socket.ts'
import type { Pages } from './pages.ts'
import type { EncodedEvent } from './tail.ts'
import { frameBytes, type Topic, type Topics } from './topic.ts'

/** Bytes of pages sent in one turn, over all readers; then the live clients have the loop to themselves for a moment. */
const TICK_BYTES = 256 * 1024
const PAUSE_MS = 2
/** Pages that may be under way from the journal at once. */
const LOADS_MAX = 8
/** After a read that failed. */
const RETRY_MS = 1000

/** One channel of one connection. While it is live, its position is its topic's. */
export interface Subscription {
  readonly topic: Topic
  /** Seq of the last event sent; kept here only while reading. */
  position: number
  live: boolean
}

export function positionOf({ live, topic, position }: Subscription): number {
  return live ? topic.published : position
}

/** What a reader works for. */
export interface Follower {
  readonly socket: Socket
  readonly framing: Framing
  readonly subscriptions: ReadonlyMap<Channel, Subscription>
  /** Some position moved. */
  onMoved(): void
  /** Retention overtook a position: what comes next is lost for this follower. */
  onOvertaken(channel: Channel): void
}

export type Readers = ReturnType<typeof createReaders>

interface ReadersOptions {
  readonly pages: Pages
  readonly topics: Topics
  readonly highWaterBytes: () => number
  /** Frames handed to a socket. */
  readonly onDelivered: (channel: Channel, count: number) => void
  readonly onDropped: () => void
  readonly onError: (error: unknown) => void
}

export function createReaders(options: ReadersOptions) {
  const { pages, topics, highWaterBytes, onDropped, onError } = options
  const ready = new Set<Follower>()
  /** At a position that is still to be published: it came with a cursor from ahead. */
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
      if (follower.socket.readyState !== OPEN) continue
      const sent = turn(follower)
      budget -= sent
      if (sent > 0 && !loading.has(follower)) ready.add(follower)
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

  /** Sends the next page of each channel that is behind; joins the topic where nothing is left. Bytes sent. */
  function turn(follower: Follower): number {
    let sent = 0
    for (const [channel, subscription] of follower.subscriptions) {
      if (subscription.live) continue
      if (follower.socket.getBufferedAmount() > highWaterBytes()) break
      const { topic, position } = subscription
      if (position >= topic.published) {
        // In the same tick: nothing can be published between the comparison and the join.
        if (position === topic.published) join(follower, subscription)
        else ahead.add(follower)
        continue
      }
      const page = pages.inMemory(channel, position)
      if (page) {
        sent += send(follower, channel, subscription, page)
        continue
      }
      if (loading.size < LOADS_MAX) load(follower, channel, subscription)
      else wantPage.add(follower)
      break
    }
    if (sent > 0) follower.onMoved()
    return sent
  }

  function join(follower: Follower, subscription: Subscription): void {
    subscription.live = true
    topics.join(subscription.topic, follower.socket)
    follower.onMoved()
  }

  function load(follower: Follower, channel: Channel, { position, topic }: Subscription): void {
    loading.add(follower)
    pages
      .load(channel, position, topic.published)
      .then((events) => {
        const subscription = follower.subscriptions.get(channel)
        // Subscribed anew meanwhile, it may want another page.
        if (follower.socket.readyState !== OPEN || !subscription || subscription.live) return
        if (subscription.position !== position) return
        if (send(follower, channel, subscription, events) > 0) follower.onMoved()
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

  /** Sends what fits under the high-water mark and is published already; the bytes. */
  function send(
    follower: Follower,
    channel: Channel,
    subscription: Subscription,
    page: readonly EncodedEvent[],
  ): number {
    const { socket, framing } = follower
    const from = subscription.position
    const room = Math.max(1, highWaterBytes() - socket.getBufferedAmount())
    let bytes = 0
    // Read because something was published after this position: if nothing is there, retention took it.
    if (page.length === 0) follower.onOvertaken(channel)
    socket.cork(() => {
      for (const event of page) {
        if (event.seq > subscription.topic.published || bytes >= room) break
        if (event.seq !== subscription.position + 1) {
          follower.onOvertaken(channel)
          break
        }
        const frame = event.frame(framing)
        // No sweep on its account: `room` bounds what this socket holds, and no other one gets these bytes.
        if (socket.send(frame) === 0) {
          if (socket.readyState === OPEN) onDropped()
          break
        }
        bytes += frameBytes(frame)
        subscription.position = event.seq
      }
    })
    options.onDelivered(channel, subscription.position - from)
    return bytes
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
