/** The front door: one fetch for app and socket, which answers whatever comes and never throws. */
import { randomBytes } from 'node:crypto'
import type { Server } from 'bun'
import { Refusal, statusOf, type RefusalCode } from '../protocol/refusals.ts'
import type { Answered, Where } from '../observers.ts'
import { problem } from './problem.ts'

/** What is known of a request before the app has it. */
export interface Bindings {
  readonly requestId: string
  /** Of whom the request came from: a client, or a proxy. */
  readonly address: string | undefined
  /** What limits count the client by: its own address, past the proxies that are trusted. */
  readonly client: string
  /** From now on the connection is cut when no byte moved for so many seconds. */
  readonly limitSilence: (seconds: number) => void
}

interface FrontOptions<D> {
  readonly app: { fetch(request: Request, bindings: Bindings): Response | Promise<Response> }
  readonly upgrade: (
    request: Request,
    server: Server<D>,
    from: { readonly requestId: string; readonly address: string },
  ) => Promise<Response | undefined>
  readonly addressOf: (headers: Headers, peer: string | undefined) => string
  readonly requireHost: (header: string | null) => void
  /** Aborted when the server stops: connections are not kept for another request then. */
  readonly draining: AbortSignal
  readonly monotonicMs: () => number
  readonly onRefusal: (code: RefusalCode) => void
  readonly onBug: (error: unknown, where: Where) => void
  readonly onAnswer: (answered: Answered) => void
}

/**
 * Requests that may be without a byte for longer than Bun lets them, in seconds, 0 without end. The others may not: a
 * client that sends its headers or body slower than Bun puts up with is cut off.
 */
const quiet: Readonly<Record<string, number>> = {
  // Those that wait do so for 30 s at most, and their bodies may not wait for ever.
  'GET /api/events': 45,
  'POST /api/jobs/claim': 45,
  // Until it is sent away: who stays away is found by the kernel and by what is not taken.
  'GET /api/events/stream': 0,
}

/** For every answer that has none of its own: not to be kept, guessed at, framed, or embedded by another site. */
const safeguards = Object.entries({
  'Cache-Control': 'no-store',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
})

export function createFetch<D>(options: FrontOptions<D>) {
  const { app, upgrade, addressOf, requireHost, draining, monotonicMs, onRefusal, onBug, onAnswer } = options
  const leaving = (response: Response) => {
    for (const [name, value] of safeguards) if (!response.headers.has(name)) response.headers.set(name, value)
    if (draining.aborted) response.headers.set('Connection', 'close')
    return response
  }
  return async (request: Request, server: Server<D>): Promise<Response | undefined> => {
    const started = monotonicMs()
    const requestId = requestIdOf(request.headers)
    // A malformed Host leaves no path to tell a route by.
    let route = 'none'
    const done = (status: number, code?: RefusalCode) =>
      onAnswer({
        requestId,
        method: request.method,
        route,
        status,
        seconds: (monotonicMs() - started) / 1000,
        subject: undefined,
        code,
      })
    try {
      const { pathname } = new URL(request.url)
      const address = server.requestIP(request)?.address
      const client = addressOf(request.headers, address)
      const limitSilence = (seconds: number) => server.timeout(request, seconds)
      const seconds = quiet[`${request.method} ${pathname}`]
      if (seconds !== undefined) limitSilence(seconds)
      if (pathname !== '/ws')
        return leaving(await app.fetch(request, { requestId, address, client, limitSilence }))
      route = '/ws'
      requireHost(request.headers.get('host'))
      const response = await upgrade(request, server, { requestId, address: client })
      done(response?.status ?? 101)
      return response
    } catch (error) {
      const refusal = error instanceof Refusal ? error : unexpected(request)
      if (refusal.code === 'internal') onBug(error, { request_id: requestId })
      onRefusal(refusal.code)
      done(statusOf(refusal.code), refusal.code)
      const allow: Record<string, string> = refusal.code === 'method_not_allowed' ? { Allow: 'GET' } : {}
      return leaving(problem(refusal, { 'X-Request-Id': requestId, ...allow }))
    }
  }
}

/** A malformed Host makes the request's URL unreadable; everything else is a bug of ours. */
function unexpected(request: Request): Refusal {
  if (URL.canParse(request.url)) return new Refusal('internal', 'something went wrong here')
  return new Refusal('host_refused', 'the Host header is malformed')
}

interface Serving {
  readonly pendingRequests: number
  stop(closeAll?: boolean): Promise<void>
}

/** Takes no more requests, lets those under way finish within `ms`, then closes what is left: how many requests. */
export async function stopServing(server: Serving, ms: number): Promise<number> {
  const late = Promise.withResolvers<void>()
  const timer = setTimeout(late.resolve, ms)
  await Promise.race([server.stop(), late.promise])
  clearTimeout(timer)
  const cut = server.pendingRequests
  await server.stop(true)
  return cut
}

/** A client's own request id is kept when it is harmless in a header and in a log line. */
const REQUEST_ID = /^[\w.-]{1,64}$/

function requestIdOf(headers: Headers): string {
  const own = headers.get('x-request-id')
  return own !== null && REQUEST_ID.test(own) ? own : randomBytes(8).toString('hex')
}
