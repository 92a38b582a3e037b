/** The shoots, by number: read once, then moved by their own events. */
import type { LightwireEvent } from '../../../typescript/src/events.ts'
import { bound, isAfter, nowhere, type Places } from './slice.ts'

const SESSIONS_MAX = 500

export interface SessionRow {
  readonly id: number
  readonly name: string
  readonly status: string
  readonly total_photos: number
  readonly processed_photos: number
  readonly progress_percent: number
  readonly updated_at: string
}

export function createSessions() {
  const rows = new Map<number, SessionRow>()
  let at = nowhere

  /** Last touched is last in the map, so that the bound takes those that nobody works on. */
  const put = (row: SessionRow) => {
    rows.delete(row.id)
    rows.set(row.id, row)
    bound(rows, SESSIONS_MAX)
  }
  return {
    reset(read: readonly SessionRow[], places: Places) {
      rows.clear()
      at = places
      for (const row of read.toReversed()) rows.set(row.id, row)
    },
    /** Whether it changed anything. */
    apply(event: LightwireEvent): boolean {
      if (event.channel !== 'sessions' || !isAfter(at, event)) return false
      const { session_id: id, session_name: name, timestamp } = event
      const before = rows.get(id)
      if (event.type === 'session_deleted') return rows.delete(id)
      const row = before ?? {
        id,
        status: 'importing',
        total_photos: 0,
        processed_photos: 0,
        progress_percent: 0,
      }
      if (event.type === 'session_updated') {
        const { status, total_photos, processed_photos, progress_percent } = event
        put({ id, name, status, total_photos, processed_photos, progress_percent, updated_at: timestamp })
      } else if (event.type === 'session_completed') {
        put({ ...row, name, status: 'completed', total_photos: event.total_photos, updated_at: timestamp })
      } else put({ ...row, name, updated_at: timestamp })
      return true
    },
    get: (id: number) => rows.get(id),
    /** Those under way first, of equals the last touched. */
    list(): SessionRow[] {
      const all = [...rows.values()].reverse()
      return [
        ...all.filter((row) => row.status !== 'completed'),
        ...all.filter((row) => row.status === 'completed'),
      ]
    },
  }
}
