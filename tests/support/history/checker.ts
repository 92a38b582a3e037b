/** The history checker: complete, in order, no repeat, no phantom, events equal rows, state rebuilt equals the database. */
import { isDeepStrictEqual } from 'node:util'
import { catalogue, channels, isEventType, type Channel } from '../../../lib/protocol/events.ts'
import { parseCursor, type Positions } from '../../../lib/protocol/cursor.ts'
import type { Message } from '../client.ts'
import { Rebuilt } from './rebuild.ts'
import {
  isJournalEvent,
  type Acknowledged,
  type History,
  type JournalEvent,
  type SubscriberRecord,
} from './record.ts'

/** Reported at most; the first is what matters. */
const VIOLATIONS_MAX = 50

type Row = Readonly<Record<string, unknown>>

/** Everything that the history shows to be wrong, as sentences; empty when it holds. */
export function checkHistory(history: History): string[] {
  const violations = [
    ...history.unexpected,
    ...checkJournal(history),
    ...history.acknowledged.flatMap((acknowledged) => checkAcknowledged(history, acknowledged)),
    ...history.subscribers.flatMap((subscriber) => checkSubscriber(history, subscriber)),
    ...checkReads(history),
    ...checkDatabase(history),
  ]
  return violations.slice(0, VIOLATIONS_MAX)
}

