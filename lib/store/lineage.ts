/** The lineage of epochs: tells a plain restart from a restored backup, a lost tail or another data folder. */
import { randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import { channels, type Channel } from '../protocol/events.ts'
import type { Cursor, Positions } from '../protocol/cursor.ts'
import type { Recovery } from '../protocol/messages.ts'
import { readHeads } from './journal.ts'
import type { Database, Queries } from './schema.ts'

interface JournalState {
  readonly heads: Positions
  readonly trimmed: Positions
}

/**
 * Reads the lineage and begins a new epoch: on SQLite at every start, on Postgres when the database's own
 * identity (system identifier, timeline) changed.
 */
export async function openLineage(database: Database, now: Date) {
  const { rows, state } = await database.queries.connection().execute(async (queries) => {
    await database.begin(queries)
    await beginEpoch(queries, await database.origin(queries), now)
    const [epochs, state] = [
      await queries.selectFrom('epochs').select(['epoch', 'heads']).orderBy('ordinal').execute(),
      await readHeads(queries),
    ]
    await sql`commit`.execute(queries)
    return { rows: epochs, state }
  })
  await database.sync()

  const epochs = rows.map(({ epoch, heads }) => ({ epoch, before: JSON.parse(heads) as Positions }))
  const current = epochs.at(-1)
  if (!current) throw new Error('the lineage is empty after a new epoch began')
  /** Where each past epoch ended: at the heads before the next. */
  const ends = new Map(
    epochs.slice(0, -1).map(({ epoch }, index) => [epoch, epochs[index + 1]?.before ?? {}]),
  )

  return {
    /** The epoch of every cursor that this journal gives out now. */
    epoch: current.epoch,
    /** The journal as it was found. */
    state,
    /** What becomes of one channel of a cursor, against the journal's present heads (PROTOCOL §5). */
    judge(cursor: Cursor, channel: Channel, { heads, trimmed }: JournalState): Recovery {
      const position = cursor.positions[channel]
      if (position === undefined) return { status: 'live' }
      const end = cursor.epoch === current.epoch ? heads : ends.get(cursor.epoch)
      if (!end || position > (end[channel] ?? 0)) return { status: 'snapshot_required', reason: 'epoch' }
      if (position < (trimmed[channel] ?? 0)) return { status: 'snapshot_required', reason: 'trimmed' }
      return { status: 'recovered' }
    },
  }
}

async function beginEpoch(queries: Queries, origin: string | null, now: Date): Promise<void> {
  const last = await queries
    .selectFrom('epochs')
    .select('origin')
    .orderBy('ordinal', 'desc')
    .limit(1)
    .executeTakeFirst()
  if (last && origin !== null && last.origin === origin) return
  const { heads } = await readHeads(queries)
  const before = Object.fromEntries(channels.map((channel) => [channel, heads[channel] ?? 0]))
  const epoch = randomBytes(8).toString('hex')
  await queries
    .insertInto('epochs')
    .values({ epoch, started_at: now.toISOString(), heads: JSON.stringify(before), origin })
    .execute()
}
