/** A virtual disk under the embedded store: slow and failing syncs, a full disk, kills, power cuts, backups. */
import { Database as SqliteFile, type Statement } from 'bun:sqlite'
import { CompiledQuery, Kysely, SqliteDialect } from 'kysely'
import type { Database, Schema } from '../../lib/store/schema.ts'
import type { Random } from '../support/random.ts'
import type { Owner, Scheduler } from './scheduler.ts'
import type { EventRow, Seen, Truth } from './truth.ts'

const BEGIN = CompiledQuery.raw('begin immediate')

/** Reads that a disk in trouble fails. */
const READ_FAULT_SHARE = 0.1

interface Step {
  readonly text: string
  readonly parameters: readonly never[]
}

export interface DiskFaults {
  /** Milliseconds that a sync takes, drawn anew for each. */
  readonly syncMs: () => number
  syncFails: () => boolean
  /** While true, every statement of a write fails now and then, as on a full disk. */
  full: boolean
  /** Share of the statements that a full disk refuses. */
  readonly fullShare: number
  /** The process dies at the next commit, before or after it. */
  killAtCommit: 'before' | 'after' | undefined
}

interface DiskOptions {
  readonly image: Uint8Array
  readonly scheduler: Scheduler
  readonly truth: Truth
  readonly random: Random
  readonly faults: DiskFaults
}

/** What a dead process meets; it goes nowhere. */
export class Killed extends Error {
  override readonly name = 'Killed'
}

export type Disk = ReturnType<typeof createDisk>

