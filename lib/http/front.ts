/** The front door: one fetch for app and socket, which answers whatever comes and never throws. */
import type { Server } from 'bun'
import { Refusal, statusOf, type RefusalCode } from '../protocol/refusals.ts'
import type { Answered, Where } from '../observers.ts'
import { requestIdOf } from './app.ts'
import { problem } from './problem.ts'

interface FrontOptions<D> {
  readonly app: { fetch(request: Request): Response | Promise<Response> }
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
    const done = (status: number, code?: RefusalCode) =>
      onAnswer({
        requestId,
        method: request.method,
        route: '/ws',
        status,
        seconds: (monotonicMs() - started) / 1000,
        subject: undefined,
        code,
      })
    try {
      const { pathname } = new URL(request.url)
      if (pathname !== '/ws') return await app.fetch(request)
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

/** The token where one is set, else loopback only. */
export function mayReadMetrics(
  request: Request,
  address: string | undefined,
  token: string | undefined,
): boolean {
  if (token !== undefined) return request.headers.get('authorization') === `Bearer ${token}`
  return address === '127.0.0.1' || address === '::1' || address === '::ffff:127.0.0.1'
}
