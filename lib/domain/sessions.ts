/** Sessions: a shoot, imported from a folder, with kept counts of its photos. */
import * as z from 'zod'
import { timestamp } from '../protocol/server-messages.ts'
import { Refusal } from '../protocol/refusals.ts'
import type { Queries, SessionRow } from '../store/schema.ts'
import type { Write } from '../store/write.ts'
import { countAllPhotos, countExports, countJobs, countScores, type Changes } from './counters.ts'
import { pageQuery, readPage } from './paging.ts'
import type { PhotoStatus } from './photo-status.ts'
import { flagParam, found, oneRequired, rowId, text } from './values.ts'

export const sessionStatuses = [
  'importing',
  'processing',
  'selecting',
  'developing',
  'exporting',
  'completed',
] as const

const name = text(200).min(1)
const count = z.int().min(0).max(1_000_000_000)

export const sessionSchema = z
  .object({
    id: rowId,
    name,
    import_folder: z.string(),
    status: z.enum(sessionStatuses),
    total_photos: count,
    processed_photos: count,
    progress_percent: z.number(),
    created_at: timestamp,
    updated_at: timestamp,
  })
  .meta({ id: 'Session' })

export const sessionDetailSchema = sessionSchema
  .extend({ photo_counts: z.record(z.string(), count).meta({ description: 'photos by status' }) })
  .meta({ id: 'SessionDetail' })

export const sessionInput = z.object({ name, import_folder: text(4096).min(1) }).meta({ id: 'SessionInput' })

export const sessionPatch = z
  .object({
    name: name.optional(),
    status: z.enum(sessionStatuses).optional(),
    total_photos: count.nullish().meta({ description: 'sticks until null' }),
    processed_photos: count.nullish().meta({ description: 'sticks until null' }),
  })
  .refine((patch) => Object.values(patch).some((value) => value !== undefined), 'expected at least one field')
  .meta({
    id: 'SessionPatch',
    description: 'at least one of the fields',
    anyOf: oneRequired(['name', 'status', 'total_photos', 'processed_photos']),
  })

export const sessionQuery = z.strictObject({
  ...pageQuery(['id', 'name', 'status', 'progress_percent', 'created_at', 'updated_at']),
  status: z.enum(sessionStatuses).optional(),
  active_only: flagParam.optional(),
})

export type Session = z.output<typeof sessionSchema>

type PhotoCounts = Partial<Record<PhotoStatus, number>>

/** @param seen only these sessions, where it is given */
export async function listSessions(
  queries: Queries,
  query: z.output<typeof sessionQuery>,
  seen?: ReadonlySet<number>,
) {
  let rows = queries.selectFrom('sessions').selectAll()
  if (seen) rows = rows.where('id', 'in', [...seen])
  if (query.status) rows = rows.where('status', '=', query.status)
  if (query.active_only) rows = rows.where('status', '!=', 'completed')
  const { rows: sessions, ...page } = await readPage(rows, query, { tieBreak: 'id' })
  return { sessions: sessions.map(toSession), count: sessions.length, ...page }
}

/** @param seen only of these, where it is given. @throws {Refusal} `not_found` */
export async function getSession(queries: Queries, id: number, seen?: ReadonlySet<number>) {
  const row = found(seen?.has(id) === false ? undefined : await readRow(queries, id), `session ${id}`)
  return { ...toSession(row), photo_counts: parseCounts(row) }
}

/** @throws {Refusal} `conflict` on a taken name */
export async function createSession(write: Write, input: z.output<typeof sessionInput>): Promise<Session> {
  const { queries, now } = write
  await refuseTakenName(queries, input.name)
  const row = await queries
    .insertInto('sessions')
    .values({
      ...input,
      status: 'importing',
      total_photos: 0,
      processed_photos: 0,
      progress_percent: 0,
      photo_counts: '{}',
      total_override: null,
      processed_override: null,
      created_at: now,
      updated_at: now,
    })
    .returningAll()
    .executeTakeFirstOrThrow()
  const data = { session_id: row.id, session_name: row.name, import_folder: row.import_folder }
  write.emit({ type: 'session_created', data })
  return toSession(row)
}

/** @throws {Refusal} `not_found`, or `conflict` on a taken name */
export async function patchSession(
  write: Write,
  id: number,
  patch: z.output<typeof sessionPatch>,
): Promise<Session> {
  const { queries } = write
  const before = await readRow(queries, id)
  if (patch.name !== undefined && patch.name !== before.name) await refuseTakenName(queries, patch.name)
  const after = await store(write, before, {
    ...before,
    name: patch.name ?? before.name,
    status: patch.status ?? before.status,
    total_override: patch.total_photos === undefined ? before.total_override : patch.total_photos,
    processed_override:
      patch.processed_photos === undefined ? before.processed_override : patch.processed_photos,
  })
  if (after.status === 'completed' && before.status !== 'completed') {
    const approved = parseCounts(after).approved ?? 0
    const total = after.total_photos
    write.emit({
      type: 'session_completed',
      data: {
        session_id: id,
        session_name: after.name,
        total_photos: total,
        approved_photos: approved,
        approval_rate: percentOf(approved, total),
      },
    })
  }
  return toSession(after)
}

