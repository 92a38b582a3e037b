/** One server process in virtual time: the real parts, put together as the composition root does. */
import { everyone } from '../../lib/access/rights.ts'
import { createRoom } from '../../lib/access/room.ts'
import { createDrain } from '../../lib/drain.ts'
import { emitDerived } from '../../lib/domain/derived.ts'
import { expireLeases, moveLeases } from '../../lib/domain/leases.ts'
import { channelOf, publishMessage } from '../../lib/domain/publishing.ts'
import { Refusal } from '../../lib/protocol/refusals.ts'
import { createDispatch } from '../../lib/realtime/dispatch.ts'
import { createHub } from '../../lib/realtime/hub.ts'
import { createRelay } from '../../lib/realtime/relay.ts'
import { repeat } from '../../lib/repeat.ts'
import { isStorageFault } from '../../lib/store/faults.ts'
import { trimOnce, whenWritable } from '../../lib/store/housekeeping.ts'
import { createJournal } from '../../lib/store/journal.ts'
import { openLineage } from '../../lib/store/lineage.ts'
import type { Database } from '../../lib/store/schema.ts'
import { createWriter } from '../../lib/store/writer.ts'
import { createWebSocketTransport, type SocketData } from '../../lib/transport/websocket.ts'
import type { ServerWebSocket } from 'bun'
import type { Positions } from '../../lib/protocol/cursor.ts'
import type { Owner, Scheduler } from './scheduler.ts'
import { createPublisher, type Handlers, type VirtualSocket } from './socket.ts'

const SECOND_MS = 1000
/** Virtual time 0 as a date. */
const START_MS = Date.UTC(2026, 10, 22)

export interface NodeConfig {
  readonly coalesceMs: number
  readonly tailBytes: number
  readonly queuedBytesMax: number
  readonly filtersMax: number
  readonly heartbeatMs: number
  /** Events kept per channel. */
  readonly retentionEvents: number
  readonly retentionEveryMs: number
  readonly leaseAttemptsMax: number
  readonly drain: { readonly DRAIN_SPREAD: number; readonly DRAIN_DEADLINE: number }
}

export interface NodeOptions {
  readonly scheduler: Scheduler
  readonly process: Owner
  readonly database: Database
  readonly config: NodeConfig
  /** Told the heads that this node would hint to the others, once a second and after each commit. */
  readonly onHeads: (heads: Positions) => void
  /** A sync failed: the process ends. */
  readonly onFatal: () => void
  readonly onBug: (error: unknown, where: string) => void
  readonly onDropped: () => void
  /** Waits for the requests under way, at most `ms`: how many were cut off. */
  readonly finishRequests: (ms: number) => Promise<number>
  readonly counts: { sweeps: number; moves: number; readErrors: number; refusals: number }
}

export type SimNode = Awaited<ReturnType<typeof startNode>>

