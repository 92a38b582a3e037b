/** The state: what was read with a cursor, in the run and at its end, is what the events up to that cursor make. */
import { isDeepStrictEqual } from 'node:util'
import { parseCursor } from '../../../lib/protocol/cursor.ts'
import { channels } from '../../../lib/protocol/events.ts'
import { carries } from './check-journal.ts'
import type { RebuiltPhoto } from './rebuild-photos.ts'
import { Rebuilt } from './rebuild.ts'
import type { History, ReadRecord, Row } from './record.ts'

/** Whoever was told a position is never told an earlier one. */
export function checkCursors({ cursors }: History): string[] {
  const wrong: string[] = []
  const seen = new Map<string, string>()
  for (const { writer, what, cursor } of cursors) {
    const before = parseCursor(seen.get(writer) ?? cursor).positions
    const after = parseCursor(cursor).positions
    const back = channels.find((channel) => (after[channel] ?? 0) < (before[channel] ?? 0))
    if (back) wrong.push(`${writer}: ${what} answers ${back}=${after[back]} after ${before[back]}`)
    seen.set(writer, cursor)
  }
  return wrong
}

/** Every position that was told: the derived values there, and what was read there. */
export function checkReads({ reads, cursors, journal, overridden }: History): string[] {
  const wrong: string[] = []
  const rebuilt = new Rebuilt(journal)
  const readAt = Map.groupBy(reads, ({ cursor }) => cursor)
  const told = [...new Set([...cursors.map(({ cursor }) => cursor), ...readAt.keys()])]
  for (const cursor of told.toSorted((a, b) => depthOf(a) - depthOf(b))) {
    rebuilt.advance(cursor)
    wrong.push(...checkDerived(rebuilt, overridden).map((fault) => `${fault}, at ${cursor}`))
    for (const read of readAt.get(cursor) ?? []) wrong.push(...checkRead(rebuilt, read, 'read'))
  }
  return wrong
}

/** At the end: rows equal what the events make, and the derived values equal both. */
export function checkDatabase({ journal, database, overridden }: History): string[] {
  const rebuilt = new Rebuilt(journal)
  rebuilt.advance(
    `e:${channels.map((channel) => `${channel}=${journal.get(channel)?.length ?? 0}`).join(',')}`,
  )
  return [
    ...rebuilt.wrong,
    ...database.flatMap((read) => checkRead(rebuilt, read, 'database')),
    ...checkDerived(rebuilt, overridden),
  ]
}

/** Commits only add events: of two positions the later one has more of them. */
function depthOf(cursor: string): number {
  return Object.values(parseCursor(cursor).positions).reduce((sum, seq) => sum + seq, 0)
}

/** The values that Lightwire derives follow every change of the rows, with the same commit. */
function checkDerived(rebuilt: Rebuilt, overridden: ReadonlySet<unknown>): string[] {
  const wrong: string[] = []
  const { queue, approval, photos, sessions } = rebuilt
  const counts = rebuilt.counts()
  if (queue ? !carries(queue, counts) : counts['total'] !== 0)
    wrong.push(`queue_status ${JSON.stringify(queue)} is not ${JSON.stringify(counts)}`)
  const perSession = new Map<unknown, { total_photos: number; processed_photos: number }>()
  let awaiting = 0
  for (const { session_id, status } of photos.rows.values()) {
    const sums = perSession.get(session_id) ?? { total_photos: 0, processed_photos: 0 }
    perSession.set(session_id, sums)
    sums.total_photos += 1
    if (status === 'completed') awaiting += 1
    if (['completed', 'approved', 'rejected'].includes(status)) sums.processed_photos += 1
  }
  if ((approval?.['queue_count'] ?? 0) !== awaiting)
    wrong.push(`approval_queue_updated says ${String(approval?.['queue_count'])}, not ${awaiting}`)
  for (const [id, session] of sessions) {
    if (overridden.has(id)) continue
    const sums = perSession.get(id) ?? { total_photos: 0, processed_photos: 0 }
    const { total_photos: total, processed_photos: processed } = sums
    const progress_percent = total === 0 ? 0 : Math.round((processed / total) * 10_000) / 100
    if (!carries({ ...session }, { ...sums, progress_percent }))
      wrong.push(`session_updated ${JSON.stringify(session)} is not ${JSON.stringify(sums)}`)
  }
  return wrong
}

function checkRead(rebuilt: Rebuilt, read: ReadRecord, by: string): string[] {
  const { kind, rows, total, cursor, filter = {}, seen } = read
  const where = `${by} at ${cursor}`
  const size = (expected: number) =>
    total === undefined || total === expected
      ? []
      : [`${by} of ${total} ${kind} ${JSON.stringify(filter)} at ${cursor}: the events make ${expected}`]
  if (kind === 'queue') return rows.flatMap((row) => differences(row, rebuilt.counts(), where, kind))
  if (kind === 'photo_counts') {
    return rows.flatMap((row) =>
      differences(
        row,
        { photo_counts: rebuilt.photos.countsOf(row['id']) },
        where,
        `session ${String(row['id'])}`,
      ),
    )
  }
  if (kind === 'exports') {
    const surplus = rebuilt.exports.surplus(rows).map((row) => `${where}: no events made the export ${row}`)
    return [...size(rebuilt.exports.countOf(filter['status'])), ...surplus]
  }
  if (kind === 'approval') {
    const queue = rebuilt.photos.awaiting().filter((photo) => carries({ ...photo }, filter))
    return [...size(queue.length), ...checkOrder(rows, queue, where)]
  }
  const expected: ReadonlyMap<unknown, object> = kind === 'photos' ? rebuilt.photos.rows : rebuilt[kind]
  const isSeen = (row: Row) => seen?.has(kind === 'sessions' ? row['id'] : row['session_id']) ?? true
  const meant = [...expected.values()].filter((row) => carries({ ...row }, filter) && isSeen({ ...row }))
  return [
    ...size(meant.length),
    ...rows.flatMap((row) => {
      const own = expected.get(row['id'])
      const name = `${kind} ${String(row['id'])}`
      if (!isSeen(row)) return [`${where}: ${name} is outside what its reader may see`]
      return own ? differences(row, { ...own }, where, name) : [`${where}: no event made ${name}`]
    }),
  ]
}

/** Best first, each once; equally good ones in any order. */
function checkOrder(rows: readonly Row[], queue: readonly RebuiltPhoto[], where: string): string[] {
  const byId = new Map(queue.map((photo) => [photo.id, photo]))
  return rows.flatMap((row, index) => {
    const name = `approval ${String(row['id'])}`
    const own = byId.get(row['id'])
    if (!own) return [`${where}: ${name} does not wait, or is listed twice`]
    byId.delete(row['id'])
    const best = { ai_score: queue[index]?.ai_score }
    return [...differences(row, { ...own }, where, name), ...differences(row, best, where, `place ${index}`)]
  })
}

function differences(row: Row, expected: Row, where: string, name: string): string[] {
  return Object.entries(expected).flatMap(([field, value]) =>
    isDeepStrictEqual(row[field], value)
      ? []
      : [`${where}: ${name} has ${field} ${JSON.stringify(row[field])}, events say ${JSON.stringify(value)}`],
  )
}
