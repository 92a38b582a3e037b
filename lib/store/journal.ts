/** The journal: the stored events, the only truth; numbers them on the way in, reads them back in order. */
import { CompiledQuery, type Selectable } from 'kysely'
import { channels, type Channel, type StoredEvent } from '../protocol/events.ts'
import type { Positions } from '../protocol/cursor.ts'
import { chainHash } from './chain.ts'
import { inChunks } from './chunks.ts'
import { isStorageFault, storageRefusal } from './faults.ts'
import type { Database, Queries, Schema } from './schema.ts'
import { numberEvents, type PendingEvent } from './write.ts'

/** What a read saw: its value and the heads of that same state. */
export interface Snapshot<T> {
  readonly value: T
  readonly heads: Positions
}

/** Read with every write and every answer: compiled once. */
const HEADS = CompiledQuery.raw('select "channel", "seq", "trimmed", "hash" from "heads"')

export type Journal = ReturnType<typeof createJournal>

/** @param known heads and trimmed positions when the journal was opened. */
export function createJournal(database: Database, known: { heads: Positions; trimmed: Positions }) {
  let committed: Positions = known.heads
  let durable: Positions = known.heads
  const trimmed: Positions = { ...known.trimmed }
  /** Statement texts by number of rows: building one costs more than running it. */
  const insertions = new Map<number, string>()

  function insertion(queries: Queries, rows: readonly (StoredEvent & { readonly hash: string })[]) {
    const text = insertions.get(rows.length) ?? queries.insertInto('events').values(rows).compile().sql
    insertions.set(rows.length, text)
    // Columns are in the order of the rows' own fields, in both.
    return CompiledQuery.raw(text, rows.flatMap(Object.values))
  }

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

    /** Takes note of what other nodes have committed to the same database, or removed from it; the heads now. */
    async refresh(): Promise<Positions> {
      const seen = await database.read((queries) => readHeads(queries))
      committed = maxima(committed, seen.heads)
      durable = maxima(durable, seen.heads)
      Object.assign(trimmed, maxima(trimmed, seen.trimmed))
      return seen.heads
    },

    /**
     * Takes note of others' commits where positions reach beyond what is known here; undefined where they do not.
     * @throws {Refusal} `storage_unavailable`
     */
    catchUp(positions: Positions): Promise<Positions> | undefined {
      // SQLite has one writer, and this is it.
      if (database.dialect === 'sqlite') return undefined
      if (channels.every((channel) => (positions[channel] ?? 0) <= (committed[channel] ?? 0)))
        return undefined
      return this.refresh().catch((error: unknown) => {
        throw isStorageFault(error) ? storageRefusal(error) : error
      })
    },

    /** Numbers and stores events on the writer's open transaction; heads of all channels afterwards. */
    async append(queries: Queries, pending: readonly PendingEvent[], now: string) {
      const before = await readHeads(queries)
      const events = numberEvents(pending, before.heads, now)
      const heads: Positions = { ...before.heads }
      const last = { ...before.hashes }
      const rows = events.map((event) => {
        const { channel, seq } = event
        heads[channel] = seq
        const hash = chainHash(last[channel] ?? '', event)
        last[channel] = hash
        return { ...event, hash }
      })
      for (const channel of channels) {
        const seq = heads[channel] ?? 0
        if (seq === before.heads[channel]) continue
        const hash = last[channel] ?? ''
        await queries.updateTable('heads').set({ seq, hash }).where('channel', '=', channel).execute()
      }
      for (const chunk of inChunks(rows)) await queries.executeQuery(insertion(queries, chunk))
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
      const newest = await queries
        .selectFrom('events')
        .select('hash')
        .where('channel', '=', channel)
        .where('seq', '=', through)
        .executeTakeFirst()
      // Another node has taken it, and perhaps more, away already.
      if (!newest) return through
      await queries.deleteFrom('events').where('channel', '=', channel).where('seq', '<=', through).execute()
      await queries
        .updateTable('heads')
        .set({ trimmed: through, trimmed_hash: newest.hash })
        .where('channel', '=', channel)
        .execute()
      return through
    },
  }
}

/** Heads, their hashes and trimmed positions of all channels, as this connection sees them. */
export async function readHeads(queries: Queries) {
  const { rows } = await queries.executeQuery<Selectable<Schema['heads']>>(HEADS)
  const heads: Positions = {}
  const trimmed: Positions = {}
  const hashes: Partial<Record<Channel, string>> = {}
  for (const row of rows) {
    heads[row.channel] = row.seq
    trimmed[row.channel] = row.trimmed
    hashes[row.channel] = row.hash
  }
  return { heads, trimmed, hashes }
}

function maxima(a: Positions, b: Positions): Positions {
  const out: Positions = { ...a }
  for (const channel of channels) out[channel] = Math.max(a[channel] ?? 0, b[channel] ?? 0)
  return out
}
