/** Revocations as they are stored: they outlast a restart, and reach the other nodes of a database. */
import type { Revocation } from '../access/revocations.ts'
import type { Database } from './schema.ts'
import type { Write } from './write.ts'

/** @param asked when it was asked for: the group that stores it may have begun a little earlier */
export async function storeRevocation(
  { queries, now }: Write,
  { kind, value }: Pick<Revocation, 'kind' | 'value'>,
  asked: Date,
): Promise<Revocation> {
  const earlier = await queries
    .selectFrom('revocations')
    .select('revoked_at')
    .where('kind', '=', kind)
    .where('value', '=', value)
    .executeTakeFirst()
  // A clock that went back takes back no revocation.
  const revokedAtMs = Math.max(
    Date.parse(now),
    asked.getTime(),
    ...(earlier ? [Date.parse(earlier.revoked_at)] : []),
  )
  // Revoked again, it is a new row: the other nodes look for what is new.
  await queries.deleteFrom('revocations').where('kind', '=', kind).where('value', '=', value).execute()
  const revoked_at = new Date(revokedAtMs).toISOString()
  await queries.insertInto('revocations').values({ kind, value, revoked_at }).execute()
  return { kind, value, revokedAtMs }
}

/** Reads what was revoked since it was last asked, at first everything. */
export function createRevocationFeed(database: Database): () => Promise<Revocation[]> {
  let seen = 0
  return async () => {
    const rows = await database.queries
      .selectFrom('revocations')
      .selectAll()
      .where('ordinal', '>', seen)
      .orderBy('ordinal')
      .execute()
    seen = rows.at(-1)?.ordinal ?? seen
    return rows.map(({ kind, value, revoked_at }) => ({ kind, value, revokedAtMs: Date.parse(revoked_at) }))
  }
}
