/** Who may read the metrics: whoever has the token for it, an admin, or a direct request of this machine. */
import { createHash, timingSafeEqual } from 'node:crypto'
import { requireApi, type Principal } from '../access/rights.ts'
import { Refusal } from '../protocol/refusals.ts'

interface MetricsRights {
  /** METRICS_TOKEN, where it is set. */
  readonly token: string | undefined
  readonly verify: (token: string) => Promise<Principal>
}

/**
 * Metrics are for METRICS_TOKEN and for tokens with scope admin; without either only for a direct request of this
 * machine, and only while METRICS_TOKEN is not set. @throws {Refusal}
 */
export async function requireMetrics(
  request: Request,
  address: string | undefined,
  { token, verify }: MetricsRights,
): Promise<void> {
  const bearer = /^Bearer +(\S+)$/i.exec(request.headers.get('authorization') ?? '')?.[1]
  if (bearer !== undefined) {
    if (token !== undefined && equal(bearer, token)) return
    return requireApi(await verify(bearer), 'admin')
  }
  // What a proxy on this machine passes on comes from somewhere else.
  const direct = !forwarding.some((name) => request.headers.has(name))
  if (token === undefined && direct && loopback.has(address ?? '')) return
  throw new Refusal('forbidden', 'metrics need METRICS_TOKEN or a token with scope admin')
}

const forwarding = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip', 'via']
const loopback: ReadonlySet<string> = new Set(['127.0.0.1', '::1', '::ffff:127.0.0.1'])

/** In a time that says nothing about where they differ. */
function equal(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(a), digest(b))
}
