/** Liveness: who is silent, who takes nothing, whose token ends; looked at every second. */
import { LEEWAY_SECONDS } from '../access/tokens.ts'
import type { Principal } from '../access/rights.ts'
import type { Connection } from './connection.ts'

/** Unsent bytes that stand still for this long end a connection with 4400 (PROTOCOL §5). */
const STALL_MS = 30_000
/** A polling session ends after this without a call (PROTOCOL §6). */
const POLL_SILENCE_MS = 45_000
/** A quiet stream of server-sent events gets a comment so often (PROTOCOL §6). */
const STREAM_HEARTBEAT_MS = 15_000
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

/** Looks at every connection when it is called, which is to be every second. */
export function createLiveness(options: LivenessOptions): (connections: Iterable<Connection>) => void {
  const { now, monotonicMs, heartbeatMs } = options
  let lastLookMs = monotonicMs()
  return (connections) => {
    const moment = { wall: now().getTime(), monotonic: monotonicMs() }
    const sinceMs = moment.monotonic - lastLookMs
    lastLookMs = moment.monotonic
    // This process stood still, and what its clients said meanwhile is not read yet: nobody is judged by that time.
    // Whoever answered the last ping has half a heartbeat left, so a shorter stop harms nobody.
    const stoodMs = sinceMs >= heartbeatMs / 2 ? sinceMs : 0
    for (const connection of connections) {
      if (stoodMs > 0) forgive(connection, stoodMs, moment.monotonic)
      check(connection, moment, options)
    }
  }
}

function forgive(connection: Connection, ms: number, presentMs: number): void {
  const later = (stampMs: number) => Math.min(presentMs, stampMs + ms)
  connection.attachedMs = later(connection.attachedMs)
  connection.lastHeardMs = later(connection.lastHeardMs)
  if (connection.stalledSinceMs !== undefined) connection.stalledSinceMs = later(connection.stalledSinceMs)
}

function check(
  connection: Connection,
  { wall, monotonic }: { readonly wall: number; readonly monotonic: number },
  { heartbeatMs, authDeadlineMs, isRevoked }: LivenessOptions,
): void {
  // Told to leave already: nothing follows that, and what it followed is let go.
  if (!connection.isOpen) return
  const { principal } = connection
  connection.patience.forgetIdle(monotonic)
  if (!principal && monotonic - connection.attachedMs >= authDeadlineMs) {
    return connection.end('auth_timeout', `no token within ${authDeadlineMs} ms`)
  }
  // Ended when it was revoked, but for one that was just being attached then.
  if (principal && isRevoked(principal)) return connection.end('disconnected', REVOKED)
  if (connection.medium.transport === 'poll') {
    // What it does not fetch is no sign of life, and fetching is one.
    if (monotonic - connection.lastHeardMs >= POLL_SILENCE_MS)
      return connection.end('no_pong', `no call for ${POLL_SILENCE_MS / 1000} s`)
  } else if (connection.unsentBytes() > 0) {
    connection.stalledSinceMs ??= monotonic
    if (monotonic - connection.stalledSinceMs >= STALL_MS) {
      return connection.end(
        'slow_consumer',
        `took nothing for ${STALL_MS / 1000} s; come back with your cursor`,
      )
    }
  } else {
    connection.stalledSinceMs = undefined
    if (connection.isUnread) connection.unreadUntilMs = monotonic
    const silentMs = monotonic - Math.max(connection.lastHeardMs, connection.unreadUntilMs)
    const listensOnly = connection.medium.transport === 'sse'
    if (!listensOnly && silentMs >= heartbeatMs * 1.5) {
      return connection.end('no_pong', `no sign of life for ${heartbeatMs * 1.5} ms`)
    }
  }
  const pingMs = connection.medium.transport === 'sse' ? STREAM_HEARTBEAT_MS : heartbeatMs
  if (monotonic - connection.lastPingMs >= pingMs) {
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
