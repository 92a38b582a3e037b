/** Kept counts, never `count(*)` per write, and the events that follow every change of them. */
import { sql } from 'kysely'
import type { Queries } from '../store/schema.ts'
import type { Write } from '../store/write.ts'
import type { PhotoStatus } from './photo-status.ts'

export const jobStatuses = ['pending', 'processing', 'completed', 'failed', 'cancelled'] as const
export type JobStatus = (typeof jobStatuses)[number]

/** How many more (or fewer) rows there are of each status. */
export type Changes<Status extends string> = Readonly<Partial<Record<Status, number>>>

/** Keeps the numbers of jobs by status. */
export async function countJobs(write: Write, changes: Changes<JobStatus>): Promise<void> {
  if (await add(write.queries, 'jobs', changes)) write.touch('queue')
}

/** Keeps the numbers of all photos by status; `sessionId` is whose photos changed. */
export async function countAllPhotos(
  write: Write,
  sessionId: number | null,
  changes: Changes<PhotoStatus>,
): Promise<void> {
  await add(write.queries, 'photos', changes)
  if (changes.completed) write.touch(`approval:${sessionId ?? ''}`)
}

/** Jobs by status; `total` counts those that are in the queue or have been through it, not the cancelled. */
export async function queueState(queries: Queries) {
  const counts = await countsOf(queries, 'jobs')
  const { pending = 0, processing = 0, completed = 0, failed = 0 } = counts
  return { pending, processing, completed, failed, total: pending + processing + completed + failed }
}

/** Photos that wait for approval, of all sessions. */
export async function approvalCount(queries: Queries): Promise<number> {
  return await totalOf(queries, 'photos', 'completed')
}

/** Rows of a table in one status, or in any. */
export async function totalOf(
  queries: Queries,
  table: 'jobs' | 'photos',
  status: string | undefined,
): Promise<number> {
  const counts = await countsOf(queries, table)
  if (status !== undefined) return counts[status] ?? 0
  return Object.values(counts).reduce((sum, value) => sum + value, 0)
}

async function countsOf(queries: Queries, table: string): Promise<Record<string, number>> {
  const rows = await queries.selectFrom('counters').selectAll().execute()
  const prefix = `${table}.`
  const own = rows.filter(({ name }) => name.startsWith(prefix))
  return Object.fromEntries(own.map(({ name, value }) => [name.slice(prefix.length), value]))
}

/** Whether anything changed. */
async function add(
  queries: Queries,
  table: string,
  changes: Readonly<Record<string, number>>,
): Promise<boolean> {
  const values = Object.entries(changes).flatMap(([status, value]) =>
    value === 0 ? [] : { name: `${table}.${status}`, value },
  )
  if (values.length === 0) return false
  await queries
    .insertInto('counters')
    .values(values)
    .onConflict((conflict) =>
      conflict.column('name').doUpdateSet({ value: sql`counters.value + excluded.value` }),
    )
    .execute()
  return true
}
