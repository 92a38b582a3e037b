/** The drain: nothing new is taken, the clients leave, the requests under way finish; once, whoever asks first. */
import type { Config } from './settings.ts'
import type { Logger } from './logger.ts'
import { Refusal } from './protocol/refusals.ts'

/** The rest of DRAIN_DEADLINE is for closing the store. */
const DEADLINE_SHARE = 0.9
/** Longest that answers under way may take to leave where nobody drains. */
const LEAVE_MS = 2000
const RETRY_MIN_MS = 1000

export interface Pace {
  /** Over which the clients leave. */
  readonly spreadMs: number
  /** After which whoever is slow to leave is cut off. */
  readonly clientsMs: number
  readonly requestsMs: number
}

interface DrainOptions {
  readonly config: Pick<Config, 'DRAIN_SPREAD' | 'DRAIN_DEADLINE'>
  readonly log: Pick<Logger, 'info'>
  readonly monotonicMs: () => number
  /** Sends the clients away until none is left: how many, and how many of them were cut off. */
  readonly dismissClients: (pace: Pace) => Promise<{ readonly clients: number; readonly cut: number }>
  /** Closes the listener and waits for the answers under way, at most `ms`: how many requests were cut off. */
  readonly finishRequests: (ms: number) => Promise<number>
}

export function createDrain({ config, log, monotonicMs, dismissClients, finishRequests }: DrainOptions) {
  const { DRAIN_SPREAD: spreadMs, DRAIN_DEADLINE: deadlineMs } = config
  const begun = new AbortController()
  let running: Promise<void> | undefined

  async function run(pace: Pace): Promise<void> {
    const startedMs = monotonicMs()
    begun.abort()
    log.info({ spread_ms: pace.spreadMs }, 'draining')
    // The listener stays open meanwhile: a load balancer sees `ready` fail, and who comes is told to come again.
    const { clients, cut } = await dismissClients(pace)
    const requestsCut = await finishRequests(Math.max(0, startedMs + pace.requestsMs - monotonicMs()))
    const ms = Math.round(monotonicMs() - startedMs)
    log.info({ clients, clients_cut: cut, requests_cut: requestsCut, ms }, 'drained')
  }

  return {
    /** Aborted when the drain begins: whatever holds a request open (a long-poll, a stream) ends it then. */
    signal: begun.signal,
    /** @throws {Refusal} `draining` once the drain has begun */
    requireOpen(): void {
      if (!begun.signal.aborted) return
      const retryAfterMs = Math.max(RETRY_MIN_MS, spreadMs)
      throw new Refusal('draining', 'the server is draining; come again', { retryAfterMs })
    },
    /** Over DRAIN_SPREAD, within DRAIN_DEADLINE. */
    gently(): Promise<void> {
      const untilMs = deadlineMs * DEADLINE_SHARE
      return (running ??= run({ spreadMs, clientsMs: untilMs, requestsMs: untilMs }))
    },
    /** All clients at once; where a drain is running already, at its pace. */
    atOnce: (): Promise<void> => (running ??= run({ spreadMs: 0, clientsMs: 0, requestsMs: LEAVE_MS })),
  }
}
