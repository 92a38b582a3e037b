/** The lineage of epochs: tells a plain restart from a restored backup, a lost tail or another data folder. */
import { randomBytes } from 'node:crypto'
import { sql, type Selectable } from 'kysely'
import { channels, type Channel } from '../protocol/events.ts'
import type { Cursor, Positions } from '../protocol/cursor.ts'
import type { Recovery } from '../protocol/messages.ts'
import { CUT, epochHash } from './chain.ts'
import { readHeads } from './journal.ts'
import type { Database, Queries, Schema } from './schema.ts'
import { endsWhole } from './soundness.ts'

const DAMAGED =
  'the newest events do not fit together: run verify; every cursor of before is told to read the state again'

interface JournalState {
  readonly heads: Positions
  readonly trimmed: Positions
}

interface OpenOptions {
  /** The newest events do not fit together: no cursor of before is vouched for. */
  readonly onDamage?: (error: Error) => void
}

/**
 * Reads the lineage and begins a new epoch: on SQLite at every start, on Postgres when the database's own
 * identity (system identifier, timeline) changed.
 */
export async function openLineage(
  database: Database,
  now: Date,
  { onDamage = () => undefined }: OpenOptions = {},
) {
  const { rows, state } = await database.queries.connection().execute(async (queries) => {
    await database.begin(queries)
    // Postgres keeps checksums of its own, and its other nodes may be at work.
    const whole = database.dialect === 'postgres' || (await endsWhole(queries))
    if (!whole) {
      onDamage(Object.assign(new Error(DAMAGED), { code: 'SQLITE_CORRUPT' }))
      await cutLineage(queries, now)
    }
    await beginEpoch(queries, await database.origin(queries), now)
    const [epochs, state] = [
      await queries.selectFrom('epochs').selectAll().orderBy('ordinal').execute(),
      await readHeads(queries),
    ]
    await sql`commit`.execute(queries)
    return { rows: epochs, state }
  })
  await database.sync()

  const epochs = unbroken(rows).map(({ epoch, heads }) => ({ epoch, before: JSON.parse(heads) as Positions }))
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

/** A row whose hash fits nothing: `unbroken` goes no further back, now and after later starts. */
async function cutLineage(queries: Queries, now: Date): Promise<void> {
  const row = {
    epoch: randomBytes(8).toString('hex'),
    started_at: now.toISOString(),
    heads: '{}',
    origin: null,
  }
  await queries
    .insertInto('epochs')
    .values({ ...row, hash: CUT })
    .execute()
}

async function beginEpoch(queries: Queries, origin: string | null, now: Date): Promise<void> {
  const epochs = await queries.selectFrom('epochs').selectAll().orderBy('ordinal').execute()
  const current = unbroken(epochs).at(-1)
  if (current && origin !== null && current.origin === origin) return
  const { heads } = await readHeads(queries)
  const before = Object.fromEntries(channels.map((channel) => [channel, heads[channel] ?? 0]))
  const epoch = randomBytes(8).toString('hex')
  const row = { epoch, started_at: now.toISOString(), heads: JSON.stringify(before), origin }
  const hash = epochHash(epochs.at(-1)?.hash ?? '', row)
  await queries
    .insertInto('epochs')
    .values({ ...row, hash })
    .execute()
}

/** The newest epochs whose chain holds: what a damaged row says of where an epoch ended may be false. */
function unbroken<E extends Selectable<Schema['epochs']>>(epochs: readonly E[]): readonly E[] {
  const broken = epochs.findLastIndex(
    (row, index) => row.hash !== epochHash(epochs[index - 1]?.hash ?? '', row),
  )
  return epochs.slice(broken + 1)
}