/** The journal itself: numbered from 1 without a gap, each event as the catalogue says, each fact once. */
function checkJournal({ journal }: History): string[] {
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
function onceKey(type: string, event: JournalEvent): string | undefined {
  if (type === 'session_created') return `${type} ${String(event['session_id'])}`
  if (type === 'photo_imported') return `${type} ${String(event['photo_id'])}`
  if (type === 'job_created' || type === 'job_completed') return `${type} ${String(event['job_id'])}`
  if (type === 'job_started') return `${type} ${String(event['job_id'])} attempt ${String(event['attempt'])}`
  return undefined
}

/** An acknowledged change is in the journal, not after the position it was acknowledged with. */
function checkAcknowledged({ journal }: History, { what, events, cursor }: Acknowledged): string[] {
  const { positions } = parseCursor(cursor)
  return events.flatMap((expected) => {
    const { channel } = catalogue[expected.type as keyof typeof catalogue]
    const matching = (journal.get(channel) ?? []).filter((event) => carries(event, expected))
    if (matching.length === 0)
      return [`lost: ${what} was acknowledged, but no ${expected.type} is in the journal`]
    const upto = positions[channel] ?? -1
    if (matching.some(({ seq }) => seq <= upto)) return []
    return [`${what}: its cursor ends at ${channel}=${upto}, its event is ${matching[0]?.seq}`]
  })
}

function carries(event: JournalEvent, fields: Row): boolean {
  return Object.entries(fields).every(([name, value]) => isDeepStrictEqual(event[name], value))
}

/** Each connection continues where the one before ended; together they are the journal. */
function checkSubscriber({ journal }: History, { name, segments }: SubscriberRecord): string[] {
  const wrong: string[] = []
  const positions: Positions = {}
  for (const [index, { since, confirmation, received }] of segments.entries()) {
    const at = `${name}, connection ${index + 1}`
    const confirmed = parseCursor(String(confirmation['cursor'])).positions
    const recovery = confirmation['recovery'] as Record<string, { status: string }>
    for (const channel of channels) {
      const start = confirmed[channel]
      if (start === undefined) continue
      const status = recovery[channel]?.status
      const asked = since === undefined ? undefined : parseCursor(since).positions[channel]
      if (asked !== undefined && status !== 'recovered') wrong.push(`${at}: ${channel} was told ${status}`)
      if (status === 'recovered' && asked !== start)
        wrong.push(`${at}: ${channel} asked ${asked}, begins at ${start}`)
      positions[channel] = start
    }
    for (const message of received) wrong.push(...step(message, positions, journal, at))
  }
  for (const [channel, position] of Object.entries(positions) as [Channel, number][]) {
    const head = journal.get(channel)?.length ?? 0
    if (position !== head) wrong.push(`${name}: ended at ${channel}=${position}, the journal at ${head}`)
  }
  return wrong
}

function step(message: Message, positions: Positions, journal: History['journal'], at: string): string[] {
  if (message.type === 'pong') {
    const claimed = parseCursor(String(message['cursor'])).positions
    return (Object.entries(claimed) as [Channel, number][]).flatMap(([channel, seq]) =>
      seq === positions[channel]
        ? []
        : [`${at}: a pong says ${channel}=${seq}, received was ${positions[channel]}`],
    )
  }
  if (!isJournalEvent(message)) return []
  const { channel, seq } = message
  const position = positions[channel]
  if (position === undefined) return [`${at}: an event of ${channel}, which it does not follow`]
  positions[channel] = Math.max(position, seq)
  if (seq <= position) return [`${at}: ${channel}/${seq} came again after ${position}`]
  if (seq !== position + 1) return [`${at}: ${channel} jumps from ${position} to ${seq}`]
  const stored = journal.get(channel)?.[seq - 1]
  if (!stored) return [`${at}: ${channel}/${seq} is a phantom`]
  return isDeepStrictEqual(stored, message) ? [] : [`${at}: ${channel}/${seq} differs from the journal`]
}

/** What was read with a cursor is the state that the events up to that cursor make. */
function checkReads({ reads, journal }: History): string[] {
  const wrong: string[] = []
  const rebuilt = new Rebuilt()
  const applied: Positions = {}
  const sum = (cursor: string) => Object.values(parseCursor(cursor).positions).reduce((a, b) => a + b, 0)
  for (const { kind, rows, total, cursor } of reads.toSorted((a, b) => sum(a.cursor) - sum(b.cursor))) {
    advance(rebuilt, applied, parseCursor(cursor).positions, journal)
    const expected = kind === 'jobs' ? rebuilt.jobs : rebuilt.sessions
    if (total !== expected.size)
      wrong.push(`read of ${total} ${kind} at ${cursor}: the events make ${expected.size}`)
    for (const row of rows)
      wrong.push(...compare(kind, row, expected.get(row['id'] as never), `read at ${cursor}`))
  }
  return wrong
}

function advance(rebuilt: Rebuilt, applied: Positions, upto: Positions, journal: History['journal']): void {
  for (const channel of ['sessions', 'photos', 'jobs', 'queue', 'approval', 'export', 'system'] as const) {
    const from = applied[channel] ?? 0
    const to = upto[channel] ?? 0
    for (const event of (journal.get(channel) ?? []).slice(from, Math.max(from, to))) rebuilt.apply(event)
    applied[channel] = Math.max(from, to)
  }
}

/** At the end: rows equal what the events make, and the derived values equal both. */
function checkDatabase({ journal, database }: History): string[] {
  const rebuilt = new Rebuilt()
  const heads = Object.fromEntries(channels.map((channel) => [channel, journal.get(channel)?.length ?? 0]))
  advance(rebuilt, {}, heads, journal)
  const wrong: string[] = []
  for (const kind of ['jobs', 'sessions'] as const) {
    const expected = rebuilt[kind] as ReadonlyMap<unknown, object>
    const rows = database[kind]
    if (rows.length !== expected.size)
      wrong.push(`database: ${rows.length} ${kind}, the events make ${expected.size}`)
    for (const row of rows) wrong.push(...compare(kind, row, expected.get(row['id']), 'database'))
  }
  if (database.photos.length !== rebuilt.photos.size) {
    wrong.push(`database: ${database.photos.length} photos, the events make ${rebuilt.photos.size}`)
  }
  for (const { id, file_path, session_id, status } of database.photos) {
    const imported = rebuilt.photos.get(id)
    if (imported?.['file_path'] !== file_path || imported?.['session_id'] !== session_id) {
      wrong.push(`database: photo ${String(id)} differs from its event`)
    }
    const byJobs = rebuilt.jobPhotos.get(id)
    if (byJobs !== undefined && byJobs !== status) {
      wrong.push(`database: photo ${String(id)} is ${String(status)}, its jobs made it ${byJobs}`)
    }
  }
  return [...wrong, ...checkDerived(rebuilt)]
}

function checkDerived(rebuilt: Rebuilt): string[] {
  const wrong: string[] = []
  const { queue, approval } = rebuilt
  if (queue && !carries(queue, rebuilt.counts())) {
    wrong.push(`queue_status ${JSON.stringify(queue)} is not ${JSON.stringify(rebuilt.counts())}`)
  }
  if (approval && approval['queue_count'] !== rebuilt.awaitingApproval()) {
    wrong.push(
      `approval_queue_updated says ${String(approval['queue_count'])}, not ${rebuilt.awaitingApproval()}`,
    )
  }
  return wrong
}

function compare(kind: string, row: Row, expected: object | undefined, where: string): string[] {
  if (!expected) return [`${where}: no event made ${kind} ${String(row['id'])}`]
  return Object.entries(expected).flatMap(([name, value]) =>
    isDeepStrictEqual(row[name], value)
      ? []
      : [
          `${where}: ${kind} ${String(row['id'])} has ${name} ${JSON.stringify(row[name])}, events say ${JSON.stringify(value)}`,
        ],
  )
}