export async function startNode({
  scheduler,
  process,
  database,
  config,
  onHeads,
  onFatal,
  onBug,
  onDropped,
  finishRequests,
  counts,
}: NodeOptions) {
  const now = () => new Date(START_MS + Math.floor(scheduler.nowMs))
  const monotonicMs = () => scheduler.nowMs
  const ignore = () => undefined
  const drain = createDrain({
    config: config.drain,
    log: { info: ignore },
    monotonicMs,
    dismissClients: (pace) => hub.dismissAll(pace),
    finishRequests,
  })
  const onTrouble = (error: unknown) => {
    if (!isStorageFault(error)) onBug(error, 'trouble')
    else counts.readErrors += 1
  }
  const shared = {
    now,
    monotonicMs,
    anyone: everyone,
    isRevoked: () => false,
    verify: () => Promise.resolve(everyone),
    onRefusal: () => void (counts.refusals += 1),
    onFault: ignore,
    onBug: (error: unknown) => onBug(error, 'connection'),
    onMovedAside: () => void (counts.moves += 1),
    onOpen: ignore,
    onClosed: ignore,
    requireOpen: drain.requireOpen,
  }

  const lineage = await openLineage(database, now())
  const journal = createJournal(database, lineage.state)
  const writer = createWriter({
    database,
    journal,
    derive: emitDerived,
    now,
    monotonicMs,
    onClockSet: moveLeases,
    pendingMax: 10_000,
    onCommit: (_events, heads) => journal.advance(heads),
    onDurable: (events, heads, committedMs) => {
      journal.settle(heads)
      relay.offer(events, committedMs)
      if (process.alive) onHeads(heads)
    },
    onFatal,
    observe: { commit: ignore, sync: ignore },
  })
  const relay = createRelay({
    journal,
    heads: lineage.state.heads,
    coalesceMs: config.coalesceMs,
    onError: onTrouble,
    observeDelay: ignore,
    deliver: (events) => hub.deliver(events),
  })
  const dispatch = createDispatch({
    ...shared,
    handlers: {},
    flush: relay.flush,
    catchUp: ({ positions }) => journal.catchUp(positions)?.then(relay.hint),
    judge: (cursor, channel) =>
      lineage.judge(cursor, channel, { heads: journal.heads(), trimmed: journal.trimmed() }),
    channelOf,
    publish: (principal, message) => publishMessage(writer.write, principal, message),
  })
  const hub = createHub({
    ...shared,
    draining: new AbortController().signal,
    epoch: lineage.epoch,
    node: process.name,
    journal,
    startHeads: lineage.state.heads,
    publisher: createPublisher(process),
    dispatch,
    heartbeatMs: config.heartbeatMs,
    authDeadlineMs: 5000,
    frameBytesMax: 65_536,
    tailBytes: config.tailBytes,
    queuedBytesMax: config.queuedBytesMax,
    filtersMax: config.filtersMax,
    messageRate: undefined,
    heads: journal.heads,
    durableHeads: journal.durableHeads,
    settled: () => {
      if (writer.hasUnsynced()) return writer.durable().then(relay.flush)
      return void relay.flush()
    },
    metrics: { sweeps: { inc: () => void (counts.sweeps += 1) }, dropped: { inc: onDropped } },
    onReadError: onTrouble,
  })
  const room = createRoom({ connectionsMax: 1000, perSubjectMax: 0, perAddressMax: 0, unauthenticatedMax: 1 })
  const transport = createWebSocketTransport({
    ...shared,
    room,
    requireUpgrade: ignore,
    requireRequest: ignore,
    // Upgrades are the one thing of it that the simulation goes around.
    origins: () => {
      throw new Error('no upgrade happens here')
    },
    hub: () => hub,
    frameBytesMax: 65_536,
  })

  const every = (ms: number, task: () => unknown) => repeat(ms, task, onTrouble)
  const chore = (ms: number, task: () => Promise<unknown>) => every(ms, () => whenWritable(task, ignore))
  every(SECOND_MS, () => hub.checkLiveness())
  chore(SECOND_MS, () => writer.write((write) => expireLeases(write, config.leaseAttemptsMax)))
  chore(config.retentionEveryMs, async () => {
    const retention = { journal, writer, now, events: config.retentionEvents, days: 10_000 }
    while (await trimOnce(retention));
  })
  if (database.dialect === 'postgres') every(SECOND_MS, async () => relay.hint(await journal.refresh()))

  return {
    process,
    journal,
    lineage,
    writer,
    hub,
    room,
    relay,
    now,
    handlers: handlersOf(transport.handler),
    /** A stop as SIGTERM asks for it: in the composition root's order. */
    async stop(): Promise<void> {
      await drain.gently()
      relay.stop()
      hub.stop()
      await writer.stop()
    },
    isRefusal: (error: unknown): error is Refusal => error instanceof Refusal,
  }
}

/** Bun's handlers, over virtual sockets: what they use of a ServerWebSocket is there. */
function handlersOf(handler: ReturnType<typeof createWebSocketTransport>['handler']): Handlers {
  const real = (socket: VirtualSocket) => socket as unknown as ServerWebSocket<SocketData>
  return {
    open: (socket) => void handler.open?.(real(socket)),
    message: (socket, frame) => void handler.message?.(real(socket), frame),
    drain: (socket) => void handler.drain?.(real(socket)),
    pong: (socket) => void handler.pong?.(real(socket), Buffer.alloc(0)),
    close: (socket, code, reason) => void handler.close?.(real(socket), code, reason),
  }
}
