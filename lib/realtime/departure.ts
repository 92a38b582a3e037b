/** The departure of the clients when the server drains: they leave evenly over a while, and come back as evenly. */
import type { Connection } from './connection.ts'

/** How often those are looked at who could not leave in their turn. */
const LOOK_MS = 20
/** One whose unsent bytes stand still for this long takes nothing any more. */
const STUCK_MS = 2000
/** Longest, after the last turn, that one who takes its bytes slowly is waited for. */
const PATIENCE_MS = 5000
const REASON = 'the server is restarting; come back with your cursor'

interface DepartureOptions {
  /** Every attached client; who left is not in it any more. */
  readonly connections: ReadonlyMap<string, Connection>
  readonly monotonicMs: () => number
  readonly spreadMs: number
  /** After which whoever is left is cut off. */
  readonly clientsMs: number
}

/** One who was told to leave and has not yet taken what waits for it. */
interface Leaving {
  unsentBytes: number
  sinceMs: number
}

/**
 * Resolves when nobody is left. A client is closed when everything sent has left for it, `disconnect` last, so a
 * slow one may take longer than its turn, and one that takes nothing is cut off: without a close frame then.
 */
export async function dismissAll({ connections, monotonicMs, spreadMs, clientsMs }: DepartureOptions) {
  const startedMs = monotonicMs()
  const leaving = new Map<Connection, Leaving>()
  let clients = 0
  let cut = 0

  /**
   * Asks a client back at a share (0 to 1) of the time from `spreadMs` to twice that: counted from when the drain
   * began, not from its own turn, so that late turns make no crowd later. Before that it would meet us again.
   */
  function dismiss(connection: Connection, share: number): void {
    if (!connection.isOpen) return
    clients += 1
    const retryAfterMs = Math.round(Math.max(0, startedMs + spreadMs * (1 + share) - monotonicMs()))
    const retry = spreadMs > 0 ? { retryAfterMs } : {}
    connection.announceEnd('draining', REASON, retry)
    if (connection.unsentBytes() === 0) return connection.close()
    // Nothing more is added to what it has to take first.
    connection.detach()
    leaving.set(connection, { unsentBytes: connection.unsentBytes(), sinceMs: monotonicMs() })
  }

  function look(): void {
    for (const [connection, last] of leaving) {
      const unsentBytes = connection.unsentBytes()
      if (unsentBytes !== last.unsentBytes) Object.assign(last, { unsentBytes, sinceMs: monotonicMs() })
      const stuck = monotonicMs() - last.sinceMs >= Math.min(STUCK_MS, clientsMs)
      const gone = !connections.has(connection.id)
      if (unsentBytes > 0 && !stuck && !gone) continue
      leaving.delete(connection)
      if (gone) continue
      if (unsentBytes > 0) cut += 1
      connection.close()
    }
  }

  async function until(dueMs: number): Promise<void> {
    for (let left = dueMs - monotonicMs(); left > 0; left = dueMs - monotonicMs()) {
      await new Promise((resolve) => setTimeout(resolve, Math.min(left, LOOK_MS)))
      look()
    }
  }

  const all = [...connections.values()]
  // One part of the time each: the parts are equal, the moment within its part is chance.
  const share = (index: number) => (index + Math.random()) / all.length
  const paceMs = Math.min(spreadMs, clientsMs)
  const owed = new Map<Connection, number>()
  for (const [index, connection] of all.entries()) {
    await until(startedMs + (index / all.length) * paceMs)
    // What it published was accepted: it gets the answer first.
    if (connection.publishes > 0) owed.set(connection, share(index))
    else dismiss(connection, share(index))
  }
  const endMs = Math.min(startedMs + clientsMs, monotonicMs() + PATIENCE_MS)
  const waitWhile = async (busy: () => boolean) => {
    while (busy() && monotonicMs() < endMs) await until(Math.min(endMs, monotonicMs() + LOOK_MS))
  }
  await waitWhile(() => owed.keys().some(({ publishes, isOpen }) => publishes > 0 && isOpen))
  // Also those whose upgrade was under way when the drain began.
  for (const connection of connections.values()) dismiss(connection, owed.get(connection) ?? Math.random())
  await waitWhile(() => leaving.size > 0)
  for (const connection of leaving.keys()) connection.close()
  return { clients, cut: cut + leaving.size }
}
