/** The composition root: the parts in order, one Bun.serve, a stop in reverse order; also the library's face. */
import { randomBytes } from 'node:crypto'
import { loadKey } from './lib/access/keys.ts'
import { createOrigins, type Origins } from './lib/access/origins.ts'
import { everyone, type Principal } from './lib/access/rights.ts'
import { createRevocations, type Revocation } from './lib/access/revocations.ts'
import { createTokens, type TokenRequest } from './lib/access/tokens.ts'
import { baseUrl, configWith, limitsOf, type Config } from './lib/config.ts'
import { createResourceWatch, type ResourceUse } from './lib/domain/system.ts'
import { channelOf, parsePublication, publishDurably } from './lib/domain/publishing.ts'
import { emitDerived } from './lib/domain/derived.ts'
import { expireLeases } from './lib/domain/leases.ts'
import { createApp } from './lib/http/app.ts'
import { contractDocuments } from './lib/http/documents.ts'
import { createFetch, stopServing } from './lib/http/front.ts'
import { createJobSignal } from './lib/http/job-signal.ts'
import { requireMetrics } from './lib/http/metrics-guard.ts'
import { allRoutes } from './lib/http/routes.ts'
import { createLogger, type Logger } from './lib/logger.ts'
import { watchLoopDelay } from './lib/loop-delay.ts'
import { createMetrics } from './lib/metrics.ts'
import { createObservers } from './lib/observers.ts'
import type { EventInput, EventType, StoredEvent } from './lib/protocol/events.ts'
import { Refusal } from './lib/protocol/refusals.ts'
import { createDispatch, type Handlers } from './lib/realtime/dispatch.ts'
import { createHub, type Hub } from './lib/realtime/hub.ts'
import { createRelay } from './lib/realtime/relay.ts'
import { repeat } from './lib/repeat.ts'
import { createResourceSampler } from './lib/resources.ts'
import { isStorageFault } from './lib/store/faults.ts'
import { whenWritable } from './lib/store/housekeeping.ts'
import { readHeads } from './lib/store/journal.ts'
import { createRevocationFeed } from './lib/store/revocations.ts'
import { openStore } from './lib/store/store.ts'
import { Tally } from './lib/tally.ts'
import { createWebSocketTransport, type SocketData } from './lib/transport/websocket.ts'
import { version } from './package.json' with { type: 'json' }

const SECOND_MS = 1000

export { events } from './lib/protocol/event-helpers.ts'
export { Refusal } from './lib/protocol/refusals.ts'

export interface ServerOptions {
  /** Custom message handlers by message type. */
  readonly handlers?: Handlers
  /** Handed in by tests; else the system's clocks. */
  readonly now?: () => Date
  readonly monotonicMs?: () => number
  /** Makes the sampler of the machine's resources for the data folder. */
  readonly sampleResources?: (folder: string) => () => Promise<ResourceUse>
  /** The disk refused a sync: nothing more can be promised, and the process should end. */
  readonly onFatal?: (error: unknown) => void
}

/** A running server, and the in-process face of what it does for clients. */
export interface LightwireServer extends AsyncDisposable {
  /** `http://host:port`, with the port that was taken. */
  readonly url: string
  readonly config: Config
  readonly log: Logger
  /** Commits an event as `POST /api/events` would; resolves when it is durable. @throws {Refusal} */
  publish<T extends EventType>(event: { type: T } & EventInput<T>): Promise<StoredEvent>
  /** Sends an ephemeral message to the clients of a type; how many. @throws {Refusal} */
  sendToType(clientType: string, message: Parameters<Hub['broadcast']>[0]): number
  clients: Hub['clients']
  disconnect: Hub['disconnect']
  /** A token signed by this server's key. */
  issueToken(request: TokenRequest): Promise<string>
  /** One line about a bug that nothing else caught. */
  report(error: unknown): void
}

