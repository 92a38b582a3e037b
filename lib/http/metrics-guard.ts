/** Who may read the metrics: whoever has the token for it, an admin, or a direct request of this machine. */
import { createHash, timingSafeEqual } from 'node:crypto'
import { isDirect } from '../access/local.ts'
import { requireApi, type Principal } from '../access/rights.ts'
import { Refusal } from '../protocol/refusals.ts'

interface MetricsRights {
  /** METRICS_TOKEN, where it is set. */
  readonly token: string | undefined
  readonly verify: (token: string, address: string) => Promise<Principal>
  /** @throws {Refusal} `rate_limited` after too many bad tokens of that address: then none is looked at */
  readonly requireTries: (address: string) => void
}

/**
 * Metrics are for METRICS_TOKEN and for tokens with scope admin; without either only for a direct request of this
 * machine, and only while METRICS_TOKEN is not set. @throws {Refusal}
 */
export async function requireMetrics(
  request: Request,
  { address, client }: { readonly address: string | undefined; readonly client: string },
  { token, verify, requireTries }: MetricsRights,
): Promise<void> {
  const bearer = /^Bearer +(\S+)$/i.exec(request.headers.get('authorization') ?? '')?.[1]
  if (bearer !== undefined) {
    requireTries(client)
    if (token !== undefined && equal(bearer, token)) return
    return requireApi(await verify(bearer, client), 'admin')
  }
  if (token === undefined && isDirect(request.headers, address)) return
  throw new Refusal('forbidden', 'metrics need METRICS_TOKEN or a token with scope admin')
}

/** In a time that says nothing about where they differ. */
function equal(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(a), digest(b))
}
