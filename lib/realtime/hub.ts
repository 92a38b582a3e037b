/** The hub: every attached client, the events on their way to them, and the signs of life. */
import { randomBytes } from 'node:crypto'
import { subprotocolOf } from '../protocol/codec.ts'
import type { Positions } from '../protocol/cursor.ts'
import type { Channel } from '../protocol/events.ts'
import { Refusal } from '../protocol/refusals.ts'
import type { Principal } from '../access/rights.ts'
import type { Place } from '../access/room.ts'
import { Tally } from '../tally.ts'
import { describe, type ClientInfo } from './client-info.ts'
import { Connection, type ConnectionServices } from './connection.ts'
import { dismissAll } from './departure.ts'
import { encodeForAll, refuseReserved, type Ephemeral } from './ephemeral.ts'
import { createLiveness, REVOKED, type LivenessOptions } from './liveness.ts'
import { createFilterQuota } from './filter-quota.ts'
import type { Medium } from './medium.ts'
import { createPages, type JournalReader } from './pages.ts'
import { createRates } from './rates.ts'
import { createReaders } from './reader.ts'
import type { Socket } from './socket.ts'
import { createSweep } from './sweep.ts'
import { createTail, type EncodedEvent } from './tail.ts'
import { frameBytes } from './topic.ts'
import { createTopics, type Publisher } from './topics.ts'
import { createTraces } from './traces.ts'

/** Whom an ephemeral message is for; what is left out does not narrow it. */
export interface Audience {
  readonly channel?: Channel | undefined
  readonly clientType?: string | undefined
}

export interface HubMetrics {
  readonly sweeps: { inc(): void }
  readonly dropped: { inc(): void }
}

interface HubOptions
  extends
    LivenessOptions,
    Omit<
      ConnectionServices,
      | 'topics'
      | 'readers'
      | 'beforeSend'
      | 'highWaterBytes'
      | 'heartbeatMs'
      | 'onDropped'
      | 'awaiting'
      | 'filters'
    > {
  readonly journal: JournalReader
  readonly publisher: Publisher
  /** Where the journal stood at the start. */
  readonly startHeads: Positions
  readonly tailBytes: number
  readonly queuedBytesMax: number
  /** Distinct filters evaluated for every event. */
  readonly filtersMax: number
  /** Name of this process in lists. */
  readonly node: string
  /** Per channel the newest durable seq. */
  readonly durableHeads: () => Positions
  readonly draining: AbortSignal
  readonly metrics: HubMetrics
  readonly onReadError: (error: unknown) => void
}

export type Hub = ReturnType<typeof createHub>

