/** Liveness: who is silent, who takes nothing, whose token ends; looked at every second. */
import { LEEWAY_SECONDS } from '../access/tokens.ts'
import type { Principal } from '../access/rights.ts'
import type { Connection } from './connection.ts'

/** Unsent bytes that stand still for this long end a connection with 4400 (PROTOCOL §5). */
const STALL_MS = 30_000
const EXPIRY_WARNING_MS = 60_000
export const REVOKED = 'the token was revoked'

export interface LivenessOptions {
  readonly now: () => Date
  /** A clock that no time setting moves: a jump of the wall clock must not end anybody. */
  readonly monotonicMs: () => number
  readonly heartbeatMs: number
  /** For the first token on a socket. */
  readonly authDeadlineMs: number
  readonly isRevoked: (principal: Principal) => boolean
}

export function checkLiveness(connections: Iterable<Connection>, options: LivenessOptions): void {
  const moment = { wall: options.now().getTime(), monotonic: options.monotonicMs() }
  for (const connection of connections) check(connection, moment, options)
}

function check(
  connection: Connection,
  { wall, monotonic }: { readonly wall: number; readonly monotonic: number },
  { heartbeatMs, authDeadlineMs, isRevoked }: LivenessOptions,
): void {
  const { principal } = connection
  if (!principal && monotonic - connection.attachedMs >= authDeadlineMs) {
    return connection.end('auth_timeout', `no token within ${authDeadlineMs} ms`)
  }
  // Ended when it was revoked, but for one that was just being attached then.
  if (principal && isRevoked(principal)) return connection.end('disconnected', REVOKED)
  if (connection.unsentBytes() > 0) {
    connection.stalledSinceMs ??= monotonic
    if (monotonic - connection.stalledSinceMs >= STALL_MS) {
      return connection.end(
        'slow_consumer',
        `took nothing for ${STALL_MS / 1000} s; come back with your cursor`,
      )
    }
  } else {
    connection.stalledSinceMs = undefined
    if (monotonic - connection.lastHeardMs >= heartbeatMs * 1.5) {
      return connection.end('no_pong', `no sign of life for ${heartbeatMs * 1.5} ms`)
    }
  }
  if (monotonic - connection.lastPingMs >= heartbeatMs) {
    connection.lastPingMs = monotonic
    connection.socket.ping()
  }
  if (principal?.expiresAtMs !== undefined) checkExpiry(connection, wall, principal.expiresAtMs)
}

function checkExpiry(connection: Connection, now: number, expiresAtMs: number): void {
  if (now >= expiresAtMs + LEEWAY_SECONDS * 1000) {
    return connection.end('unauthenticated', 'the token has expired; refresh it, then come back')
  }
  if (connection.warnedOfExpiry || now < expiresAtMs - EXPIRY_WARNING_MS) return
  connection.warnedOfExpiry = true
  connection.send({ type: 'token_expiring', expires_at: new Date(expiresAtMs).toISOString() })
}
