/** Pages that were pulled: exactly the events between two cursors that pass the filter, and no position beyond them. */
import { parseCursor, type Positions } from '../../../lib/protocol/cursor.ts'
import { channels as allChannels, type Channel } from '../../../lib/protocol/events.ts'
import { checkPulledPage } from './check-rights.ts'
import { Followed } from './followed.ts'
import type { History, JournalEvent, PullRecord } from './record.ts'

export function checkPulls(history: History): string[] {
  const { pulls, journal } = history
  const wrong: string[] = []
  const last = new Map<string, PullRecord>()
  const reached = new Map<string, Positions>()
  for (const page of pulls) {
    const { name, cursor, since } = page
    const before = reached.get(name) ?? {}
    const faults = [
      ...checkPage(page, journal),
      ...checkPulledPage(history, page),
      ...checkChain(before, page),
    ]
    wrong.push(...faults.map((fault) => `${name}, since ${since}: ${fault}`))
    reached.set(name, { ...before, ...parseCursor(cursor).positions })
    last.set(name, page)
  }
  for (const page of last.values()) {
    const followed = follow({ ...page, since: page.cursor, events: [] }, journal)
    wrong.push(...followed.end().map((fault) => `${page.name}: ${fault}`))
  }
  return wrong
}

function checkPage(page: PullRecord, journal: History['journal']): string[] {
  const { channels, cursor, events, limit, more } = page
  const followed = follow(page, journal)
  const wrong = events.flatMap((event) => followed.event(event))
  wrong.push(...followed.claim(cursor, 'its cursor'))
  if (events.length > limit) wrong.push(`${events.length} events, ${limit} were asked for`)
  const { positions } = parseCursor(cursor)
  const rest = channels.some((channel) => (positions[channel] ?? 0) < (journal.get(channel)?.length ?? 0))
  if (more && !rest) wrong.push('there is said to be more')
  if (more && events.length === 0) wrong.push('an empty page of few events')
  return wrong
}

/** Each page is asked for with the cursors of those before. */
function checkChain(before: Positions, { since }: PullRecord): string[] {
  const { positions } = parseCursor(since ?? 'none:')
  const broken = allChannels.find(
    (channel) => before[channel] !== undefined && before[channel] !== positions[channel],
  )
  return broken ? [`the page before ended at ${broken}=${before[broken]}`] : []
}

function follow({ channels, cursor, events, right, since, where }: PullRecord, journal: History['journal']) {
  const followed = new Followed(journal)
  const positions: Positions = since === undefined ? {} : parseCursor(since).positions
  for (const channel of channels) {
    const start = positions[channel] ?? (since === undefined ? 0 : firstOf(channel, events, cursor))
    const about = { options: where ? { where } : {}, batches: false, right, polled: false }
    followed.begin(channel, { ...about, start, asked: start, status: 'recovered' })
  }
  return followed
}

/** A channel that the cursor left out, for no pass before opened it, began when it was asked for: nobody knows where. */
function firstOf(channel: Channel, events: readonly JournalEvent[], cursor: string): number {
  const first = events.find((event) => event.channel === channel)
  return first ? first.seq - 1 : (parseCursor(cursor).positions[channel] ?? 0)
}
