/** The front door: one fetch for app and socket, which answers whatever comes and never throws. */
import { randomBytes } from 'node:crypto'
import type { Server } from 'bun'
import { Refusal, statusOf, type RefusalCode } from '../protocol/refusals.ts'
import type { Answered, Where } from '../observers.ts'
import { problem } from './problem.ts'

interface FrontOptions<D> {
  readonly app: { fetch(request: Request, bindings: { requestId: string }): Response | Promise<Response> }
  readonly upgrade: (request: Request, server: Server<D>, requestId: string) => Promise<Response | undefined>
  readonly requireHost: (header: string | null) => void
  readonly monotonicMs: () => number
  readonly onRefusal: (code: RefusalCode) => void
  readonly onBug: (error: unknown, where: Where) => void
  readonly onAnswer: (answered: Answered) => void
}

export function createFetch<D>(options: FrontOptions<D>) {
  const { app, upgrade, requireHost, monotonicMs, onRefusal, onBug, onAnswer } = options
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
      if (pathname !== '/ws') return await app.fetch(request, { requestId })
      route = '/ws'
      requireHost(request.headers.get('host'))
      const response = await upgrade(request, server, requestId)
      done(response?.status ?? 101)
      return response
    } catch (error) {
      const refusal = error instanceof Refusal ? error : unexpected(request)
      if (refusal.code === 'internal') onBug(error, { request_id: requestId })
      onRefusal(refusal.code)
      done(statusOf(refusal.code), refusal.code)
      return problem(refusal, { 'X-Request-Id': requestId })
    }
  }
}

/** A malformed Host makes the request's URL unreadable; everything else is a bug of ours. */
function unexpected(request: Request): Refusal {
  if (URL.canParse(request.url)) return new Refusal('internal', 'something went wrong here')
  return new Refusal('host_refused', 'the Host header is malformed')
}

/** Longest that answers under way may take to leave when the server stops. */
const LEAVE_MS = 2000

/** Takes no more requests, lets the answers under way leave, then closes what is left. */
export async function stopServing(server: { stop(closeAll?: boolean): Promise<void> }): Promise<void> {
  const late = Promise.withResolvers<void>()
  const timer = setTimeout(late.resolve, LEAVE_MS)
  await Promise.race([server.stop(), late.promise])
  clearTimeout(timer)
  await server.stop(true)
}

/** A client's own request id is kept when it is harmless in a header and in a log line. */
const REQUEST_ID = /^[\w.-]{1,64}$/

function requestIdOf(headers: Headers): string {
  const own = headers.get('x-request-id')
  return own !== null && REQUEST_ID.test(own) ? own : randomBytes(8).toString('hex')
}
