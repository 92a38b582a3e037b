/** The metrics: one table of everything that is counted; labels have few values, never an id. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Channel } from './protocol/events.ts'
import { refusals } from './protocol/refusals.ts'

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]
/** What a client calls itself is its own; only these become label values. */
const clientTypes: ReadonlySet<string> = new Set(['gui', 'web', 'mobile', 'lightroom'])
const methods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PATCH', 'DELETE', 'OPTIONS'])
/** Ours, and those that either side may send (RFC 6455 §7.4.1); whatever else a client sends is one label value. */
const closeCodes: ReadonlySet<number> = new Set([
  1000,
  1001,
  1002,
  1003,
  1005,
  1006,
  1007,
  1008,
  1009,
  1010,
  1012,
  1013,
  ...Object.values(refusals).flatMap((row) => ('close' in row ? row.close : [])),
])

/** What is looked up when the metrics are asked for, not counted on the way. */
export interface LiveState {
  readonly connections: Iterable<{
    readonly clientType: string | null
    readonly framing: string
    readonly transport: string
    readonly unsentBytes: number
  }>
  readonly readers: number
  readonly pendingWrites: number
  /** Events since the start: made durable, handed to the topics, handed to sockets. */
  readonly committed: ReadonlyMap<Channel, number>
  readonly published: ReadonlyMap<Channel, number>
  readonly delivered: ReadonlyMap<Channel, number>
  /** Since the issuer confirmed its keys; undefined without an issuer, or before. */
  readonly keySetAgeMs: number | undefined
}

/** A metric as the manual shows it. */
interface MetricDescription {
  readonly name: string
  readonly type: string
  readonly help: string
  readonly labels: readonly string[]
}

export type Metrics = ReturnType<typeof createMetrics>

/** A registry of its own per server, so that two servers in one process do not share counts. */
export function createMetrics() {
  const registry = new Registry()
  const registers = [registry]
  const described: MetricDescription[] = []
  const named = <const L extends string>(type: string, short: string, help: string, labels: readonly L[]) => {
    const name = `lightwire_${short}`
    described.push({ name, type, help, labels })
    return { name, help, labelNames: [...labels], registers }
  }
  const counter = <const L extends string = never>(name: string, help: string, labels: readonly L[] = []) =>
    new Counter(named('counter', name, help, labels))
  const gauge = <const L extends string = never>(name: string, help: string, labels: readonly L[] = []) =>
    new Gauge(named('gauge', name, help, labels))
  const histogram = <const L extends string = never>(name: string, help: string, labels: readonly L[] = []) =>
    new Histogram({ ...named('histogram', name, help, labels), buckets: SECONDS })

  const table = {
    connections: gauge('connections', 'attached clients', ['client_type', 'framing', 'transport']),
    unsentBytes: gauge('unsent_bytes', 'bytes that wait for slow clients'),
    readers: gauge('readers', 'connections that read the journal at their own pace'),
    sweeps: counter('sweeps_total', 'looks at every socket for unsent bytes'),
    movedAside: counter('slow_moves_total', 'connections moved from topics to reading the journal'),
    dropped: counter('dropped_total', 'frames a socket dropped; cannot happen'),
    eventsCommitted: counter('events_committed_total', 'events made durable', ['channel']),
    eventsPublished: counter('events_published_total', 'events handed to the topics', ['channel']),
    eventsDelivered: counter('events_delivered_total', 'events handed to sockets', ['channel']),
    commitSeconds: histogram('commit_seconds', 'one group of writes, begin to commit'),
    syncSeconds: histogram('sync_seconds', 'one fdatasync of the write-ahead log'),
    publishSeconds: histogram(
      'commit_to_publish_seconds',
      'commit to topics, of the oldest event of a delivery',
    ),
    pendingWrites: gauge('pending_writes', 'writes that wait for their commit'),
    refusals: counter('refusals_total', 'expected noes', ['code']),
    closes: counter('closes_total', 'connections closed by either side', ['code']),
    requests: counter('http_requests_total', 'requests answered, by route template', [
      'method',
      'route',
      'status',
    ]),
    requestSeconds: histogram('http_request_seconds', 'request to answer, by route template', ['route']),
    keySetLoads: counter('jwks_loads_total', "attempts to get the issuer's keys: ok, failed", ['result']),
    keySetAge: gauge('jwks_age_seconds', 'since the issuer confirmed its keys; −1 where it never did'),
    loopDelay: histogram('event_loop_delay_seconds', 'how late a timer of the event loop fires'),
    bugs: counter('bugs_total', 'errors that nobody expected'),
    residentBytes: gauge('resident_memory_bytes', 'memory of the process'),
    cpuSeconds: counter('cpu_seconds_total', 'CPU time of the process, user and system'),
  }

  function look({ connections, readers, pendingWrites, keySetAgeMs, ...events }: LiveState): void {
    table.connections.reset()
    let unsent = 0
    for (const { clientType, framing, transport, unsentBytes } of connections) {
      const known = clientType !== null && clientTypes.has(clientType)
      const client_type = clientType === null ? 'unregistered' : known ? clientType : 'other'
      table.connections.inc({ client_type, framing, transport })
      unsent += unsentBytes
    }
    table.unsentBytes.set(unsent)
    table.readers.set(readers)
    table.pendingWrites.set(pendingWrites)
    table.keySetAge.set(keySetAgeMs === undefined ? -1 : keySetAgeMs / 1000)
    copy(table.eventsCommitted, events.committed)
    copy(table.eventsPublished, events.published)
    copy(table.eventsDelivered, events.delivered)
    table.residentBytes.set(process.memoryUsage.rss())
    const { user, system } = process.cpuUsage()
    table.cpuSeconds.reset()
    table.cpuSeconds.inc((user + system) / 1_000_000)
  }

  function copy(counter: Counter<'channel'>, counts: ReadonlyMap<Channel, number>): void {
    counter.reset()
    for (const [channel, count] of counts) counter.inc({ channel }, count)
  }

  return {
    ...table,
    contentType: registry.contentType,
    /** Durations, in seconds. */
    observe: {
      commit: (seconds: number) => table.commitSeconds.observe(seconds),
      sync: (seconds: number) => table.syncSeconds.observe(seconds),
      publish: (seconds: number) => table.publishSeconds.observe(seconds),
      loopDelay: (seconds: number) => table.loopDelay.observe(seconds),
    },
    /** Prometheus text. */
    text(state: LiveState): Promise<string> {
      look(state)
      return registry.metrics()
    },
    described: described as readonly MetricDescription[],
    countAnswer({
      method,
      route,
      status,
      seconds,
    }: {
      method: string
      route: string
      status: number
      seconds: number
    }) {
      table.requests.inc({ method: methods.has(method) ? method : 'other', route, status: String(status) })
      table.requestSeconds.observe({ route }, seconds)
    },
    countClose(code: number) {
      table.closes.inc({ code: closeCodes.has(code) ? String(code) : 'other' })
    },
  }
}

/** The README's table of metrics. */
export function metricsTable(): string {
  const rows = createMetrics().described.map(
    ({ name, type, help, labels }) => `| ${name} | ${type} | ${labels.join(', ')} | ${help} |`,
  )
  return ['| metric | kind | labels | what it counts |', '| --- | --- | --- | --- |', ...rows].join('\n')
}