/** Starts a server; what is not given has its default. A start that fails leaves nothing open. */
export async function startServer(
  overrides: Partial<Config> = {},
  {
    handlers = {},
    now = () => new Date(),
    monotonicMs = () => performance.now(),
    sampleResources = createResourceSampler,
    onFatal = () => process.exit(1),
  }: ServerOptions = {},
): Promise<LightwireServer> {
  await using parts = new AsyncDisposableStack()
  const config = configWith(overrides)
  const log = createLogger(config.LOG_LEVEL)
  const metrics = createMetrics()
  const observers = createObservers(log, metrics, isStorageFault)
  const nodeId = config.NODE_ID ?? randomBytes(4).toString('hex')

  // Who may.
  const revocations = createRevocations()
  // Who needs no token has none that could be revoked.
  const isRevoked = (principal: Principal) => principal !== everyone && revocations.covers(principal)
  const { DATA_DIR: folder, JWT_ISSUER: issuer, JWT_AUDIENCE: audience } = config
  const tokens = createTokens({ key: loadKey(folder, config.JWT_SECRET), issuer, audience, now, isRevoked })
  const shared = {
    ...observers,
    now,
    monotonicMs,
    anyone: config.AUTH === 'off' ? everyone : undefined,
    verify: tokens.verify,
    requireStanding: tokens.requireStanding,
    isRevoked,
  }

  // What is true.
  const committed = new Tally()
  const store = parts.use(
    await openStore({
      config,
      now,
      derive: emitDerived,
      onDurable: (events, committedMs) => {
        for (const { channel } of events) committed.add(channel, 1)
        relay.offer(events, committedMs)
      },
      onTrouble: observers.onTrouble,
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
  const pendingJobs = createJobSignal()
  const relay = createRelay({
    journal,
    heads: lineage.state.heads,
    coalesceMs: config.COALESCE_MS,
    onError: observers.onTrouble,
    observeDelay: metrics.observe.publish,
    deliver(events) {
      hub.deliver(events)
      for (const { type } of events) if (type === 'job_created' || type === 'job_requeued') pendingJobs.wake()
    },
  })
  const dispatch = createDispatch({
    ...shared,
    handlers,
    flush: relay.flush,
    judge: (cursor, channel) =>
      lineage.judge(cursor, channel, { heads: journal.heads(), trimmed: journal.trimmed() }),
    channelOf,
    publish: ({ subject }, event, command) =>
      publishDurably(writer.write, parsePublication(event, { command, subject })),
  })
  const hub = createHub({
    ...shared,
    epoch: lineage.epoch,
    node: nodeId,
    journal,
    startHeads: lineage.state.heads,
    publisher: { publish: (topic, frame) => server.publish(topic, frame) },
    dispatch,
    heartbeatMs: config.HEARTBEAT,
    authDeadlineMs: config.AUTH_DEADLINE,
    frameBytesMax: config.MAX_FRAME_BYTES,
    tailBytes: config.TAIL_BYTES,
    queuedBytesMax: config.QUEUED_BYTES_MAX,
    connectionsMax: config.MAX_CONNECTIONS,
    heads: journal.heads,
    durableHeads: journal.durableHeads,
    settled: () => {
      if (writer.hasUnsynced()) return writer.durable().then(relay.flush)
      return void relay.flush()
    },
    metrics,
    onReadError: observers.onTrouble,
  })
  const revoke = (revocation: Revocation) => {
    revocations.add(revocation)
    return hub.endRevoked()
  }

  // How it is reached.
  let ready = false
  let origins: Origins | undefined
  const originsNow = () => {
    if (!origins) throw new Refusal('draining', 'the server is starting')
    return origins
  }
  const websocket = createWebSocketTransport({
    ...shared,
    origins: originsNow,
    hub: () => hub,
    frameBytesMax: config.MAX_FRAME_BYTES,
  })
  const started = monotonicMs()
  const routes = allRoutes({
    pendingJobs,
    monotonicMs,
    system: {
      probeDatabase: () => database.read((queries) => readHeads(queries)),
      writerWorks: writer.works,
      isReady: () => ready,
      version,
      nodeId,
      uptimeMs: () => monotonicMs() - started,
      limits: limitsOf(config),
      features: ['websocket', 'msgpack', 'deflate', database.dialect],
    },
    management: { ...hub, now, heads: journal.durableHeads, issueToken: tokens.issue, revoke },
  })
  const app = createApp(routes, {
    ...shared,
    epoch: lineage.epoch,
    origins: originsNow,
    snapshot: journal.snapshot,
    durable: writer.durable,
    durableHeads: journal.durableHeads,
    runWrite: writer.write,
    bodyBytesMax: config.MAX_BODY_BYTES,
    documents: contractDocuments(routes, version),
    metrics: {
      contentType: metrics.contentType,
      text: () =>
        metrics.text({ ...hub.census(), committed: committed.counts, pendingWrites: writer.pending() }),
      require: (request) =>
        requireMetrics(request, server.requestIP(request)?.address, {
          ...shared,
          token: config.METRICS_TOKEN,
        }),
    },
  })
  const server = Bun.serve<SocketData>({
    hostname: config.HOST,
    port: config.PORT,
    // Larger than ours, so that the refusal is ours and says why.
    maxRequestBodySize: config.MAX_BODY_BYTES + 65_536,
    websocket: websocket.handler,
    fetch: createFetch({
      ...shared,
      app,
      upgrade: websocket.upgrade,
      requireHost: (host) => originsNow().requireHost(host),
    }),
  })
  parts.defer(() => stopServing(server))
  const port = server.port ?? config.PORT
  origins = createOrigins({
    port,
    publicUrl: config.PUBLIC_URL,
    allowed: config.ALLOWED_ORIGINS,
    host: config.HOST,
  })

  // What goes on by itself.
  const every = (ms: number, task: () => unknown) => parts.use(repeat(ms, task, observers.onTrouble))
  const chore = (ms: number, task: () => Promise<unknown>) =>
    every(ms, () => whenWritable(task, observers.onPutOff))
  parts.defer(() => {
    // Claims that wait for a job are told that none comes any more.
    queueMicrotask(pendingJobs.wakeAll)
    return writer.stop()
  })
  parts.defer(() => relay.stop())
  parts.use(watchLoopDelay(metrics.observe.loopDelay))
  every(SECOND_MS, () => hub.checkLiveness())
  for (const { everyMs, run } of store.chores) chore(everyMs, run)
  chore(SECOND_MS, () => writer.write((write) => expireLeases(write, config.JOB_MAX_ATTEMPTS)))
  chore(5 * SECOND_MS, createResourceWatch(sampleResources(folder), writer.write))
  if (database.dialect === 'postgres') {
    every(SECOND_MS, async () => relay.hint(await journal.refresh()))
    every(SECOND_MS, async () => (await newRevocations()).forEach(revoke))
  }
  parts.defer(() => {
    ready = false
    hub.endAll('the server is stopping')
  })
  ready = true
  const url = baseUrl(config.HOST, port)
  const about = { url, version, node_id: nodeId, pid: process.pid, database: database.dialect }
  log.info(about, `listening on ${url}`)
  const owned = parts.move()
  return {
    url,
    config,
    log,
    publish: (event) =>
      publishDurably(writer.write, parsePublication(event, { command: false, subject: 'in-process' })),
    sendToType: (clientType, message) => hub.broadcast(message, { clientType }).recipients,
    clients: hub.clients,
    disconnect: hub.disconnect,
    issueToken: async (request) => (await tokens.issue(request)).token,
    report: (error) => observers.onBug(error),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

if (import.meta.main) {
  const { runCommand } = await import('./cli/main.ts')
  await runCommand(process.argv.slice(2), startServer)
}
