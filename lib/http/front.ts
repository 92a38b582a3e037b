/** The front door: one fetch for app and socket, which answers whatever comes and never throws. */
import type { Server } from 'bun'
import { Refusal, type RefusalCode } from '../protocol/refusals.ts'
import { problem } from './problem.ts'

interface FrontOptions<D> {
  readonly app: { fetch(request: Request): Response | Promise<Response> }
  readonly upgrade: (request: Request, server: Server<D>) => Promise<Response | undefined>
  readonly requireHost: (header: string | null) => void
  readonly onRefusal: (code: RefusalCode) => void
  readonly onBug: (error: unknown) => void
}

export function createFetch<D>({ app, upgrade, requireHost, onRefusal, onBug }: FrontOptions<D>) {
  return async (request: Request, server: Server<D>): Promise<Response | undefined> => {
    try {
      const { pathname } = new URL(request.url)
      if (pathname !== '/ws') return await app.fetch(request)
      requireHost(request.headers.get('host'))
      return await upgrade(request, server)
    } catch (error) {
      const refusal = error instanceof Refusal ? error : unexpected(request)
      if (refusal.code === 'internal') onBug(error)
      onRefusal(refusal.code)
      return problem(refusal)
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
