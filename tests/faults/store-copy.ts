/** What a data folder holds, read from a copy by plain SQLite, and whether all of it agrees with itself. */
import { Database } from 'bun:sqlite'
import { copyFileSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryFolder } from '../support/server.ts'

export interface StoreEvent {
  readonly channel: string
  readonly seq: number
  readonly type: string
  readonly timestamp: string
  readonly data: Record<string, unknown>
}

export interface StoreCopy {
  readonly events: readonly StoreEvent[]
  readonly heads: Readonly<Record<string, number>>
  readonly epochs: readonly string[]
  readonly sessions: readonly { id: number; total_photos: number }[]
  readonly photos: readonly { id: number; session_id: number | null; file_path: string }[]
  readonly jobs: readonly { id: string; status: string }[]
  readonly counters: Readonly<Record<string, number>>
  /** The answer of SQLite's own check. */
  readonly integrity: string
}

/** The folder itself stays as it is: opening a database writes beside it. */
export function readStore(folder: string): StoreCopy {
  using copy = temporaryFolder()
  for (const name of ['lightwire.db', 'lightwire.db-wal']) {
    if (existsSync(join(folder, name))) copyFileSync(join(folder, name), join(copy.path, name))
  }
  using file = new Database(join(copy.path, 'lightwire.db'))
  const all = <T>(text: string) => file.query<T, []>(text).all()
  const events = all<Omit<StoreEvent, 'data'> & { data: string }>(
    'select channel, seq, type, timestamp, data from events order by channel, seq',
  )
  const heads = all<{ channel: string; seq: number }>('select channel, seq from heads')
  const counters = all<{ name: string; value: number }>('select * from counters')
  return {
    events: events.map((event) => ({ ...event, data: JSON.parse(event.data) as Record<string, unknown> })),
    heads: Object.fromEntries(heads.map(({ channel, seq }) => [channel, seq])),
    epochs: all<{ epoch: string }>('select epoch from epochs order by ordinal').map(({ epoch }) => epoch),
    sessions: all('select id, total_photos from sessions'),
    photos: all('select id, session_id, file_path from photos'),
    jobs: all('select id, status from jobs'),
    counters: Object.fromEntries(counters.map(({ name, value }) => [name, value])),
    integrity: all<{ integrity_check: string }>('pragma integrity_check')[0]?.integrity_check ?? 'no answer',
  }
}

/** Every disagreement inside a store, as a sentence; none when rows, events, counts and imports fit. */
export function disagreements(store: StoreCopy): string[] {
  return [
    ...(store.integrity === 'ok' ? [] : [`integrity_check: ${store.integrity}`]),
    ...numbering(store),
    ...pairing('photo', store, 'photo_imported', 'photo_id', store.photos),
    ...pairing('job', store, 'job_created', 'job_id', store.jobs),
    ...pairing('session', store, 'session_created', 'session_id', store.sessions),
    ...totals(store),
    ...partialImports(store),
  ]
}

/** Per channel 1, 2, 3 … up to the head. */
function numbering({ events, heads }: StoreCopy): string[] {
  const last = new Map<string, number>()
  const gaps = events.flatMap(({ channel, seq }) => {
    const before = last.get(channel) ?? 0
    last.set(channel, seq)
    return seq === before + 1 ? [] : [`${channel} goes from ${before} to ${seq}`]
  })
  const wrongHeads = Object.entries(heads).flatMap(([channel, head]) =>
    head === (last.get(channel) ?? 0)
      ? []
      : [`head of ${channel} is ${head}, its last event ${last.get(channel)}`],
  )
  return [...gaps, ...wrongHeads]
}

/** A row has exactly one event that tells of it, and no event tells of a row that is not there. */
function pairing(
  kind: string,
  { events }: StoreCopy,
  type: string,
  field: string,
  rows: readonly { id: number | string }[],
): string[] {
  const told = events.flatMap((event) => (event.type === type ? [event.data[field]] : []))
  const once = new Set(told)
  const ids = new Set<unknown>(rows.map(({ id }) => id))
  return [
    ...(once.size === told.length ? [] : [`a ${kind} has two events ${type}`]),
    ...[...ids].flatMap((id) => (once.has(id) ? [] : [`${kind} ${String(id)} has no event ${type}`])),
    ...[...once].flatMap((id) =>
      ids.has(id) ? [] : [`${kind} ${String(id)} has an event ${type} and no row`],
    ),
  ]
}

/** Kept counts equal the rows, and the newest state events say the same. */
function totals({ events, sessions, photos, jobs, counters }: StoreCopy): string[] {
  const photosOf = Map.groupBy(photos, ({ session_id }) => session_id)
  const toldTotals = new Map(
    events.flatMap(({ type, data }) =>
      type === 'session_updated' ? [[data['session_id'], data['total_photos']]] : [],
    ),
  )
  const ofSessions = sessions.flatMap(({ id, total_photos }) => {
    const rows = photosOf.get(id)?.length ?? 0
    const told = toldTotals.get(id) ?? 0
    return total_photos === rows && told === rows
      ? []
      : [`session ${id} counts ${total_photos}, tells ${String(told)} and has ${rows} photos`]
  })
  const pending = jobs.filter(({ status }) => status === 'pending').length
  const told = events.findLast(({ type }) => type === 'queue_status')?.data['pending'] ?? 0
  const kept = counters['jobs.pending'] ?? 0
  const ofQueue =
    kept === pending && told === pending
      ? []
      : [`the queue counts ${kept}, tells ${String(told)} and has ${pending} pending jobs`]
  return [...ofSessions, ...ofQueue]
}

/** Paths of `writers.ts` say how many photos came with them: all are there, or none. */
function partialImports({ photos }: StoreCopy): string[] {
  const imports = Map.groupBy(photos, ({ file_path }) => file_path.split('/').slice(0, 4).join('/'))
  return [...imports].flatMap(([path, rows]) => {
    const size = Number(path.split('/')[3] ?? 1)
    return rows.length === size ? [] : [`of import ${path} there are ${rows.length}`]
  })
}
