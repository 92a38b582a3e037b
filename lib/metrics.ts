/** The metrics: one table of everything that is counted; labels have few values, never an id. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client'

const COMMIT_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1]

/** A registry of its own per server, so that two servers in one process do not share counts. */
export function createMetrics() {
  const registry = new Registry()
  const registers = [registry]
  return {
    registry,
    connections: new Gauge({
      name: 'lightwire_connections',
      help: 'attached clients',
      labelNames: ['framing'] as const,
      registers,
    }),
    readers: new Gauge({
      name: 'lightwire_readers',
      help: 'connections that read the journal at their own pace',
      registers,
    }),
    eventsCommitted: new Counter({
      name: 'lightwire_events_committed_total',
      help: 'events made durable',
      labelNames: ['channel'] as const,
      registers,
    }),
    eventsPublished: new Counter({
      name: 'lightwire_events_published_total',
      help: 'events handed to the topics',
      labelNames: ['channel'] as const,
      registers,
    }),
    commitSeconds: new Histogram({
      name: 'lightwire_commit_seconds',
      help: 'one group of writes, begin to commit',
      buckets: COMMIT_BUCKETS,
      registers,
    }),
    syncSeconds: new Histogram({
      name: 'lightwire_sync_seconds',
      help: 'one fdatasync of the write-ahead log',
      buckets: COMMIT_BUCKETS,
      registers,
    }),
    sweeps: new Counter({
      name: 'lightwire_sweeps_total',
      help: 'looks at every socket for unsent bytes',
      registers,
    }),
    movedAside: new Counter({
      name: 'lightwire_slow_moves_total',
      help: 'connections moved from topics to reading the journal',
      registers,
    }),
    dropped: new Counter({
      name: 'lightwire_dropped_total',
      help: 'frames a socket dropped; cannot happen',
      registers,
    }),
    refusals: new Counter({
      name: 'lightwire_refusals_total',
      help: 'expected noes',
      labelNames: ['code'] as const,
      registers,
    }),
    closes: new Counter({
      name: 'lightwire_closes_total',
      help: 'connections closed by the server',
      labelNames: ['code'] as const,
      registers,
    }),
    requests: new Counter({
      name: 'lightwire_http_requests_total',
      help: 'requests answered',
      labelNames: ['method', 'route', 'status'] as const,
      registers,
    }),
    bugs: new Counter({ name: 'lightwire_bugs_total', help: 'errors that nobody expected', registers }),
  }
}
