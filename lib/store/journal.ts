/** The journal: the stored events, the only truth; numbers them on the way in, reads them back in order. */
import { CompiledQuery } from 'kysely'
import { channels, type Channel, type StoredEvent } from '../protocol/events.ts'
import type { Positions } from '../protocol/cursor.ts'
import { inChunks } from './chunks.ts'
import type { Database, Queries, Schema } from './schema.ts'
import { numberEvents, type PendingEvent } from './write.ts'

/** What a read saw: its value and the heads of that same state. */
export interface Snapshot<T> {
  readonly value: T
  readonly heads: Positions
}

/** Read with every write and every answer: compiled once. */
const HEADS = CompiledQuery.raw('select "channel", "seq", "trimmed" from "heads"')

export type Journal = ReturnType<typeof createJournal>

/** @param known heads and trimmed positions when the journal was opened. */
export function createJournal(database: Database, known: { heads: Positions; trimmed: Positions }) {
  let committed: Positions = known.heads
  let durable: Positions = known.heads
  const trimmed: Positions = { ...known.trimmed }

  return {
    /** Per channel the newest seq that this node has committed, durable or not. */
    heads: (): Positions => committed,
    /** Per channel the newest seq that retention took away. */
    trimmed: (): Positions => trimmed,
    /** Takes note of a commit, of this node or of another one. */
    advance(heads: Positions): void {
      committed = maxima(committed, heads)
    },
    /** Per channel the newest seq that is durable: what may be shown in a cursor. */
    durableHeads: (): Positions => durable,
    /** Takes note that a commit became durable. */
    settle(heads: Positions): void {
      durable = maxima(durable, heads)
    },
    /** Takes note that retention removed up to `seq`. */
    forget(channel: Channel, seq: number): void {
      trimmed[channel] = Math.max(trimmed[channel] ?? 0, seq)
    },

    /** Takes note of what other nodes have committed to the same database; the heads now. */
    async refresh(): Promise<Positions> {
      const { heads } = await database.read((queries) => readHeads(queries))
      committed = maxima(committed, heads)
      durable = maxima(durable, heads)
      return heads
    },

    /** Numbers and stores events on the writer's open transaction; heads of all channels afterwards. */
    async append(queries: Queries, pending: readonly PendingEvent[], now: string) {
      const before = await readHeads(queries)
      const events = numberEvents(pending, before.heads, now)
      const heads: Positions = { ...before.heads }
      for (const { channel, seq } of events) heads[channel] = seq
      for (const channel of channels) {
        const seq = heads[channel] ?? 0
        if (seq === before.heads[channel]) continue
        await queries.updateTable('heads').set({ seq }).where('channel', '=', channel).execute()
      }
      for (const rows of inChunks(events)) await queries.insertInto('events').values(rows).execute()
      return { events, heads }
    },

    /** Events of one channel with `after` < seq, oldest first, at most `limit`. */
    async read(channel: Channel, after: number, limit: number): Promise<StoredEvent[]> {
      return await database.queries
        .selectFrom('events')
        .select(['channel', 'seq', 'type', 'timestamp', 'data'])
        .where('channel', '=', channel)
        .where('seq', '>', after)
        .orderBy('seq')
        .limit(limit)
        .execute()
    },

    /** Runs a read and answers with the heads of the very state it saw. */
    snapshot<T>(read: (queries: Queries) => Promise<T>): Promise<Snapshot<T>> {
      return database.read(async (queries) => {
        const { heads } = await readHeads(queries)
        return { heads, value: await read(queries) }
      })
    },

    /** Removes at most `limit` of the channel's oldest events up to `upto`; answers the new trimmed position. */
    async trim(queries: Queries, channel: Channel, upto: number, limit: number): Promise<number> {
      const through = Math.min(upto, (trimmed[channel] ?? 0) + limit)
      await queries.deleteFrom('events').where('channel', '=', channel).where('seq', '<=', through).execute()
      await queries.updateTable('heads').set({ trimmed: through }).where('channel', '=', channel).execute()
      return through
    },
  }
}

/** Heads and trimmed positions of all channels, as this connection sees them. */
export async function readHeads(queries: Queries): Promise<{ heads: Positions; trimmed: Positions }> {
  const { rows } = await queries.executeQuery<Schema['heads']>(HEADS)
  const heads: Positions = {}
  const trimmed: Positions = {}
  for (const row of rows) {
    heads[row.channel] = row.seq
    trimmed[row.channel] = row.trimmed
  }
  return { heads, trimmed }
}

function maxima(a: Positions, b: Positions): Positions {
  const out: Positions = { ...a }
  for (const channel of channels) out[channel] = Math.max(a[channel] ?? 0, b[channel] ?? 0)
  return out
}