/** Removes a session with its photos, jobs and exports. @throws {Refusal} `conflict` while a job of it is processing */
export async function deleteSession(write: Write, id: number): Promise<Session> {
  const { queries } = write
  const row = await readRow(queries, id)
  const ofSession = queries.selectFrom('photos').select('id').where('session_id', '=', id)
  const jobs = await queries
    .selectFrom('jobs')
    .select(['status', ({ fn }) => fn.countAll<number>().as('count')])
    .where('photo_id', 'in', ofSession)
    .groupBy('status')
    .execute()
  if (jobs.some(({ status }) => status === 'processing')) {
    throw new Refusal('conflict', `a job of session ${id} is processing`, { currentStatus: row.status })
  }
  const scores = await queries
    .selectFrom('photos')
    .select(['ai_score', ({ fn }) => fn.countAll<number>().as('count')])
    .where('session_id', '=', id)
    .groupBy('ai_score')
    .execute()
  const exports = await queries
    .selectFrom('exports')
    .select(['status', ({ fn }) => fn.countAll<number>().as('count')])
    .where('photo_id', 'in', ofSession)
    .groupBy('status')
    .execute()
  await queries.deleteFrom('exports').where('photo_id', 'in', ofSession).execute()
  await queries.deleteFrom('jobs').where('photo_id', 'in', ofSession).execute()
  await queries.deleteFrom('photos').where('session_id', '=', id).execute()
  await queries.deleteFrom('sessions').where('id', '=', id).execute()
  write.emit({ type: 'session_deleted', data: { session_id: id, session_name: row.name } })
  await countJobs(write, negated(jobs.map(({ status, count: gone }) => [status, Number(gone)])))
  await countExports(write, negated(exports.map(({ status, count: gone }) => [status, Number(gone)])))
  await countScores(
    write,
    scores.map(({ ai_score, count: gone }) => [ai_score, -Number(gone)]),
  )
  await countAllPhotos(write, id, negated(Object.entries(parseCounts(row))))
  return toSession(row)
}

function negated(counts: readonly (readonly [string, number])[]): Record<string, number> {
  return Object.fromEntries(counts.map(([status, value]) => [status, -value]))
}

/** Keeps every count that depends on the status of photos; `id` is their session, if they have one. */
export async function countPhotos(
  write: Write,
  id: number | null,
  changes: Changes<PhotoStatus>,
): Promise<void> {
  await countAllPhotos(write, id, changes)
  if (id === null) return
  const row = await readRow(write.queries, id)
  const counts: Record<string, number> = parseCounts(row)
  for (const [status, by] of Object.entries(changes)) counts[status] = (counts[status] ?? 0) + by
  const kept = Object.fromEntries(Object.entries(counts).filter(([, value]) => value !== 0))
  await store(write, row, { ...row, photo_counts: JSON.stringify(kept) })
}

/** Photos of a session in one status or in any, as kept; 0 where there is no such session. */
export async function countOfSession(
  queries: Queries,
  id: number,
  status: PhotoStatus | undefined,
): Promise<number> {
  const row = await queries
    .selectFrom('sessions')
    .select('photo_counts')
    .where('id', '=', id)
    .executeTakeFirst()
  const counts = row ? parseCounts(row) : {}
  if (status !== undefined) return counts[status] ?? 0
  return Object.values(counts).reduce((sum, value) => sum + value, 0)
}

/** The fields of `session_updated`, or undefined when the session is gone. */
export async function sessionState(queries: Queries, id: number) {
  const row = await queries.selectFrom('sessions').selectAll().where('id', '=', id).executeTakeFirst()
  if (!row) return undefined
  const { name: session_name, total_photos, processed_photos, progress_percent, status } = row
  return { session_id: id, session_name, total_photos, processed_photos, progress_percent, status }
}

/** Writes the row with its derived columns; touches the session when a value that clients see has changed. */
async function store(write: Write, before: SessionRow, changed: SessionRow): Promise<SessionRow> {
  const counts = parseCounts(changed)
  const all = Object.values(counts).reduce((sum, value) => sum + value, 0)
  const done = (counts.completed ?? 0) + (counts.approved ?? 0) + (counts.rejected ?? 0)
  const total_photos = changed.total_override ?? all
  const processed_photos = changed.processed_override ?? done
  const after: SessionRow = {
    ...changed,
    total_photos,
    processed_photos,
    progress_percent: percentOf(processed_photos, total_photos),
    updated_at: write.now,
  }
  const { id, ...columns } = after
  await write.queries.updateTable('sessions').set(columns).where('id', '=', id).execute()
  const seen = ['name', 'status', 'total_photos', 'processed_photos', 'progress_percent'] as const
  if (seen.some((column) => before[column] !== after[column])) write.touch(`session:${id}`)
  return after
}

async function readRow(queries: Queries, id: number): Promise<SessionRow> {
  const row = await queries.selectFrom('sessions').selectAll().where('id', '=', id).executeTakeFirst()
  return found(row, `session ${id}`)
}

async function refuseTakenName(queries: Queries, taken: string): Promise<void> {
  const row = await queries.selectFrom('sessions').select('id').where('name', '=', taken).executeTakeFirst()
  if (row) throw new Refusal('conflict', `session ${row.id} has that name already`)
}

/** Two decimals, 0 of nothing. */
export function percentOf(part: number, total: number): number {
  return total === 0 ? 0 : Math.round((part / total) * 10_000) / 100
}

function parseCounts(row: Pick<SessionRow, 'photo_counts'>): PhotoCounts {
  return JSON.parse(row.photo_counts) as PhotoCounts
}

function toSession(row: SessionRow): Session {
  const { id, name: sessionName, import_folder, total_photos, processed_photos, progress_percent } = row
  const status = row.status as Session['status']
  const { created_at, updated_at } = row
  return {
    id,
    name: sessionName,
    import_folder,
    status,
    total_photos,
    processed_photos,
    progress_percent,
    created_at,
    updated_at,
  }
}
