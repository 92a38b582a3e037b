/** Topics: hands each event to everybody whom it is for, encoded once per framing, without a loop over sockets. */
import { framings, type Frame, type Framing } from '../protocol/codec.ts'
import type { Positions } from '../protocol/cursor.ts'
import { channels, type Channel } from '../protocol/events.ts'
import { Lane, type FilterCount } from './lane.ts'
import type { Socket } from './socket.ts'
import { PACKED_GROWTH, type Meter } from './sweep.ts'
import type { EncodedEvent } from './tail.ts'
import { frameBytes, type Options, type Topic } from './topic.ts'
import { Batch } from './window.ts'

/** A window that outgrew this leaves before its time. */
const WINDOW_BYTES_MAX = 262_144
/** Over so many positions without an event for it, a topic says with an empty batch how far it is. */
const SILENT_POSITIONS_MAX = 1000
/** A batch message beside its events, and the share of it that a small event has. */
const BATCH_OVERHEAD_BYTES = 128

/** What Bun's server offers to topics. */
export interface Publisher {
  /** Bytes sent, −1 under backpressure, 0 when a subscriber dropped the frame or there is none. */
  publish(topic: string, frame: Frame): number
}

export type Topics = ReturnType<typeof createTopics>

interface TopicsOptions {
  readonly publisher: Publisher
  /** Where the journal stood when the server started: everything before is read, not published. */
  readonly heads: Positions
  /** Filters that are evaluated for every event; who comes with one more reads the journal instead. */
  readonly filtersMax: number
  /** Called before each publish with its size; unsent bytes are looked after there. */
  readonly beforePublish: (bytes: number, meter: Meter) => void
  /** Events handed to sockets. */
  readonly onDelivered: (channel: Channel, count: number) => void
  readonly onDropped: () => void
  readonly onPublished: (topic: Topic, what: EncodedEvent | Batch) => void
  /** A window ended: positions moved. */
  readonly onReleased: () => void
}

export function createTopics(options: TopicsOptions) {
  const { publisher, heads, filtersMax, beforePublish, onDelivered, onDropped, onPublished, onReleased } =
    options
  const filters: FilterCount = { max: filtersMax, now: 0 }
  const lanes = new Map(channels.map((channel) => [channel, new Lane(channel, heads[channel] ?? 0, filters)]))
  /** Their windows end with this delivery. */
  const due = new Set<Topic>()
  /** Their windows end with this event: one larger than the sweep's budget would be dropped. */
  const grown = new Set<Topic>()

  function laneOf(channel: Channel): Lane {
    const lane = lanes.get(channel)
    if (!lane) throw new Error(`no channel ${channel}`)
    return lane
  }

  function collect(topic: Topic, event: EncodedEvent): void {
    const { window } = topic
    if (!window) return
    window.add(event)
    const { batchMs = 0 } = topic.options
    if (window.bytes > WINDOW_BYTES_MAX) grown.add(topic)
    else if (batchMs === 0) due.add(topic)
    else topic.timer ??= setTimeout(() => end(topic), batchMs)
  }

  function end(topic: Topic): void {
    release(topic)
    onReleased()
  }

  /** Sends what the window holds; it covers everything up to the head. */
  function release(topic: Topic): void {
    const { window, channel } = topic
    clearTimeout(topic.timer)
    topic.timer = undefined
    if (!window || window.isEmpty) return
    // While the window still holds it: whoever is moved aside now reads on from before it.
    const growth = topic.members.msgpack > 0 ? PACKED_GROWTH : 1
    beforePublish(window.bytes * growth + window.count * BATCH_OVERHEAD_BYTES, topic.meter)
    if (topic.size === 0) return
    const { head } = topic
    for (const batch of window.take(channel, topic.covered, head)) {
      onDelivered(channel, batch.events.length * topic.size)
      publish(topic, batch)
    }
    topic.covered = head
  }

  function publish(topic: Topic, what: EncodedEvent | Batch): void {
    for (const framing of framings) {
      if (topic.members[framing] === 0) continue
      if (publisher.publish(topic.nameOf(framing), what.frame(framing)) === 0) onDropped()
    }
    onPublished(topic, what)
  }

  function publishBare(topic: Topic, event: EncodedEvent): void {
    let bytes = 0
    for (const framing of framings) {
      if (topic.members[framing] > 0) bytes = Math.max(bytes, frameBytes(event.frame(framing)))
    }
    if (bytes === 0) return
    beforePublish(bytes, topic.meter)
    onDelivered(event.channel, topic.size)
    publish(topic, event)
  }

  return {
    /** The topic of a channel and options, held until it is let go. */
    hold: (channel: Channel, wanted: Options): Topic => laneOf(channel).hold(wanted),
    letGo: (topic: Topic): void => laneOf(topic.channel).letGo(topic),

    /**
     * From this tick on the socket gets what comes after `topic.published`. `told` is how far its client knows to be
     * covered, not before `topic.covered`. False where there are too many filters: it goes on reading.
     */
    join(topic: Topic, framing: Framing, socket: Socket, told: number): boolean {
      if (topic.size === 0) {
        if (!laneOf(topic.channel).activate(topic)) return false
        topic.covered = told
      }
      topic.members[framing] += 1
      socket.subscribe(topic.nameOf(framing))
      return true
    },

    leave(topic: Topic, framing: Framing, socket: Socket): void {
      topic.members[framing] -= 1
      if (socket.readyState === 1) socket.unsubscribe(topic.nameOf(framing))
      if (topic.size > 0) return
      laneOf(topic.channel).deactivate(topic)
      topic.empty()
      due.delete(topic)
    },

    /** Whether the event is its channel's next one: not where retention took what the relay had not read yet. */
    isNext: ({ channel, seq }: EncodedEvent): boolean => seq === laneOf(channel).head + 1,

    /** Hands the channel's next event to all its topics. */
    publish(event: EncodedEvent): void {
      const lane = laneOf(event.channel)
      publishBare(lane.plain, event)
      for (const topic of lane.batchingFor(event)) collect(topic, event)
      lane.head = event.seq
      for (const topic of grown) {
        due.delete(topic)
        release(topic)
      }
      grown.clear()
    },

    /** The delivery is over: what need not wait leaves, joined. */
    releaseDue(): void {
      for (const topic of due) release(topic)
      due.clear()
    },

    /** Tells members that heard nothing for long how far they are, so that a return is no long way; now and then. */
    sayPositions(): void {
      for (const topic of lanes.values().flatMap(({ batching }) => batching)) {
        const { channel, covered, head } = topic
        if (topic.size === 0 || !topic.window?.isEmpty || head - covered < SILENT_POSITIONS_MAX) continue
        beforePublish(BATCH_OVERHEAD_BYTES, topic.meter)
        if (topic.size === 0) continue
        publish(topic, new Batch(channel, covered, head, []))
        topic.covered = head
      }
    },

    /** Windows under way are given up: their clients are gone. */
    stop(): void {
      for (const topic of lanes.values().flatMap(({ batching }) => batching)) topic.empty()
    },
  }
}
