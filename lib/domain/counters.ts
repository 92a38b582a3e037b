/** Kept counts, never `count(*)` per write, and the events that follow every change of them. */
import { sql } from 'kysely'
import type { Queries } from '../store/schema.ts'
import type { Write } from '../store/write.ts'

export const jobStatuses = ['pending', 'processing', 'completed', 'failed', 'cancelled'] as const
export type JobStatus = (typeof jobStatuses)[number]

const APPROVAL = 'photos.completed'

/** Keeps the number of jobs in a status. */
export async function countJobs(write: Write, status: string, by: number): Promise<void> {
  if (by === 0) return
  await add(write.queries, `jobs.${status}`, by)
  write.touch('queue')
}

/** Keeps the length of the approval queue; `sessionId` is whose photo changed it. */
export async function touchApproval(write: Write, sessionId: number | null, by: number): Promise<void> {
  if (by === 0) return
  await add(write.queries, APPROVAL, by)
  write.touch(`approval:${sessionId ?? ''}`)
}

/** Jobs by status; `total` counts those that are in the queue or have been through it, not the cancelled. */
export async function queueState(queries: Queries) {
  const values = await readAll(queries)
  const [pending, processing, completed, failed] = (
    ['pending', 'processing', 'completed', 'failed'] as const
  ).map((status) => values.get(`jobs.${status}`) ?? 0) as [number, number, number, number]
  return { pending, processing, completed, failed, total: pending + processing + completed + failed }
}

/** Photos that wait for approval, of all sessions. */
export async function approvalCount(queries: Queries): Promise<number> {
  return (await readAll(queries)).get(APPROVAL) ?? 0
}

async function readAll(queries: Queries): Promise<Map<string, number>> {
  const rows = await queries.selectFrom('counters').selectAll().execute()
  return new Map(rows.map(({ name, value }) => [name, value]))
}

async function add(queries: Queries, name: string, by: number): Promise<void> {
  await queries
    .insertInto('counters')
    .values({ name, value: by })
    .onConflict((conflict) =>
      conflict.column('name').doUpdateSet({ value: sql`counters.value + excluded.value` }),
    )
    .execute()
}
