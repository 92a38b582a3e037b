/** What is left at the end of a run: every list as REST gives it, and the journal as it lies in the file. */
import { Database } from 'bun:sqlite'
import { join } from 'node:path'
import { eventJson, type Channel, type StoredEvent } from '../../../lib/protocol/events.ts'
import { createApi } from '../api.ts'
import type { JournalEvent, ReadRecord, Row } from './record.ts'

/** Largest page that a list gives. */
const PAGE = 500

/** All rows, page by page, and the counts beside them. */
export async function readDatabase(url: string, token: string): Promise<ReadRecord[]> {
  const api = createApi(() => url, token)
  const all = async (kind: ReadRecord['kind'], path: string, plural: string): Promise<ReadRecord> => {
    const rows: Row[] = []
    for (;;) {
      const address = `${path}?limit=${PAGE}&offset=${rows.length}`
      const { body, cursor } = await api<{ total: number } & Record<string, never[]>>('GET', address)
      const page = body[plural] ?? []
      rows.push(...page)
      if (page.length < PAGE) return { kind, rows, total: body.total, cursor: cursor ?? '' }
    }
  }
  const sessions = await all('sessions', '/api/sessions', 'sessions')
  const details = await Promise.all(
    sessions.rows.map(({ id }) => api<Row>('GET', `/api/sessions/${String(id)}`)),
  )
  const { body: queue, cursor } = await api<Row>('GET', '/api/queue')
  return [
    sessions,
    { kind: 'photo_counts', rows: details.map(({ body }) => body), cursor: cursor ?? '' },
    await all('photos', '/api/photos', 'photos'),
    await all('jobs', '/api/jobs', 'jobs'),
    await all('exports', '/api/exports', 'exports'),
    await all('approval', '/api/approval/queue', 'photos'),
    { kind: 'queue', rows: [queue], cursor: cursor ?? '' },
  ]
}

/** The stored events, read from the file itself. */
export function readJournal(folder: string): ReadonlyMap<Channel, readonly JournalEvent[]> {
  using file = new Database(join(folder, 'lightwire.db'))
  const rows = file
    .query<StoredEvent, []>('select channel, seq, type, timestamp, data from events order by channel, seq')
    .all()
  const events = rows.map((row) => JSON.parse(eventJson(row)) as JournalEvent)
  return Map.groupBy(events, ({ channel }) => channel)
}
