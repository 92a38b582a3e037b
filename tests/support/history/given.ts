/** What a batch holds of what was meant for it: all of it, or every fact and of each state the newest. */
import type { JournalEvent } from './record.ts'
import { stateKeyOf } from './where.ts'

/** PROTOCOL §4. */
const BATCH_BYTES_MAX = 16_384

export function checkWhole(meant: readonly JournalEvent[], given: ReadonlySet<number>): string[] {
  const first = meant.find(({ seq }) => !given.has(seq))
  return first ? [`${first.channel}/${first.seq} is missing from a batch`] : []
}

/**
 * A long window is cut into several batches: what was superseded there by an event of a later one is owed until that
 * comes. @param events what was meant for it, and what else there was that could stand for it
 * @param owed by state key the event that was left out
 */
export function checkConflated(
  events: readonly JournalEvent[],
  meant: ReadonlySet<JournalEvent>,
  given: ReadonlySet<number>,
  owed: Map<string, number>,
): { wrong: string[]; conflated: number } {
  const wrong: string[] = []
  const keys = new Set<string>()
  let conflated = 0
  for (const event of events) {
    const key = stateKeyOf(event)
    const name = `${event.channel}/${event.seq}`
    if (key === undefined) {
      if (!given.has(event.seq)) wrong.push(`the fact ${name} is missing from a conflated batch`)
    } else if (given.has(event.seq)) {
      if (keys.has(key)) wrong.push(`${name} supersedes another event of its batch`)
      keys.add(key)
      owed.delete(key)
    } else if (!meant.has(event)) {
      owed.delete(key)
    } else {
      conflated += 1
      owed.set(key, event.seq)
    }
  }
  return { wrong, conflated }
}

/** A single event may be as large as it is. */
export function isTooLarge(events: readonly JournalEvent[]): boolean {
  const bytes = events.reduce((sum, event) => sum + Buffer.byteLength(JSON.stringify(event)), 0)
  return events.length > 1 && bytes > BATCH_BYTES_MAX
}
