/** The hub: every attached client, the events on their way to them, and the signs of life. */
import { randomBytes } from 'node:crypto'
import { subprotocolOf, type Framing } from '../protocol/codec.ts'
import type { Positions } from '../protocol/cursor.ts'
import type { Channel } from '../protocol/events.ts'
import { Refusal } from '../protocol/refusals.ts'
import type { Principal } from '../access/rights.ts'
import { Tally } from '../tally.ts'
import { Connection, type ConnectionServices } from './connection.ts'
import { encodeForAll, refuseReserved, type Ephemeral } from './ephemeral.ts'
import { checkLiveness, REVOKED, type LivenessOptions } from './liveness.ts'
import { createPages, type JournalReader } from './pages.ts'
import { createRates } from './rates.ts'
import { createReaders, positionOf } from './reader.ts'
import type { Socket } from './socket.ts'
import { createSweep } from './sweep.ts'
import { createTail, type EncodedEvent } from './tail.ts'
import { createTopics, frameBytes, type Publisher } from './topic.ts'

/** A client as lists show it. */
export interface ClientInfo {
  readonly id: string
  readonly client_type: string | null
  readonly client_name: string | null
  readonly subject: string | null
  readonly connected_at: string
  readonly last_seen: string
  readonly protocol: string
  readonly transport: 'websocket'
  readonly channels: Channel[]
  /** Events of its channels that are durable and not yet handed to it. */
  readonly cursor_lag: number
  /** Unsent bytes. */
  readonly queued_bytes: number
  readonly node: string
}

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
      'topics' | 'readers' | 'beforeSend' | 'highWaterBytes' | 'heartbeatMs' | 'onDropped' | 'awaiting'
    > {
  readonly journal: JournalReader
  readonly publisher: Publisher
  /** Where the journal stood at the start. */
  readonly startHeads: Positions
  readonly tailBytes: number
  readonly queuedBytesMax: number
  readonly connectionsMax: number
  /** Name of this process in lists. */
  readonly node: string
  /** Per channel the newest durable seq. */
  readonly durableHeads: () => Positions
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
  const topics = createTopics({
    publisher: options.publisher,
    heads: options.startHeads,
    beforePublish: sweep.before,
    onDelivered,
    onDropped,
  })
  const tail = createTail(options.tailBytes)
  const readers = createReaders({
    pages: createPages(options.journal, tail),
    topics,
    highWaterBytes: sweep.highWaterBytes,
    onDelivered,
    onDropped,
    onError: options.onReadError,
  })
  const services: ConnectionServices = {
    ...options,
    topics,
    readers,
    awaiting,
    onDropped,
    beforeSend: sweep.before,
    highWaterBytes: sweep.highWaterBytes,
  }

  return {
    /** Hands out events in seq order per channel: into the tail first, so that a reader can follow. */
    deliver(events: readonly EncodedEvent[]): void {
      for (const event of events) {
        tail.push(event)
        rates.count(event.channel)
        published.add(event.channel, 1)
        topics.publish(event)
      }
      readers.wakeAhead()
      for (const connection of awaiting) connection.onMoved()
    },

    /** Whether another client may connect. @throws {Refusal} `too_many_connections` */
    requireRoom(): void {
      if (connections.size < options.connectionsMax) return
      const sentence = `${options.connectionsMax} clients are connected`
      throw new Refusal('too_many_connections', sentence, { retryAfterMs: options.heartbeatMs })
    },

    /** A socket opened. */
    attach(socket: Socket, framing: Framing): Connection {
      const connection = new Connection(randomBytes(16).toString('hex'), socket, framing, services)
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
    },

    /**
     * Sends an ephemeral message, stamped with the time, to the authenticated clients of now; a client that is slow
     * misses it. What was sent, and to how many. @throws {Refusal} `invalid_message` for what is reserved, `too_large`
     */
    broadcast(message: Ephemeral, { channel, clientType }: Audience = {}) {
      refuseReserved(message)
      const stamped = { ...message, timestamp: options.now().toISOString() }
      const frames = encodeForAll(stamped)
      // No socket gets it twice.
      sweep.before(Math.max(...frames.values().map(frameBytes)))
      let recipients = 0
      for (const connection of connections.values()) {
        const meant =
          (clientType === undefined || connection.clientType === clientType) &&
          (channel === undefined || connection.subscriptions.has(channel))
        const frame = frames.get(connection.framing)
        if (!meant || !connection.principal || !connection.isOpen || frame === undefined) continue
        if (!connection.isSlow && connection.socket.send(frame) !== 0) recipients += 1
      }
      return { sent: stamped, recipients }
    },

    clients: (): ClientInfo[] => [...connections.values()].map((connection) => describe(connection, options)),

    /** Connections that follow a channel. */
    subscribers(channel: Channel): number {
      let count = 0
      for (const { subscriptions } of connections.values()) if (subscriptions.has(channel)) count += 1
      return count
    },

    /** Events of a channel in the last minute, of this node and of those beside it. */
    eventsLastMinute: rates.lastMinute,

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

    /** Ends every connection because the server goes away. */
    endAll(reason: string): void {
      for (const connection of connections.values()) connection.end('draining', reason)
    },

    /** To be called every second. */
    checkLiveness(): void {
      checkLiveness(connections.values(), options)
    },

    /** What the metrics look up: every connection, how many of them read the journal, frames delivered. */
    census() {
      const all = [...connections.values()]
      return {
        connections: all.map((connection) => ({
          clientType: connection.clientType,
          framing: connection.framing,
          transport: 'websocket',
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

function describe(
  connection: Connection,
  { now, monotonicMs, durableHeads, node }: LivenessOptions & Pick<HubOptions, 'durableHeads' | 'node'>,
): ClientInfo {
  const heads = durableHeads()
  const lag = [...connection.subscriptions].reduce(
    (sum, [channel, subscription]) => sum + Math.max(0, (heads[channel] ?? 0) - positionOf(subscription)),
    0,
  )
  const silentMs = monotonicMs() - connection.lastHeardMs
  return {
    id: connection.id,
    client_type: connection.clientType,
    client_name: connection.clientName,
    subject: connection.principal?.subject ?? null,
    connected_at: connection.connectedAt.toISOString(),
    last_seen: new Date(now().getTime() - silentMs).toISOString(),
    protocol: subprotocolOf(connection.framing),
    transport: 'websocket',
    channels: connection.channels,
    cursor_lag: lag,
    queued_bytes: connection.unsentBytes(),
    node,
  }
}
