/** The history checker: complete, in order, no repeat, no phantom, events equal rows, state rebuilt equals the database. */
import { checkJournal, checkWrites } from './check-journal.ts'
import { checkWords } from './check-operators.ts'
import { checkPulls } from './check-pulls.ts'
import { checkShown } from './check-rights.ts'
import { checkCursors, checkDatabase, checkReads } from './check-state.ts'
import { checkSubscriber, type Tally } from './check-subscribers.ts'
import type { History } from './record.ts'

/** Reported at most of each kind; the first is what matters. */
const VIOLATIONS_MAX = 10

/** Everything that the history shows to be wrong, as sentences; empty when it holds. */
export function checkHistory(history: History): Tally & { readonly violations: string[] } {
  const tally: Tally = { conflated: 0, lostInTransit: 0 }
  const kinds = [
    history.unexpected,
    checkJournal(history),
    checkWrites(history),
    history.subscribers.flatMap((subscriber) => checkSubscriber(history, subscriber, tally)),
    checkPulls(history),
    checkShown(history),
    checkWords(history),
    checkCursors(history),
    checkReads(history),
    checkDatabase(history),
  ]
  return { violations: kinds.flatMap((violations) => violations.slice(0, VIOLATIONS_MAX)), ...tally }
}