export function createHub(options: HubOptions) {
  const { metrics } = options
  const connections = new Map<string, Connection>()
  const awaiting = new Set<Connection>()
  const rates = createRates(options.monotonicMs)
  const published = new Tally()
  const delivered = new Tally()
  const onDelivered = (channel: Channel, count: number) => delivered.add(channel, count)
  const onDropped = () => metrics.dropped.inc()
  const sweep = createSweep({
    connections,
    queuedBytesMax: options.queuedBytesMax,
    onSweep: () => metrics.sweeps.inc(),
  })
  const checkLiveness = createLiveness(options)
  const topics = createTopics({
    publisher: options.publisher,
    heads: options.startHeads,
    filtersMax: options.filtersMax,
    beforePublish: sweep.before,
    onDelivered,
    onDropped,
    onPublished: (topic, what) => traces.published(topic, what),
    onReleased: () => readers.wakeAhead(),
  })
  const traces = createTraces({ ...options, connections })
  const tail = createTail(options.tailBytes)
  const pages = createPages(options.journal, tail)
  const readers = createReaders({
    pages,
    highWaterBytes: sweep.highWaterBytes,
    onDelivered,
    onError: options.onReadError,
  })
  const services: ConnectionServices = {
    ...options,
    topics,
    readers,
    awaiting,
    filters: createFilterQuota(),
    onDropped,
    beforeSend: sweep.before,
    highWaterBytes: sweep.highWaterBytes,
  }

  /** Sends a message to those authenticated clients of now that it is meant for; to how many. */
  function tell(message: Ephemeral, isMeant: (connection: Connection) => boolean): number {
    const frames = encodeForAll(message)
    // No socket gets it twice.
    sweep.before(Math.max(...frames.values().map(frameBytes)))
    let recipients = 0
    for (const connection of connections.values()) {
      // What does not travel as bare frames of a framing has a form of its own: a stream's would swallow an id.
      const { medium } = connection
      const frame = medium.joins ? frames.get(medium.framing) : medium.message(message)
      if (!isMeant(connection) || !connection.principal || !connection.isOpen || frame === undefined) continue
      if (connection.isSlow || connection.socket.send(frame) === 0) continue
      connection.trace?.noteMessage(message, frameBytes(frame))
      recipients += 1
    }
    return recipients
  }

  return {
    /** Events by their position, from memory where they are new or were asked for just now. */
    pages,

    /** Hands out events in seq order per channel: into the tail first, so that a reader can follow. */
    deliver(events: readonly EncodedEvent[]): void {
      for (const event of events) {
        for (const one of topics.isNext(event) ? [] : connections.values())
          if (one.following.lacks(event)) one.onOvertaken(event.channel)
        tail.push(event)
        rates.count(event.channel)
        published.add(event.channel, 1)
        topics.publish(event)
      }
      topics.releaseDue()
      readers.wakeAhead()
      for (const connection of awaiting) connection.onMoved()
    },

    /** A socket opened; its place is given back when it is detached. */
    attach(socket: Socket, medium: Medium, place: Place): Connection {
      const id = randomBytes(16).toString('hex')
      const connection = new Connection(id, socket, medium, services, place)
      connections.set(connection.id, connection)
      return connection
    },

    /** Greets an attached client; with a refusal in place of a principal it is told and closed. */
    welcome(connection: Connection, who: Principal | Refusal | undefined): void {
      if (who instanceof Refusal) {
        options.onRefusal(who.code)
        return connection.end(who.code, who.message)
      }
      connection.principal = who
      connection.send(greeting(connection, options))
    },

    detach(connection: Connection): void {
      if (!connections.delete(connection.id)) return
      connection.detach()
      traces.left(connection)
    },

    /**
     * Sends an ephemeral message, stamped with the time, to the authenticated clients of now; a client that is slow
     * misses it. What was sent, and to how many. @throws {Refusal} `invalid_message` for what is reserved, `too_large`
     */
    broadcast(message: Ephemeral, { channel, clientType }: Audience = {}) {
      refuseReserved(message)
      const sent = { ...message, timestamp: options.now().toISOString() }
      const recipients = tell(
        sent,
        ({ clientType: type, subscriptions }) =>
          (clientType === undefined || type === clientType) &&
          (channel === undefined || subscriptions.has(channel)),
      )
      return { sent, recipients }
    },

    /** To those who follow the channel whole, as it comes: a filter, of rights too, leaves it out, and nobody polls for it. */
    tellFollowers: (channel: Channel, message: Ephemeral) =>
      void tell(message, ({ subscriptions, medium }) => {
        const topic = subscriptions.get(channel)?.topic
        return topic !== undefined && !topic.options.filter && medium.transport !== 'poll'
      }),

    clients: (): ClientInfo[] => [...connections.values()].map((connection) => describe(connection, options)),

    /** Connections that follow a channel. */
    subscribers(channel: Channel): number {
      let count = 0
      for (const { subscriptions } of connections.values()) if (subscriptions.has(channel)) count += 1
      return count
    },

    /** Events of a channel in the last minute, of this node and of those beside it. */
    eventsLastMinute: rates.lastMinute,

    /** Connections whose principal is such. */
    countHeld: (matches: (principal: Principal) => boolean): number =>
      [...connections.values()].filter(({ principal }) => principal && matches(principal)).length,

    /** Ends the connections whose token was revoked; how many. */
    endRevoked(): number {
      let count = 0
      for (const connection of connections.values()) {
        if (!connection.principal || !options.isRevoked(connection.principal)) continue
        connection.end('disconnected', REVOKED)
        count += 1
      }
      return count
    },

    /** Closes a client by an operator's wish; false if there is none. */
    disconnect(id: string, { reason = 'disconnected by an operator', reconnect = false } = {}): boolean {
      const connection = connections.get(id)
      connection?.end('disconnected', reason, reconnect ? { closeCode: 1012 } : {})
      return connection !== undefined
    },

    startTrace: traces.start,
    readTrace: traces.read,

    /** Nothing waits for company any more. */
    stop: topics.stop,

    /** Sends every client away, evenly over `spreadMs`, because the server goes; how many, and how many were cut off. */
    dismissAll: (pace: { readonly spreadMs: number; readonly clientsMs: number }) =>
      dismissAll({ ...pace, connections, monotonicMs: options.monotonicMs }),

    /** To be called every second. */
    checkLiveness(): void {
      topics.sayPositions()
      traces.endIdle()
      checkLiveness(connections.values())
    },

    /** What the metrics look up: every connection, how many of them read the journal, frames delivered. */
    census() {
      const all = [...connections.values()]
      return {
        connections: all.map((connection) => ({
          clientType: connection.clientType,
          framing: connection.framing,
          transport: connection.medium.transport,
          unsentBytes: connection.unsentBytes(),
        })),
        readers: all.filter(({ subscriptions }) => subscriptions.values().some(({ live }) => !live)).length,
        published: published.counts,
        delivered: delivered.counts,
      }
    },
  }
}

function greeting({ id, framing }: Connection, { now, epoch, heartbeatMs }: HubOptions): object {
  return {
    type: 'connection_established',
    client_id: id,
    server_time: now().toISOString(),
    protocol: subprotocolOf(framing),
    heartbeat_ms: heartbeatMs,
    epoch,
  }
}
