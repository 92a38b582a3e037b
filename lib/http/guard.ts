/** The guard before every route: who asks, whether they may, and how often they did. */
import type { Context, MiddlewareHandler } from 'hono'
import type { Positions } from '../protocol/cursor.ts'
import { Refusal, type RefusalCode } from '../protocol/refusals.ts'
import { requireAdmitted, type Quota } from '../access/admission.ts'
import { mayBeLocal } from '../access/local.ts'
import type { Origins } from '../access/origins.ts'
import { requireAny, requireApi, type Principal } from '../access/rights.ts'
import type { Bindings } from './front.ts'
import type { Route } from './route.ts'

export interface Env {
  Bindings: Bindings
  Variables: {
    principal?: Principal
    heads?: Positions
    quota?: Quota
    requestId: string
    route?: string
    code?: RefusalCode
  }
}

export interface GuardServices {
  readonly origins: () => Origins
  /** Who may do everything without a token (`AUTH=off`). */
  readonly anyone: Principal | undefined
  /** Who this machine's own programs are without a token (`LOCAL_SCOPE`). */
  readonly local: Principal | undefined
  readonly verify: (token: string, address: string) => Promise<Principal>
  /** Counts a request by its subject, or by the address where none is known; undefined without a limit. */
  readonly countRequest: (subject: string) => Quota | undefined
  readonly countStranger: (address: string) => Quota | undefined
  /** @throws {Refusal} `draining`; probes are answered to the end */
  readonly requireOpen: () => void
}

export function guard(
  { right, path, bySession = false, whileDraining = false }: Route,
  services: GuardServices,
): MiddlewareHandler<Env> {
  return async (c, next) => {
    c.set('route', path)
    if (right !== 'open') {
      services.origins().requirePage(c.req.raw.headers)
      if (!whileDraining) services.requireOpen()
      const known = identify(c, services)
      const principal = await known.catch((error: unknown) => refuseStranger(c, error, services))
      c.set('principal', principal)
      admit(c, services.countRequest(principal.subject))
      if (right === 'publish' || right === 'read') requireAny(principal, right)
      else if (right !== 'any' && !(bySession && principal.rights.sessions.size > 0))
        requireApi(principal, right)
    }
    await next()
  }
}

/** Counts a request, so that its answer says where the caller stands. @throws {Refusal} `rate_limited` */
export function admit(c: Context<Env>, quota: Quota | undefined): void {
  if (!quota) return
  c.set('quota', quota)
  requireAdmitted(quota, 'requests')
}

/** Whoever has no good token is counted by address before it is told so. @throws {Refusal} */
export function refuseStranger(
  c: Context<Env>,
  error: unknown,
  { countStranger }: Pick<GuardServices, 'countStranger'>,
): never {
  const limited = error instanceof Refusal && error.code === 'rate_limited'
  if (error instanceof Refusal && !limited) admit(c, countStranger(c.env.client))
  throw error
}

async function identify(c: Context<Env>, services: GuardServices): Promise<Principal> {
  const { anyone, verify, local } = services
  if (anyone) return anyone
  const authorization = c.req.header('authorization')
  const tokenless = authorization === undefined && mayBeLocal(c.req.raw.headers, c.env.address)
  if (local && tokenless) return local
  if (authorization === undefined) throw new Refusal('unauthenticated', 'send Authorization: Bearer <token>')
  const token = /^Bearer +(\S+)$/i.exec(authorization)?.[1]
  if (token === undefined) throw new Refusal('invalid_token', 'Authorization: expected Bearer <token>')
  return await verify(token, c.env.client)
}
