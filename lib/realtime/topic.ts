/** Topics: all sockets that would get the same bytes share one, and the server's native publish fans out. */
import { framings, type Framing } from '../protocol/codec.ts'
import type { Positions } from '../protocol/cursor.ts'
import { channels, type Channel } from '../protocol/events.ts'
import type { Frame } from '../protocol/codec.ts'
import type { Socket } from './socket.ts'
import type { EncodedEvent } from './tail.ts'

/** What Bun's server offers to topics. */
export interface Publisher {
  /** Bytes sent, −1 under backpressure, 0 when a subscriber dropped the frame or there is none. */
  publish(topic: string, frame: Frame): number
}

/** Channel × framing; filters, batches and grants will be further dimensions of the same thing. */
export interface Topic {
  readonly name: string
  readonly channel: Channel
  readonly framing: Framing
  /** Seq of the last event that has really left to its sockets. */
  published: number
  members: number
}

export type Topics = ReturnType<typeof createTopics>

interface TopicsOptions {
  readonly publisher: Publisher
  /** Where the journal stood when the server started: everything before is read, not published. */
  readonly heads: Positions
  /** Called before each publish with its size; unsent bytes are looked after there. */
  readonly beforePublish: (bytes: number) => void
  /** Frames handed to sockets. */
  readonly onDelivered: (channel: Channel, count: number) => void
  readonly onDropped: () => void
}

export function createTopics({ publisher, heads, beforePublish, onDelivered, onDropped }: TopicsOptions) {
  const byChannel = new Map<Channel, Topic[]>(
    channels.map((channel) => [
      channel,
      framings.map((framing) => ({
        name: `${channel}:${framing}`,
        channel,
        framing,
        published: heads[channel] ?? 0,
        members: 0,
      })),
    ]),
  )

  return {
    /** The topic whose sockets get a channel's events in a framing. */
    of(channel: Channel, framing: Framing): Topic {
      const topic = byChannel.get(channel)?.find((candidate) => candidate.framing === framing)
      if (!topic) throw new Error(`no topic ${channel}:${framing}`)
      return topic
    },

    /** From this tick on the socket gets what comes after `topic.published`. */
    join(topic: Topic, socket: Socket): void {
      topic.members += 1
      socket.subscribe(topic.name)
    },

    leave(topic: Topic, socket: Socket): void {
      topic.members -= 1
      if (socket.readyState === 1) socket.unsubscribe(topic.name)
    },

    /** Hands the channel's next event to all its topics: encoded once per framing, no loop over sockets. */
    publish(event: EncodedEvent): void {
      const topics = byChannel.get(event.channel) ?? []
      let bytes = 0
      let sockets = 0
      for (const { framing, members } of topics) {
        if (members === 0) continue
        bytes = Math.max(bytes, frameBytes(event.frame(framing)))
        sockets += members
      }
      if (bytes > 0) {
        beforePublish(bytes)
        onDelivered(event.channel, sockets)
      }
      for (const topic of topics) {
        if (topic.members > 0 && publisher.publish(topic.name, event.frame(topic.framing)) === 0) onDropped()
        topic.published = event.seq
      }
    },
  }
}

/** Most bytes the frame takes on the wire: text is UTF-8, at most 3 bytes a UTF-16 unit. */
export function frameBytes(frame: Frame): number {
  return (typeof frame === 'string' ? Buffer.byteLength(frame) : frame.byteLength) + FRAME_HEADER_BYTES
}

/** RFC 6455 §5.2, server to client, payload up to 64 KiB. */
const FRAME_HEADER_BYTES = 10
