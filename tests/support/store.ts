/** The store alone, put together as the composition root does, without a server around it. */
import { createJournal } from '../../lib/store/journal.ts'
import { openLineage } from '../../lib/store/lineage.ts'
import { migrate } from '../../lib/store/migrations.ts'
import { openPostgres } from '../../lib/store/postgres.ts'
import { openSqlite } from '../../lib/store/sqlite.ts'
import { trimOnce } from '../../lib/store/housekeeping.ts'
import { createWriter } from '../../lib/store/writer.ts'
import type { Write } from '../../lib/store/write.ts'
import type { StoredEvent } from '../../lib/protocol/events.ts'

type Place = { readonly folder: Disposable & { path: string } } | { readonly url: string }

interface StoreOptions {
  readonly derive?: (write: Write, touched: ReadonlySet<string>) => Promise<void>
  readonly pendingMax?: number
  readonly now?: () => Date
}

export type TestStore = Awaited<ReturnType<typeof openStore>>

export async function openStore(
  place: Place,
  { derive = async () => undefined, pendingMax = 10_000, now = () => new Date() }: StoreOptions = {},
) {
  const database =
    'url' in place
      ? openPostgres(place.url, { onIdleError: () => undefined })
      : openSqlite(place.folder.path, { durability: 'full', onLogLeft: () => undefined })
  await migrate(database)
  const lineage = await openLineage(database, now())
  const journal = createJournal(database, lineage.state)
  /** Events in the order they were told durable. */
  const durable: StoredEvent[] = []
  const writer = createWriter({
    database,
    journal,
    derive,
    now,
    pendingMax,
    onCommit: (_events, heads) => journal.advance(heads),
    onDurable: (events) => durable.push(...events),
    onFatal: (error) => {
      throw error
    },
    observe: { commit: () => undefined, sync: () => undefined },
  })
  let closed = false
  const close = async () => {
    if (closed) return
    closed = true
    await writer.stop()
    await database[Symbol.asyncDispose]()
  }
  return {
    database,
    lineage,
    journal,
    writer,
    durable,
    trim: ({ events = 1_000_000, days = 10_000 }) => trimOnce({ journal, writer, now, events, days }),
    /** Closes this one and opens the same data anew. */
    async reopen() {
      await close()
      return await openStore(place, { derive, pendingMax, now })
    },
    async [Symbol.asyncDispose]() {
      await close()
      if ('folder' in place) place.folder[Symbol.dispose]()
    },
  }
}