export function createDisk({ image, scheduler, truth, random, faults }: DiskOptions) {
  let file = openImage(image)
  /** Statements of the commits since `image`; a power cut plays some of them again. */
  let commits: (readonly Step[])[] = []
  let open: Step[] = []
  let synced = 0
  let full = 0
  let distrusted: Owner | undefined
  const { prepared, seen } = seenOf(() => file)

  function rollback(): void {
    if (file.inTransaction) file.run('rollback')
    open = []
  }

  /** One statement of a process, with all that may befall it. */
  function execute<T>(process: Owner, text: string, parameters: readonly never[], run: () => T): T {
    if (!process.alive) {
      rollback()
      throw new Killed(process.name)
    }
    const within = file.inTransaction
    const writes = !text.startsWith('select') && text !== 'rollback'
    if (within && writes && !text.startsWith('rollback') && faults.full && random.chance(faults.fullShare)) {
      full += 1
      scheduler.note('full', text.slice(0, 20))
      // As SQLite does it: the whole transaction is rolled back, or the statement alone.
      const code = random.chance(0.7) ? 'SQLITE_FULL' : 'SQLITE_IOERR'
      if (code === 'SQLITE_FULL' || text === 'commit') rollback()
      throw Object.assign(new Error('the virtual disk is full'), { code })
    }
    if (text === 'commit') return commit(process, run)
    if (!within && !writes && faults.full && random.chance(READ_FAULT_SHARE)) {
      scheduler.note('unreadable', text.slice(0, 20))
      throw Object.assign(new Error('the virtual disk cannot be read'), { code: 'SQLITE_IOERR' })
    }
    const value = run()
    if (!within) open = []
    if (writes && !text.startsWith('begin')) open.push({ text, parameters })
    // Outside of a transaction a statement commits by itself, and so does the end of a savepoint.
    if (!file.inTransaction && writes && !text.startsWith('begin')) committed()
    return value
  }

  function committed(): void {
    commits.push(open)
    open = []
    scheduler.note('commit', commits.length)
    truth.commit(seen)
  }

  function commit<T>(process: Owner, run: () => T): T {
    const kill = faults.killAtCommit
    faults.killAtCommit = undefined
    if (kill === 'before') {
      process.alive = false
      rollback()
      throw new Killed(process.name)
    }
    const value = run()
    committed()
    if (kill === 'after') {
      process.alive = false
      throw new Killed(process.name)
    }
    return value
  }

  function attach(next: SqliteFile): void {
    file.close()
    file = next
    open = []
  }

  function tellTruth(): void {
    const rows = prepared('select id, attempts, lease_expires_at, status from jobs').all() as Parameters<
      Truth['restoreJobs']
    >[0]
    truth.restoreJobs(rows, seen.heads())
  }

  /** The state after some of the commits, on a file of its own. */
  function replay(count: number): SqliteFile {
    const copy = openImage(image)
    copy.run('begin')
    for (const { text, parameters } of commits.slice(0, count).flat())
      copy.query<unknown, never[]>(text).all(...parameters)
    copy.run('commit')
    return copy
  }

  return {
    /** The database as a process opens it; what another one left unfinished is gone. */
    open(process: Owner): Database {
      rollback()
      const readers = new Map<string, boolean>()
      const wrapped = (text: string) => {
        let reader = readers.get(text)
        if (reader === undefined) readers.set(text, (reader = prepared(text).columnNames.length > 0))
        return {
          reader,
          all: (parameters: readonly never[]) =>
            execute(process, text, parameters, () => prepared(text).all(...parameters)),
          run: (parameters: readonly never[]) =>
            execute(process, text, parameters, () => prepared(text).run(...parameters)),
        }
      }
      const queries = new Kysely<Schema>({
        dialect: new SqliteDialect({
          database: { close: () => undefined, prepare: (text: string) => wrapped(text) as never },
        }),
      })
      return {
        dialect: 'sqlite',
        queries,
        begin: async (held) => void (await held.executeQuery(BEGIN)),
        transactionStands: () => file.inTransaction,
        sync: () => sync(process),
        read: (read) => queries.connection().execute(read),
        origin: () => Promise.resolve(null),
        [Symbol.asyncDispose]: () => Promise.resolve(),
      }
    },

    /** The power goes: of what was not synced some commits remain, in order. */
    cutPower(): void {
      const kept = random.int(synced, commits.length)
      scheduler.note('power cut', commits.length, kept)
      attach(replay(kept))
      commits = commits.slice(0, kept)
      truth.rewind(kept, { restored: false })
      tellTruth()
    },

    /** How many commits there are: what a backup made now would hold. */
    backup: () => commits.length,
    /** An older state takes the place of the newest one. */
    restore(count: number): void {
      scheduler.note('restore', commits.length, count)
      attach(replay(count))
      commits = commits.slice(0, count)
      synced = count
      truth.rewind(count, { restored: true })
      tellTruth()
    },
    synced: () => synced,
    refusals: () => full,
    close: () => file.close(),
  }

  function sync(process: Owner): Promise<void> {
    const covered = commits.length
    return new Promise((resolve, reject) => {
      scheduler.post(process, faults.syncMs(), 'sync', () => {
        if (faults.syncFails()) {
          scheduler.note('sync failed')
          // The kernel forgets what it could not write: later syncs of this process say yes and mean less.
          distrusted = process
          return reject(Object.assign(new Error('the virtual disk refused a sync'), { code: 'EIO' }))
        }
        if (distrusted !== process) synced = Math.max(synced, covered)
        truth.settle(synced)
        scheduler.note('synced', synced)
        resolve()
      })
    })
  }
}

export function openImage(image: Uint8Array): SqliteFile {
  const file = SqliteFile.deserialize(image)
  file.run('PRAGMA foreign_keys = ON')
  return file
}

/** How statements are prepared, once per file, and how the truth looks at what they made. */
export function seenOf(fileNow: () => SqliteFile) {
  const caches = new WeakMap<SqliteFile, Map<string, Statement<unknown, never[]>>>()

  function prepared(text: string): Statement<unknown, never[]> {
    const file = fileNow()
    let statements = caches.get(file)
    if (!statements) caches.set(file, (statements = new Map()))
    let statement = statements.get(text)
    if (!statement) statements.set(text, (statement = file.prepare<unknown, never[]>(text)))
    return statement
  }

  const seen: Seen = {
    heads: () => prepared('select channel, seq, trimmed from heads').all() as ReturnType<Seen['heads']>,
    events: (channel, after) =>
      prepared('select * from events where channel = ? and seq > ? order by seq').all(
        ...([channel, after] as never[]),
      ) as EventRow[],
    job: (id) =>
      (prepared('select id, attempts, lease_expires_at from jobs where id = ?').get(...([id] as never[])) ??
        undefined) as ReturnType<Seen['job']>,
  }
  return { prepared, seen }
}
