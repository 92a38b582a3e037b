/** The hub: every attached client, the events on their way to them, and the signs of life. */
import { randomBytes } from 'node:crypto'
import { encodeMessage, type Framing } from '../protocol/codec.ts'
import type { Positions } from '../protocol/cursor.ts'
import { protocolTypes } from '../protocol/messages.ts'
import { isEventType } from '../protocol/events.ts'
import { Refusal } from '../protocol/refusals.ts'
import type { Principal } from '../access/rights.ts'
import { Connection, type ConnectionServices } from './connection.ts'
import { checkLiveness, type LivenessOptions } from './liveness.ts'
import { createPages, type JournalReader } from './pages.ts'
import { createReaders } from './reader.ts'
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
  readonly channels: readonly string[]
  readonly queued_bytes: number
}

export interface HubMetrics {
  readonly connections: { inc(labels: { framing: Framing }): void; dec(labels: { framing: Framing }): void }
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
  readonly metrics: HubMetrics
  readonly onReadError: (error: unknown) => void
}

export type Hub = ReturnType<typeof createHub>

export function createHub(options: HubOptions) {
  const { metrics } = options
  const connections = new Map<string, Connection>()
  const awaiting = new Set<Connection>()
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
    onDropped,
  })
  const tail = createTail(options.tailBytes)
  const readers = createReaders({
    pages: createPages(options.journal, tail),
    topics,
    highWaterBytes: sweep.highWaterBytes,
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

    /** A socket opened. With a refusal in place of a principal it is told and closed. */
    attach(socket: Socket, framing: Framing, who: Principal | Refusal | undefined): Connection {
      const connection = new Connection(randomBytes(16).toString('hex'), socket, framing, services)
      connections.set(connection.id, connection)
      metrics.connections.inc({ framing })
      if (who instanceof Refusal) {
        options.onRefusal(who.code)
        connection.end(who.code, who.message)
        return connection
      }
      connection.principal = who
      connection.send(greeting(connection, options))
      return connection
    },

    detach(connection: Connection): void {
      if (!connections.delete(connection.id)) return
      metrics.connections.dec({ framing: connection.framing })
      connection.detach()
    },

    /** Sends an ephemeral message to the authenticated clients of a type; how many. @throws {Refusal} */
    sendToType(clientType: string, message: { readonly type: string } & Record<string, unknown>): number {
      refuseReserved(message)
      const stamped = { ...message, timestamp: options.now().toISOString() }
      const frames = new Map<Framing, ReturnType<typeof encodeMessage>>()
      let recipients = 0
      for (const { clientType: type, principal, framing, socket, isOpen } of connections.values()) {
        if (type !== clientType || !principal || !isOpen) continue
        let frame = frames.get(framing)
        if (!frame) {
          frame = encodeMessage(framing, stamped)
          frames.set(framing, frame)
          // Once per framing: no socket gets it twice.
          sweep.before(frameBytes(frame))
        }
        socket.send(frame)
        recipients += 1
      }
      return recipients
    },

    clients: (): ClientInfo[] => [...connections.values()].map((connection) => describe(connection, options)),

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

    /** Connections with a channel that is not live. */
    readerCount(): number {
      let count = 0
      for (const { subscriptions } of connections.values()) {
        if (subscriptions.values().some(({ live }) => !live)) count += 1
      }
      return count
    },
  }
}

function greeting({ id, framing }: Connection, { now, epoch, heartbeatMs }: HubOptions): object {
  return {
    type: 'connection_established',
    client_id: id,
    server_time: now().toISOString(),
    protocol: `lightwire.v1.${framing}`,
    heartbeat_ms: heartbeatMs,
    epoch,
  }
}

/** Ephemeral messages may not be mistaken for the protocol's own or for events of the journal. */
function refuseReserved(message: { readonly type: string } & Record<string, unknown>): void {
  const reserved = protocolTypes.has(message.type) || isEventType(message.type)
  if (reserved) throw new Refusal('invalid_message', `type: "${message.type}" is reserved`)
  const field = ['seq', 'channel', 'id'].find((name) => Object.hasOwn(message, name))
  if (field !== undefined)
    throw new Refusal('invalid_message', `${field}: not allowed in an ephemeral message`)
}

function describe(connection: Connection, { now, monotonicMs }: LivenessOptions): ClientInfo {
  const silentMs = monotonicMs() - connection.lastHeardMs
  return {
    id: connection.id,
    client_type: connection.clientType,
    client_name: connection.clientName,
    subject: connection.principal?.subject ?? null,
    connected_at: connection.connectedAt.toISOString(),
    last_seen: new Date(now().getTime() - silentMs).toISOString(),
    protocol: `lightwire.v1.${connection.framing}`,
    transport: 'websocket',
    channels: connection.channels,
    queued_bytes: connection.unsentBytes(),
  }
}
