/** The journal and the writes: numbered without a gap, each write's events there once, whole, and no others. */
import { isDeepStrictEqual } from 'node:util'
import { parseCursor } from '../../../lib/protocol/cursor.ts'
import { catalogue, channels, isEventType } from '../../../lib/protocol/events.ts'
import { isOutside } from './outside.ts'
import type { Expected, History, JournalEvent, Row, WriteRecord } from './record.ts'

/** The journal itself: numbered from 1 without a gap, each event as the catalogue says, each fact once. */
export function checkJournal({ journal }: History): string[] {
  const wrong: string[] = []
  const facts = new Set<string>()
  for (const channel of channels) {
    let last = 0
    for (const event of journal.get(channel) ?? []) {
      if (event.seq !== last + 1) wrong.push(`journal: ${channel} goes from ${last} to ${event.seq}`)
      last = event.seq
      const kind = isEventType(event.type) ? catalogue[event.type] : undefined
      if (!kind || kind.channel !== channel)
        wrong.push(`journal: ${event.type} does not belong to ${channel}`)
      const { type, timestamp: _, channel: __, seq: ___, ...data } = event
      if (kind && !isDeepStrictEqual(kind.data.parse(data), data)) {
        wrong.push(`journal: ${channel}/${event.seq} does not fit its schema`)
      }
      const once = onceKey(type, event)
      if (once !== undefined && facts.has(once)) wrong.push(`journal: ${once} happened twice`)
      if (once !== undefined) facts.add(once)
    }
  }
  return wrong
}

/** What can happen only once in the life of a row. */
function onceKey(type: string, { session_id, photo_id, job_id, attempt }: JournalEvent): string | undefined {
  if (type === 'session_created' || type === 'session_deleted') return `${type} ${String(session_id)}`
  if (type === 'photo_imported') return `${type} ${String(photo_id)}`
  if (type === 'photo_approved' || type === 'photo_rejected') return `decision on photo ${String(photo_id)}`
  if (type === 'job_created') return `${type} ${String(job_id)}`
  if (type === 'job_completed' || type === 'job_failed' || type === 'job_cancelled')
    return `end of job ${String(job_id)}`
  if (type === 'job_started') return `${type} ${String(job_id)} attempt ${String(attempt)}`
  return undefined
}

/** Whether the server samples the machine and warns by itself: nobody asked for that event. */
export function isOwnWarning(event: JournalEvent): boolean {
  return event.type === 'resource_warning' && event['resource_type'] !== 'gpu'
}

/** A derived event follows a change of its value, once per commit, whatever made it. */
function isDerived(event: JournalEvent): boolean {
  if (event.type === 'queue_status' || event.type === 'approval_queue_updated') return true
  return event.type === 'session_updated' && !isOutside(event)
}

/** Every write is in the journal as it was answered, and the journal holds nothing else. */
export function checkWrites({ journal, writes }: History): string[] {
  const all = [...journal.values()].flat()
  const byType = Map.groupBy(all, ({ type }) => type)
  const claimed = new Set<JournalEvent>()
  // Those that have an answer name their events by id; what is left over belongs to those that have none.
  const wrong = [
    ...writes
      .filter(({ outcome }) => outcome === 'acknowledged')
      .flatMap((write) => checkAcknowledged(write, byType, claimed)),
    ...writes
      .filter(({ outcome }) => outcome === 'unanswered')
      .flatMap((write) => checkLost(write, byType, claimed)),
  ]
  for (const event of all) {
    if (claimed.has(event) || isDerived(event) || isOwnWarning(event)) continue
    wrong.push(`phantom: no write made ${event.channel}/${event.seq}, ${event.type}`)
  }
  return wrong
}

type ByType = ReadonlyMap<string, readonly JournalEvent[]>

/** Its events are there once, together, and not after the position it was acknowledged with. */
function checkAcknowledged(
  { what, events, cursor = '' }: WriteRecord,
  byType: ByType,
  claimed: Set<JournalEvent>,
): string[] {
  if (events.length === 0) return []
  const { positions } = parseCursor(cursor)
  const found: JournalEvent[] = []
  const wrong = events.flatMap((expected) => {
    const matching = matches(expected, byType)
    const [first] = matching
    if (!first) return [`lost: ${what} was acknowledged, but no ${expected.type} is in the journal`]
    if (matching.length > 1 && !isDerived(first)) return [`${what}: ${matching.length} ${expected.type}`]
    if (claimed.has(first)) return [`${what}: its ${expected.type} belongs to another write`]
    if (!isDerived(first)) claimed.add(first)
    found.push(first)
    const upto = positions[first.channel] ?? -1
    return first.seq <= upto
      ? []
      : [`${what}: its cursor ends at ${first.channel}=${upto}, its event is ${first.seq}`]
  })
  return [...wrong, ...checkTogether(what, found)]
}

/** Nobody was told whether it happened: it did whole, or not at all. */
function checkLost({ what, events }: WriteRecord, byType: ByType, claimed: Set<JournalEvent>): string[] {
  const found = events.flatMap(
    (expected) => matches(expected, byType).find((event) => !claimed.has(event)) ?? [],
  )
  if (found.length > 0 && found.length < events.length)
    return [`half: of ${what} ${found.length} events of ${events.length} are in the journal`]
  for (const event of found) if (!isDerived(event)) claimed.add(event)
  return checkTogether(what, found)
}

/** One commit has one time. */
function checkTogether(what: string, events: readonly JournalEvent[]): string[] {
  const times = new Set(events.map(({ timestamp }) => timestamp))
  return times.size > 1 ? [`half: the events of ${what} were committed at ${[...times].join(' and ')}`] : []
}

function matches(expected: Expected, byType: ByType): JournalEvent[] {
  return (byType.get(expected.type) ?? []).filter((event) => carries(event, expected))
}

export function carries(row: Row, fields: Row): boolean {
  for (const name in fields) {
    const [own, value] = [row[name], fields[name]]
    if (own !== value && !(typeof own === 'object' && isDeepStrictEqual(own, value))) return false
  }
  return true
}
