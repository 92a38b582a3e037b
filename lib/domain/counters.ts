/** Kept counts, never `count(*)` per write, and the events that follow every change of them. */
import { sql } from 'kysely'
import type { Queries } from '../store/schema.ts'
import type { Write } from '../store/write.ts'
import type { PhotoStatus } from './photo-status.ts'

export const jobStatuses = ['pending', 'processing', 'completed', 'failed', 'cancelled'] as const
export type JobStatus = (typeof jobStatuses)[number]

/** How many more (or fewer) rows there are of each status. */
export type Changes<Status extends string> = Readonly<Partial<Record<Status, number>>>

/** Keeps the numbers of jobs by status; those of the cancelled are not shown in `queue_status`. */
export async function countJobs(write: Write, changes: Changes<JobStatus>): Promise<void> {
  await add(write.queries, 'jobs', changes)
  const { cancelled: _, ...shown } = changes
  if (Object.values(shown).some((by) => by !== 0)) write.touch('queue')
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

/** Keeps the numbers of exports by status. */
export async function countExports(write: Write, changes: Changes<string>): Promise<void> {
  await add(write.queries, 'exports', changes)
}

/** Photos that wait for approval, of all sessions. */
export async function approvalCount(queries: Queries): Promise<number> {
  return await totalOf(queries, 'photos', 'completed')
}

/** Rows of a table in one status, or in any. */
export async function totalOf(
  queries: Queries,
  table: 'jobs' | 'photos' | 'exports',
  status: string | undefined,
): Promise<number> {
  const counts = await countsOf(queries, table)
  if (status !== undefined) return counts[status] ?? 0
  return Object.values(counts).reduce((sum, value) => sum + value, 0)
}

/** Keeps the numbers of photos by score; those without one are not counted. */
export async function countScores(
  write: Write,
  changes: readonly (readonly [score: number | null, by: number])[],
): Promise<void> {
  const sums: Record<string, number> = {}
  for (const [score, by] of changes) {
    if (score !== null) sums[bucketOf(score)] = (sums[bucketOf(score)] ?? 0) + by
  }
  await add(write.queries, 'scores', sums)
}

/** Photos with at least that score: whole buckets are kept, what is left of one is counted by its index. */
export async function totalFrom(queries: Queries, minScore: number): Promise<number> {
  const counts = await countsOf(queries, 'scores')
  const first = bucketOf(minScore)
  const whole = Object.entries(counts).filter(([bucket]) => Number(bucket) > first)
  const above = whole.reduce((sum, [, value]) => sum + value, 0)
  if (minScore * SCORE_BUCKETS === first) return above + (counts[first] ?? 0)
  const { rest } = await queries
    .selectFrom('photos')
    .select(({ fn }) => fn.countAll<number>().as('rest'))
    .where('ai_score', '>=', minScore)
    .where('ai_score', '<', (first + 1) / SCORE_BUCKETS)
    .executeTakeFirstOrThrow()
  return above + Number(rest)
}

/** Buckets of a star: a power of two, so that no rounding moves a score over a border. */
const SCORE_BUCKETS = 8
const bucketOf = (score: number) => Math.floor(score * SCORE_BUCKETS)

async function countsOf(queries: Queries, table: string): Promise<Record<string, number>> {
  const rows = await queries
    .selectFrom('counters')
    .selectAll()
    // All names that begin with the table's and a dot: "/" comes after ".".
    .where('name', '>', `${table}.`)
    .where('name', '<', `${table}/`)
    .execute()
  return Object.fromEntries(rows.map(({ name, value }) => [name.slice(table.length + 1), value]))
}

async function add(queries: Queries, table: string, changes: Changes<string>): Promise<void> {
  const values = Object.entries(changes).flatMap(([status, value]) =>
    !value ? [] : { name: `${table}.${status}`, value },
  )
  if (values.length === 0) return
  await queries
    .insertInto('counters')
    .values(values)
    .onConflict((conflict) =>
      conflict.column('name').doUpdateSet({ value: sql`counters.value + excluded.value` }),
    )
    .execute()
}
