/** The store as a whole: database, lineage, journal and writer, opened in their order, and the chores that keep it small. */
import type { Config } from '../settings.ts'
import type { StoredEvent } from '../protocol/events.ts'
import { checkpointOnce, trimOnce } from './housekeeping.ts'
import { expireAnswers } from './idempotency.ts'
import { createJournal } from './journal.ts'
import { openLineage } from './lineage.ts'
import { migrate } from './migrations.ts'
import { openPostgres } from './postgres.ts'
import type { Database } from './schema.ts'
import { openSqlite } from './sqlite.ts'
import type { Write } from './write.ts'
import { createWriter } from './writer.ts'

const CHECKPOINT_INTERVAL_MS = 1000
const RETENTION_INTERVAL_MS = 5000
const EXPIRY_INTERVAL_MS = 60_000

interface StoreOptions {
  readonly config: Config
  readonly now: () => Date
  readonly monotonicMs: () => number
  /** Moves stored times that somebody waits for by as much as the wall clock was set. */
  readonly moveTimes: (write: Write, byMs: number) => Promise<void>
  readonly onClockSet: (byMs: number) => void
  readonly derive: (write: Write, touched: ReadonlySet<string>) => Promise<void>
  /** Events that became durable, in commit order, committed at `committedMs` of the monotonic clock. */
  readonly onDurable: (events: readonly StoredEvent[], committedMs: number) => void
  readonly onFatal: (error: unknown) => void
  /** An idle connection to the database broke, or the last checkpoint failed. */
  readonly onTrouble: (error: unknown) => void
  readonly observe: { commit(seconds: number): void; sync(seconds: number): void }
}

export type Store = Awaited<ReturnType<typeof openStore>>

/** @throws {FolderInUse} and what the database says; nothing stays open then. */
export async function openStore({
  config,
  now,
  monotonicMs,
  moveTimes,
  onClockSet,
  derive,
  onDurable,
  onFatal,
  onTrouble,
  observe,
}: StoreOptions) {
  await using parts = new AsyncDisposableStack()
  const database: Database = parts.use(
    config.DATABASE_URL === undefined
      ? openSqlite(config.DATA_DIR, { durability: config.DURABILITY, onLogLeft: onTrouble })
      : openPostgres(config.DATABASE_URL, { onIdleError: onTrouble }),
  )
  await migrate(database)
  const lineage = await openLineage(database, now(), { onDamage: onTrouble })
  const journal = createJournal(database, lineage.state)
  const writer = createWriter({
    database,
    journal,
    derive,
    now,
    monotonicMs,
    onClockSet(write, byMs) {
      onClockSet(byMs)
      return moveTimes(write, byMs)
    },
    pendingMax: config.MAX_PENDING_WRITES,
    onCommit: (_events, heads) => journal.advance(heads),
    onDurable: (events, heads, committedMs) => {
      journal.settle(heads)
      onDurable(events, committedMs)
    },
    onFatal,
    observe,
  })
  const retention = { journal, writer, now, events: config.RETENTION_EVENTS, days: config.RETENTION_DAYS }
  const owned = parts.move()
  return {
    database,
    lineage,
    journal,
    writer,
    /** What has to be done now and then. */
    chores: [
      { everyMs: CHECKPOINT_INTERVAL_MS, run: () => checkpointOnce(database, writer) },
      {
        everyMs: RETENTION_INTERVAL_MS,
        async run() {
          while (await trimOnce(retention));
        },
      },
      {
        everyMs: EXPIRY_INTERVAL_MS,
        async run() {
          while (await expireAnswers(writer.write));
        },
      },
    ],
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
