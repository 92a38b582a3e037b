/** The history checker: complete, in order, no repeat, no phantom, events equal rows, state rebuilt equals the database. */
import { checkJournal, checkWrites } from './check-journal.ts'
import { checkCursors, checkDatabase, checkReads } from './check-state.ts'
import { checkSubscriber, checkWords } from './check-subscribers.ts'
import type { History } from './record.ts'

/** Reported at most of each kind; the first is what matters. */
const VIOLATIONS_MAX = 10

/** Everything that the history shows to be wrong, as sentences; empty when it holds. */
export function checkHistory(history: History): string[] {
  const kinds = [
    history.unexpected,
    checkJournal(history),
    checkWrites(history),
    history.subscribers.flatMap((subscriber) => checkSubscriber(history, subscriber)),
    checkWords(history),
    checkCursors(history),
    checkReads(history),
    checkDatabase(history),
  ]
  return kinds.flatMap((violations) => violations.slice(0, VIOLATIONS_MAX))
}
