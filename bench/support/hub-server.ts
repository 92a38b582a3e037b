/** A child of bench/hub.ts: the hub behind a real Bun.serve, or a bare one; emits and says what it cost. */
import { everyone } from '../../lib/access/rights.ts'
import { createRoom } from '../../lib/access/room.ts'
import { createOrigins } from '../../lib/access/origins.ts'
import type { StoredEvent } from '../../lib/protocol/events.ts'
import { createDispatch } from '../../lib/realtime/dispatch.ts'
import { createHub } from '../../lib/realtime/hub.ts'
import { createRelay } from '../../lib/realtime/relay.ts'
import { BACKPRESSURE_LIMIT } from '../../lib/realtime/sweep.ts'
import { EncodedEvent } from '../../lib/realtime/tail.ts'
import { createMetrics } from '../../lib/metrics.ts'
import { createWebSocketTransport, type SocketData } from '../../lib/transport/websocket.ts'

const MIB = 1024 * 1024
const EPOCH = 'bench'
/** RFC 6455 §5.2: a frame of 126 to 65,535 bytes. */
const HEADER_BYTES = 4

/** What the parent orders; each order is answered once. */
export type Order =
  /** Makes the events of the next round. */
  | { readonly do: 'prepare'; readonly events: number }
  /** Hands them out, so many per turn of the event loop; `pauseMs` between turns. */
  | { readonly do: 'emit'; readonly perTurn: number; readonly pauseMs: number }
  /** Used by this process so far, kernel included. */
  | { readonly do: 'cpu' }

/** `value`: bytes that each subscriber will get · 0 · CPU seconds. */
export interface OrderAnswer {
  readonly value: number
}

interface Emitter {
  readonly port: number
  prepare(events: readonly StoredEvent[]): void
  /** Hands out prepared events [from, to). */
  emit(from: number, to: number): void
}

/** The path of an event through our hub, from the journal's event to the sockets. */
function startOurs(coalesceMs: number): Emitter {
  const now = () => new Date()
  const nothing = () => undefined
  const journal = { read: () => Promise.reject(new Error('nobody should fall behind here')) }
  const fail = (error: unknown) => {
    throw error
  }
  const hub = createHub({
    draining: new AbortController().signal,
    epoch: EPOCH,
    journal,
    startHeads: {},
    filtersMax: 1000,
    publisher: { publish: (topic, frame) => server.publish(topic, frame) },
    dispatch: createDispatch({
      now,
      handlers: {},
      verify: () => Promise.resolve(everyone),
      requireOpen: nothing,
      judge: () => ({ status: 'live' }),
      channelOf: () => 'jobs',
      publish: () => Promise.reject(new Error('not here')),
      flush: nothing,
      onRefusal: nothing,
    }),
    now,
    monotonicMs: () => performance.now(),
    heartbeatMs: 600_000,
    authDeadlineMs: 600_000,
    isRevoked: () => false,
    frameBytesMax: 65_536,
    tailBytes: 32 * MIB,
    queuedBytesMax: 64 * MIB,
    messageRate: undefined,
    heads: () => ({}),
    durableHeads: () => ({}),
    node: 'bench',
    settled: nothing,
    metrics: createMetrics(),
    onMovedAside: () => fail(new Error('a subscriber fell behind: the round is void')),
    onRefusal: nothing,
    onBug: fail,
    onFault: fail,
    onReadError: fail,
  })
  const origins = createOrigins({ port: 0, publicUrl: undefined, allowed: [], host: '127.0.0.1' })
  const websocket = createWebSocketTransport({
    origins: () => origins,
    hub: () => hub,
    anyone: everyone,
    verify: () => Promise.resolve(everyone),
    requireOpen: nothing,
    requireUpgrade: nothing,
    requireRequest: nothing,
    room: createRoom({
      connectionsMax: 100_000,
      perSubjectMax: 0,
      perAddressMax: 0,
      unauthenticatedMax: 1,
    }),
    frameBytesMax: 65_536,
    onBug: fail,
    onOpen: nothing,
    onClosed: nothing,
  })
  const server = Bun.serve<SocketData>({
    hostname: '127.0.0.1',
    port: 0,
    websocket: websocket.handler,
    fetch: (request, self) => websocket.upgrade(request, self, { requestId: '', address: '127.0.0.1' }),
  })
  const relay = createRelay({
    journal,
    heads: {},
    deliver: hub.deliver,
    coalesceMs,
    onError: fail,
    observeDelay: nothing,
  })
  let prepared: readonly StoredEvent[] = []
  return {
    port: server.port ?? 0,
    prepare: (events) => void (prepared = events),
    emit: (from, to) => relay.offer(prepared.slice(from, to)),
  }
}

/** What Bun does by itself with frames that are made already. */
function startBare(): Emitter {
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    websocket: {
      backpressureLimit: BACKPRESSURE_LIMIT,
      sendPings: false,
      idleTimeout: 960,
      open: (socket) => void socket.subscribe('jobs'),
      message: () => undefined,
    },
    fetch: (request, self) => (self.upgrade(request) ? undefined : new Response(null, { status: 400 })),
  })
  let frames: readonly string[] = []
  return {
    port: server.port ?? 0,
    prepare: (events) => void (frames = events.map(frameOf)),
    emit(from, to) {
      for (const frame of frames.slice(from, to)) server.publish('jobs', frame)
    },
  }
}

const DATA =
  '{"job_id":"6f1c0a4b7d2e4f0f9a3b5c7d9e1f2a3b","photo_id":1234,"session_id":12,' +
  '"stage":"develop","progress":42.5,"message":""}'

function eventAt(seq: number): StoredEvent {
  return {
    channel: 'jobs',
    seq,
    type: 'job_progress',
    timestamp: '2025-11-22T22:15:00.123Z',
    data: DATA,
  }
}

/** In one piece: a string put together lazily would be charged to whoever sends it. */
function frameOf(event: StoredEvent): string {
  return Buffer.from(new EncodedEvent(event).json).toString()
}

if (import.meta.main) {
  const [, , mode, coalesceMs] = process.argv
  const { port, prepare, emit } = mode === 'ours' ? startOurs(Number(coalesceMs)) : startBare()
  let next = 1
  let count = 0

  const obey = async (order: Order): Promise<number> => {
    if (order.do === 'prepare') {
      const events = Array.from({ length: order.events }, (_, index) => eventAt(next + index))
      next += order.events
      count = order.events
      prepare(events)
      Bun.gc(true)
      return events.reduce((sum, event) => sum + frameOf(event).length + HEADER_BYTES, 0)
    }
    if (order.do === 'emit') {
      const { perTurn, pauseMs } = order
      for (let at = 0; at < count; at += perTurn) {
        emit(at, at + perTurn)
        await new Promise<void>((resolve) =>
          pauseMs > 0 ? setTimeout(resolve, pauseMs) : setImmediate(resolve),
        )
      }
      return 0
    }
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
  }
  process.on('message', (order: Order) => void obey(order).then((value) => process.send?.({ value })))
  process.send?.({ value: port })
}
