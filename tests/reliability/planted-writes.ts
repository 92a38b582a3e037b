/** Faults to plant where the truth is made: writer, journal, derived events, keys. */
import type { Patch } from '../support/planted.ts'

export interface Planted {
  readonly name: string
  readonly patches: readonly Patch[]
  /** What the checker must say. */
  readonly found: RegExp
  readonly rounds: number
  /** Every round lasts that long, instead of ending with enough writes. */
  readonly roundMs?: number
  readonly writers?: number
  readonly subscribers?: number
  /** Planted in the long lane only. */
  readonly long?: boolean
}

/** A database that is full after a moment: what a full disk does, in every run alike. An empty one has some 45 pages. */
export const smallDisk: Patch = {
  file: 'lib/store/sqlite.ts',
  find: "file.run('PRAGMA foreign_keys = ON')",
  replace: "file.run('PRAGMA foreign_keys = ON'); file.run('PRAGMA max_page_count = 59')",
}

export const writeFaults: readonly Planted[] = [
  {
    name: 'a write is acknowledged before its commit',
    long: true,
    patches: [
      {
        file: 'lib/store/writer.ts',
        find: 'await queries.executeQuery(COMMIT)',
        replace: `for (const { waiting, value, from, to } of outcomes) {
          waiting.resolve({ value, events: events.slice(from, to), group: events, heads })
        }
        await new Promise((resolve) => setTimeout(resolve, 20))
        await queries.executeQuery(COMMIT)`,
      },
    ],
    found: /lost: /,
    rounds: 8,
  },
  {
    name: 'the cursor is read after the query instead of within it',
    long: true,
    patches: [
      {
        file: 'lib/store/journal.ts',
        find: `return database.read(async (queries) => {
        const { heads } = await readHeads(queries)
        return { heads, value: await read(queries) }
      })`,
        replace: `return database.read(read).then(async (value) => {
        await new Promise((resolve) => setTimeout(resolve, 1))
        const { heads } = await database.read(readHeads)
        return { heads, value }
      })`,
      },
    ],
    found: /^read (of|at)/,
    rounds: 3,
  },
  {
    name: 'a group goes on after SQLITE_FULL rolled it back',
    long: true,
    patches: [
      smallDisk,
      { file: 'lib/store/writer.ts', find: 'if (!database.transactionStands()) throw error', replace: '' },
      {
        file: 'lib/store/writer.ts',
        find: 'await queries.executeQuery(ROLLBACK_TO)\n      await queries.executeQuery(RELEASE)',
        replace:
          'await queries.executeQuery(ROLLBACK_TO).catch(() => undefined)\n      await queries.executeQuery(RELEASE).catch(() => undefined)',
      },
      {
        file: 'lib/store/writer.ts',
        find: 'await queries.executeQuery(SAVEPOINT)\n    try {\n      const value = await waiting.run(writeInto(queries, group.now, own, touched, steps))\n      await queries.executeQuery(RELEASE)',
        replace:
          'if (database.transactionStands()) await queries.executeQuery(SAVEPOINT)\n    try {\n      const value = await waiting.run(writeInto(queries, group.now, own, touched, steps))\n      await queries.executeQuery(RELEASE).catch(() => undefined)',
      },
    ],
    found: /^(database|journal|phantom|queue_status|approval_queue_updated)|events say/,
    rounds: 2,
    // It takes two writes in one transaction.
    writers: 16,
  },
  {
    name: 'a refused write leaves the events it had emitted',
    patches: [
      {
        file: 'lib/store/writer.ts',
        find: 'waiting.reject(isStorageFault(error) ? storageRefusal(error) : error)',
        replace: 'group.events.push(...own)\n      waiting.reject(error)',
      },
    ],
    found: /^phantom: no write made/,
    rounds: 4,
  },
  {
    name: 'the approval queue changes without its event',
    long: true,
    patches: [
      {
        file: 'lib/domain/derived.ts',
        find: "const changers = idsOf('approval:', touched)",
        replace: "const changers = idsOf('approval:', touched).filter((id) => Number(id) % 5 !== 1)",
      },
    ],
    found: /^approval_queue_updated says/,
    rounds: 2,
  },
  {
    name: 'a repeat is not known by its key',
    long: true,
    patches: [
      {
        file: 'lib/store/idempotency.ts',
        find: 'digest([subject, method, path, key])',
        replace: 'digest([subject, method, path, key, Math.random()])',
      },
    ],
    found: /a repeat under one key was answered another way/,
    rounds: 2,
  },
]
