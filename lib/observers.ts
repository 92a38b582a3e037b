/** What the parts report, turned into one log line per fact and into counts. */
import type { Logger } from './logger.ts'
import type { Metrics } from './metrics.ts'
import type { Refusal, RefusalCode } from './protocol/refusals.ts'

/** One request and what became of it. */
export interface Answered {
  readonly requestId: string
  readonly method: string
  /** The route's template, never the path. */
  readonly route: string
  readonly status: number
  readonly seconds: number
  readonly subject: string | undefined
  /** Code of the refusal, if it was one. */
  readonly code: RefusalCode | undefined
}

/** A connection as the log names it. */
interface Named {
  readonly id: string
  readonly framing: string
}

/** Where a bug showed. */
export interface Where {
  readonly request_id?: string
  readonly client_id?: string
}

export type Observers = ReturnType<typeof createObservers>

/** @param isFault whether an error is one of disk or database */
export function createObservers(log: Logger, metrics: Metrics, isFault: (error: unknown) => boolean) {
  const onBug = (error: unknown, where: Where = {}) => {
    metrics.bugs.inc()
    log.error({ err: error, ...where }, 'something failed that should not')
  }
  const onFault = (fault: unknown) => log.warn({ err: fault }, 'disk or database refused')
  return {
    onBug,
    onRefusal: (code: RefusalCode) => metrics.refusals.inc({ code }),
    /** A refusal with a cause: an expected no to the client, trouble with disk or database to the operator. */
    onFault,
    /** Of what goes on by itself: a database that is away is trouble, all else a bug. */
    onTrouble: (error: unknown) => (isFault(error) ? onFault(error) : onBug(error)),

    /** Requests that went well are many and say little, and so are those of a flood: they are lines of level debug. */
    onAnswer({ requestId, method, route, status, seconds, subject, code }: Answered): void {
      metrics.countAnswer({ method, route, status, seconds })
      const level = status >= 500 ? 'warn' : status >= 400 && status !== 429 ? 'info' : 'debug'
      const ms = Math.round(seconds * 1e6) / 1000
      log[level]({ request_id: requestId, method, route, status, code, ms, subject }, 'answered a request')
    },

    onOpen({ id, framing }: Named, subject: string | undefined, requestId: string): void {
      log.info({ client_id: id, request_id: requestId, framing, subject }, 'opened a connection')
    },
    onClosed({ id }: Named, code: number, reason: string): void {
      metrics.countClose(code)
      log.info({ client_id: id, code, reason }, 'closed a connection')
    },
    onMovedAside({ id }: Named): void {
      metrics.movedAside.inc()
      log.info({ client_id: id }, 'moved a slow connection to the journal')
    },

    onKeysLoaded: (result: 'ok' | 'failed') => metrics.keySetLoads.inc({ result }),
    onKeysChanged(set: { readonly kids: readonly string[]; readonly ignored: readonly string[] }): void {
      const level = set.kids.length === 0 ? 'warn' : 'info'
      log[level](set, "took over the issuer's keys")
    },
    onKeysFault: (error: unknown) =>
      log.warn({ err: error }, "could not get the issuer's keys; kept those there are"),

    onFatal(error: unknown): void {
      log.fatal({ err: error }, 'the disk refused a sync; stopped accepting writes')
    },
    onClockSet: (byMs: number) => log.warn({ by_ms: byMs }, 'the clock was set; moved the leases with it'),
    onPutOff(refusal: Refusal): void {
      if (refusal.cause !== undefined) onFault(refusal)
      log.warn({ code: refusal.code }, 'put off a chore')
    },
  }
}
