/** The composition root: the parts in order, one Bun.serve, a stop in reverse order; also the library's face. */
import { randomBytes } from 'node:crypto'
import { createAccess } from './lib/access/access.ts'
import type { Revocation } from './lib/access/revocations.ts'
import { baseUrl, configWith, hubLimits, limitsOf } from './lib/config.ts'
import { createResourceWatch, type ResourceUse } from './lib/domain/system.ts'
import { channelOf, publishMessage } from './lib/domain/publishing.ts'
import { emitDerived } from './lib/domain/derived.ts'
import { expireLeases, moveLeases } from './lib/domain/leases.ts'
import { createApp } from './lib/http/app.ts'
import { contractDocuments } from './lib/http/documents.ts'
import { createFetch, stopServing } from './lib/http/front.ts'
import { requireMetrics } from './lib/http/metrics-guard.ts'
import { allRoutes } from './lib/http/routes.ts'
import { createThumbnails } from './lib/http/thumbnails.ts'
import { createWebApp } from './lib/http/web-app.ts'
import { createDrain } from './lib/drain.ts'
import { createLogger } from './lib/logger.ts'
import { watchLoopDelay } from './lib/loop-delay.ts'
import { createMetrics } from './lib/metrics.ts'
import { createObservers } from './lib/observers.ts'
import { createDispatch, type Handlers } from './lib/realtime/dispatch.ts'
import { createHub } from './lib/realtime/hub.ts'
import { createLoad } from './lib/realtime/load.ts'
import { createRelay } from './lib/realtime/relay.ts'
import { repeat } from './lib/repeat.ts'
import { createResourceSampler } from './lib/resources.ts'
import type { Config } from './lib/settings.ts'
import { createSignal } from './lib/signal.ts'
import { endAtOnce, isStorageFault } from './lib/store/faults.ts'
import { whenWritable } from './lib/store/housekeeping.ts'
import { readHeads } from './lib/store/journal.ts'
import { createRevocationFeed } from './lib/store/revocations.ts'
import { openStore } from './lib/store/store.ts'
import { Tally } from './lib/tally.ts'
import { loadTls } from './lib/tls.ts'
import { inProcess, type LightwireServer } from './lib/transport/in-process.ts'
import { createTransports, type TransportsOptions } from './lib/transport/transports.ts'
import type { SocketData } from './lib/transport/websocket.ts'
import { version } from './package.json' with { type: 'json' }

const SECOND_MS = 1000
export { events } from './lib/protocol/event-helpers.ts'
export { Refusal } from './lib/protocol/refusals.ts'
export type { LightwireServer } from './lib/transport/in-process.ts'

export interface ServerOptions {
  /** Custom message handlers by message type. */
  readonly handlers?: Handlers
  /** Handed in by tests; else the system's clocks, leases that follow when one is set, and the machine's resources. */
  readonly now?: () => Date
  readonly monotonicMs?: () => number
  readonly moveTimes?: typeof moveLeases
  readonly sampleResources?: (folder: string) => () => Promise<ResourceUse>
  /** Sources of the page at `/`. */
  readonly webFolder?: string
  /** The disk refused a sync: nothing more can be promised, and the process should end. */
  readonly onFatal?: (error: unknown) => void
}

