/** Leases that ran out: their jobs go back to pending, or fail after too many attempts. */
import type { Write } from '../store/write.ts'
import { failForGood, requeueJob } from './jobs.ts'

/** Jobs that one pass frees; the next pass takes the rest. */
const LEASES_PER_PASS = 100

/** Frees expired leases; how many. */
export async function expireLeases(write: Write, attemptsMax: number): Promise<number> {
  const expired = await write.queries
    .selectFrom('jobs')
    .selectAll()
    .where('lease_expires_at', '<=', write.now)
    .orderBy('lease_expires_at')
    .limit(LEASES_PER_PASS)
    .execute()
  for (const job of expired) {
    const error_message = `the lease of worker ${job.worker} ran out`
    const error = { error_message, error_details: JSON.stringify({ attempts: job.attempts }) }
    if (job.attempts >= attemptsMax) await failForGood(write, job, error)
    else await requeueJob(write, job, 'lease_expired', error)
  }
  return expired.length
}

/** Moves every lease by as much as the clock was set: none ends early or lasts longer for it. */
export async function moveLeases({ queries }: Write, byMs: number): Promise<void> {
  const leased = await queries
    .selectFrom('jobs')
    .select(['id', 'lease_expires_at'])
    .where('lease_expires_at', 'is not', null)
    .execute()
  for (const { id, lease_expires_at } of leased) {
    const end = new Date(Date.parse(lease_expires_at ?? '') + byMs).toISOString()
    await queries.updateTable('jobs').set({ lease_expires_at: end }).where('id', '=', id).execute()
  }
}
