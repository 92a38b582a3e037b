/** The events of derived values: one per key and commit, after the writes that changed them. */
import type { Write } from '../store/write.ts'
import { approvalCount, queueState } from './counters.ts'
import { sessionState } from './sessions.ts'

/** Emits `session_updated`, `queue_status` and `approval_queue_updated` for what the group touched. */
export async function emitDerived(write: Write, touched: ReadonlySet<string>): Promise<void> {
  for (const id of idsOf('session:', touched)) {
    const data = await sessionState(write.queries, Number(id))
    if (data) write.emit({ type: 'session_updated', data })
  }
  if (touched.has('queue')) write.emit({ type: 'queue_status', data: await queueState(write.queries) })
  const changers = idsOf('approval:', touched)
  if (changers.length > 0) {
    const [only] = changers
    const queue_count = await approvalCount(write.queries)
    // One event per commit: it names the session only when a single one changed the queue.
    const named = changers.length === 1 && only ? { session_id: Number(only) } : {}
    write.emit({ type: 'approval_queue_updated', data: { queue_count, ...named } })
  }
}

function idsOf(prefix: string, touched: ReadonlySet<string>): string[] {
  return [...touched].flatMap((key) => (key.startsWith(prefix) ? [key.slice(prefix.length)] : []))
}