/** Starts a server; what is not given has its default. A start that fails leaves nothing open. */
export async function startServer(
  overrides: Partial<Config> = {},
  {
    handlers = {},
    now = () => new Date(),
    monotonicMs = () => performance.now(),
    moveTimes = moveLeases,
    sampleResources = createResourceSampler,
    webFolder = `${import.meta.dirname}/clients/web`,
    onFatal = endAtOnce,
  }: ServerOptions = {},
): Promise<LightwireServer> {
  await using parts = new AsyncDisposableStack()
  const config = configWith(overrides)
  const log = createLogger(config.LOG_LEVEL)
  const metrics = createMetrics()
  const observers = createObservers(log, metrics, isStorageFault)
  const nodeId = config.NODE_ID ?? randomBytes(4).toString('hex')
  const drain = createDrain({
    log,
    monotonicMs,
    config,
    dismissClients: (pace) => hub.dismissAll(pace),
    finishRequests: (ms) => stopServing(server, ms),
  })

  // Who may.
  const access = createAccess({
    ...observers,
    config,
    now,
    monotonicMs,
    stopping: drain.signal,
    port: () => server.port,
  })
  const { revocations, issueToken } = access
  const { METRICS_TOKEN: token } = config
  const { signal: draining, requireOpen } = drain
  const shared = { ...observers, ...access, now, monotonicMs, draining, requireOpen }

  // What is true.
  const committed = new Tally()
  const store = parts.use(
    await openStore({
      ...shared,
      config,
      derive: emitDerived,
      moveTimes,
      onDurable: (events, committedMs) => {
        for (const { channel } of events) committed.add(channel, 1)
        relay.offer(events, committedMs)
      },
      onFatal: (error) => {
        observers.onFatal(error)
        onFatal(error)
      },
      observe: metrics.observe,
    }),
  )
  const { database, lineage, journal, writer } = store
  const newRevocations = createRevocationFeed(database)
  for (const revocation of await newRevocations()) revocations.add(revocation)

  // Who hears it.
  const pendingJobs = createSignal(drain.signal)
  const delivered = createSignal(drain.signal)
  const relay = createRelay({
    journal,
    heads: lineage.state.heads,
    coalesceMs: config.COALESCE_MS,
    onError: observers.onTrouble,
    observeDelay: metrics.observe.publish,
    deliver(events) {
      hub.deliver(events)
      delivered.wakeAll()
      for (const { type } of events) if (type === 'job_created' || type === 'job_requeued') pendingJobs.wake()
    },
  })
  const judge: TransportsOptions['judge'] = (cursor, channel) =>
    lineage.judge(cursor, channel, { heads: journal.heads(), trimmed: journal.trimmed() })
  const catchUp: TransportsOptions['catchUp'] = ({ positions }) =>
    journal.catchUp(positions)?.then(relay.hint)
  const dispatch = createDispatch({
    ...shared,
    handlers,
    flush: relay.flush,
    catchUp,
    judge,
    channelOf,
    publish: (principal, message) => publishMessage(writer.write, principal, message),
  })
  const hub = createHub({
    ...shared,
    ...hubLimits(config),
    epoch: lineage.epoch,
    node: nodeId,
    journal,
    startHeads: lineage.state.heads,
    publisher: { publish: (topic, frame) => server.publish(topic, frame) },
    dispatch,
    heads: journal.heads,
    durableHeads: journal.durableHeads,
    settled: () => (writer.hasUnsynced() ? writer.durable().then(relay.flush) : void relay.flush()),
    metrics,
    onReadError: observers.onTrouble,
  })
  const load = createLoad({
    ...shared,
    sample: sampleResources(config.DATA_DIR),
    census: hub.census,
    tell: (sample) => hub.tellFollowers('system', sample),
    node: nodeId,
  })
  const revoke = (revocation: Revocation) => {
    revocations.add(revocation)
    return hub.endRevoked()
  }

  // How it is reached.
  const transports = createTransports({
    ...shared,
    ...relay,
    ...journal,
    lineage,
    judge,
    catchUp,
    delivered,
    hub: () => hub,
    frameBytesMax: config.MAX_FRAME_BYTES,
  })
  const started = monotonicMs()
  const routes = allRoutes({
    photos: {
      read: database.read,
      thumbnails: createThumbnails({ folders: config.PHOTO_FOLDERS, onBug: observers.onBug }),
    },
    pendingJobs: { ...pendingJobs, requireOpen: drain.requireOpen },
    monotonicMs,
    system: {
      probeDatabase: () => database.read((queries) => readHeads(queries)),
      writerWorks: writer.works,
      isReady: () => !drain.signal.aborted,
      version,
      nodeId,
      uptimeMs: () => monotonicMs() - started,
      limits: limitsOf(config),
      sampleIntervalMs: config.SAMPLE_INTERVAL,
      loadSamples: load.samples,
      features: ['websocket', 'sse', 'pull', 'polling', 'msgpack', 'deflate', database.dialect],
    },
    events: transports,
    polling: { ...transports.polling, now },
    management: {
      ...hub,
      latest: access.latest,
      heads: journal.durableHeads,
      trimmed: journal.trimmed,
      issueToken,
      revoke,
    },
  })
  const app = createApp(routes, {
    ...shared,
    epoch: lineage.epoch,
    snapshot: journal.snapshot,
    durable: writer.durable,
    durableHeads: journal.durableHeads,
    runWrite: writer.write,
    bodyBytesMax: config.MAX_BODY_BYTES,
    documents: contractDocuments(routes, version),
    webApp: createWebApp(webFolder),
    metrics: {
      contentType: metrics.contentType,
      text: () =>
        metrics.text({
          ...hub.census(),
          committed: committed.counts,
          pendingWrites: writer.pending(),
          keySetAgeMs: access.issuerKeys?.ageMs(),
        }),
      require: (request, from) => requireMetrics(request, from, { ...shared, token }),
    },
  })
  const tls = loadTls(config)
  // Else the first to come, thousands after a restart, would be sent for other tokens.
  await access.issuerKeys?.firstTried
  const server = Bun.serve<SocketData>({
    hostname: config.HOST,
    port: config.PORT,
    ...(tls === undefined ? {} : { tls }),
    // Larger than ours, so that the refusal is ours and says why.
    maxRequestBodySize: config.MAX_BODY_BYTES + 65_536,
    websocket: transports.websocket.handler,
    fetch: createFetch({
      ...shared,
      app,
      upgrade: transports.websocket.upgrade,
      requireHost: (host) => access.origins().requireHost(host),
    }),
  })
  parts.defer(async () => void (await stopServing(server, 0)))

  // What goes on by itself.
  const every = (ms: number, task: () => unknown) => parts.use(repeat(ms, task, observers.onTrouble))
  const chore = (ms: number, task: () => Promise<unknown>) =>
    every(ms, () => whenWritable(task, observers.onPutOff))
  for (const part of [writer, hub, relay]) parts.defer(() => part.stop())
  parts.use(watchLoopDelay(metrics.observe.loopDelay))
  every(SECOND_MS, () => hub.checkLiveness())
  every(SECOND_MS, () => access.issuerKeys?.refresh())
  every(SECOND_MS, access.forgetIdle)
  for (const { everyMs, run } of store.chores) chore(everyMs, run)
  chore(SECOND_MS, () => writer.write((write) => expireLeases(write, config.JOB_MAX_ATTEMPTS)))
  if (config.SAMPLE_INTERVAL > 0) every(config.SAMPLE_INTERVAL, load.take)
  chore(5 * SECOND_MS, createResourceWatch(sampleResources(config.DATA_DIR), writer.write))
  if (database.dialect === 'postgres') {
    every(SECOND_MS, async () => relay.hint(await journal.refresh()))
    every(SECOND_MS, async () => (await newRevocations()).forEach(revoke))
  }
  parts.defer(drain.atOnce)
  const url = baseUrl(config, server.port ?? config.PORT)
  const about = { url, version, node_id: nodeId, pid: process.pid, database: database.dialect }
  log.info(about, `listening on ${url}`)
  const owned = parts.move()
  return {
    url,
    config,
    log,
    drain: drain.gently,
    ...inProcess({ hub, runWrite: writer.write, issueToken }),
    report: (error) => observers.onBug(error),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

if (import.meta.main) {
  const { runCommand } = await import('./cli/main.ts')
  await runCommand(process.argv.slice(2), startServer)
}
