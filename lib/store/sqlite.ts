/** SQLite in the data folder: one process, one connection, fsync and checkpoints off the event loop. */
import { Database as SqliteFile, type Statement } from 'bun:sqlite'
import { closeSync, fdatasync, fsyncSync, mkdirSync, openSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { CompiledQuery, Kysely, SqliteDialect } from 'kysely'
import { endAtOnce, isStorageFault, isSyncFault, storageRefusal } from './faults.ts'
import type { Database, Queries, Schema } from './schema.ts'

const BEGIN = CompiledQuery.raw('begin immediate')
/** Compiled statements kept; the domain's own are far fewer. */
const STATEMENTS_MAX = 500
/** Pages kept in memory: a library of 100,000 photos and jobs with its indexes. */
const CACHE_KIB = 65_536
/** A write-ahead log smaller than this is left alone. */
const CHECKPOINT_BYTES = 4 * 1024 * 1024

interface SqliteOptions {
  /** `full`: acknowledged commits survive a power cut; `normal`: a crash of the process only. */
  readonly durability: 'full' | 'normal'
  /** The last checkpoint failed; all is in the log still, and the next start reads it. */
  readonly onLogLeft: (error: unknown) => void
}

/** Another process holds the data folder. */
export class FolderInUse extends Error {
  override readonly name = 'FolderInUse'
}

/** Opens (or creates) `lightwire.db` in the folder. @throws {FolderInUse} */
export function openSqlite(folder: string, { durability, onLogLeft }: SqliteOptions): Database {
  const made = mkdirSync(folder, { recursive: true, mode: 0o700 })
  if (made !== undefined) syncFolder(dirname(made))
  const lock = lockFolder(folder)
  const path = join(folder, 'lightwire.db')
  // For its owner only; SQLite gives its log the same mode.
  closeSync(openSync(path, 'a', 0o600))
  const file = new SqliteFile(path, { create: true })
  file.run('PRAGMA journal_mode = WAL')
  // A commit does not sync: `sync` does, without stalling the loop. Checkpoints happen in a Worker.
  file.run('PRAGMA synchronous = NORMAL')
  file.run('PRAGMA wal_autocheckpoint = 0')
  file.run('PRAGMA busy_timeout = 2000')
  file.run(`PRAGMA cache_size = -${CACHE_KIB}`)
  file.run('PRAGMA foreign_keys = ON')
  // After a failed sync the log may be in memory only and count as written: copied anew it is written anew.
  file.run('PRAGMA wal_checkpoint(TRUNCATE)')
  syncFolder(folder)

  const queries = new Kysely<Schema>({
    dialect: new SqliteDialect({ database: cachingStatements(file) }),
  })
  const wal = createWalSync(`${path}-wal`)
  const checkpointer = createCheckpointer(path)
  return {
    dialect: 'sqlite',
    queries,
    begin: async (held) => void (await held.executeQuery(BEGIN)),
    transactionStands: () => file.inTransaction,
    sync: durability === 'full' ? wal.sync : () => Promise.resolve(),
    // The single connection is held for the read, so nothing can commit between its statements.
    read: (read) => queries.connection().execute(read),
    origin: () => Promise.resolve(null),
    checkpoint: () =>
      statSync(`${path}-wal`).size < CHECKPOINT_BYTES ? Promise.resolve({ walPages: 0 }) : checkpointer.run(),
    async [Symbol.asyncDispose]() {
      await checkpointer.stop()
      wal.close()
      emptyLog(file, onLogLeft)
      await queries.destroy()
      lock.close()
    },
  }
}

/** A database that is only looked at. */
export interface ReadOnlyFile extends Disposable {
  readonly queries: Queries
  /** Runs a pragma or a query as it is; its rows. */
  all<T>(text: string): T[]
}

/**
 * Opens a database file without changing it or its log.
 * @param folder locked meanwhile, when the file is a data folder's own @throws {FolderInUse}
 */
export function openReadOnly(path: string, { folder }: { readonly folder?: string } = {}): ReadOnlyFile {
  const lock = folder === undefined ? undefined : lockFolder(folder)
  const file = new SqliteFile(path, { readonly: true })
  const queries = new Kysely<Schema>({ dialect: new SqliteDialect({ database: cachingStatements(file) }) })
  return {
    queries,
    all: <T>(text: string) => file.query<T, []>(text).all(),
    [Symbol.dispose]() {
      file.close()
      lock?.close()
    },
  }
}

/** Closing alone leaves the log where compiled statements are still about, and the next start would have to read it. */
function emptyLog(file: SqliteFile, onFailure: (error: unknown) => void): void {
  try {
    const row = file.query<{ busy: number }, []>('PRAGMA wal_checkpoint(TRUNCATE)').get()
    if (row?.busy === 0) return
    throw Object.assign(new Error('somebody else reads the database'), { code: 'SQLITE_BUSY' })
  } catch (error) {
    onFailure(error)
    // Closing would sync once more, and take the log away if that succeeds.
    if (isSyncFault(error)) endAtOnce()
  }
}

/** A transaction held on a file of its own: the kernel lets go of it however the process ends. */
function lockFolder(folder: string): SqliteFile {
  const lock = new SqliteFile(join(folder, 'lock'), { create: true })
  try {
    lock.run('BEGIN EXCLUSIVE')
    return lock
  } catch (cause) {
    lock.close()
    throw new FolderInUse(`the data folder ${folder} is in use by another lightwire process`, { cause })
  }
}

/** A new file survives a power cut only when its folder was synced too. */
function syncFolder(folder: string): void {
  const descriptor = openSync(folder, 'r')
  fsyncSync(descriptor)
  closeSync(descriptor)
}

/** Kysely prepares at every execution; compiling once makes a write about a quarter cheaper. */
function cachingStatements(file: SqliteFile) {
  const cache = new Map<string, Statement<unknown, never[]>>()
  return {
    close: () => file.close(),
    prepare(text: string) {
      let statement = cache.get(text)
      if (!statement) {
        statement = file.prepare<unknown, never[]>(text)
        const oldest = cache.size >= STATEMENTS_MAX ? cache.keys().next().value : undefined
        if (oldest !== undefined) {
          cache.get(oldest)?.finalize()
          cache.delete(oldest)
        }
        cache.set(text, statement)
      }
      return statement as never
    },
  }
}

function createWalSync(path: string) {
  let descriptor: number | undefined
  return {
    sync: () =>
      new Promise<void>((resolve, reject) => {
        descriptor ??= openSync(path, 'r+')
        fdatasync(descriptor, (error) => (error ? reject(error) : resolve()))
      }),
    close() {
      if (descriptor !== undefined) closeSync(descriptor)
      descriptor = undefined
    },
  }
}

/** What the Worker answers. */
interface Checkpointed {
  readonly walPages: number
  readonly error?: { readonly code?: string; readonly message: string }
}

/** A checkpoint syncs log and database, so it runs in a Worker over a connection of its own. */
function createCheckpointer(path: string) {
  let worker: Worker | undefined
  let running: Promise<{ walPages: number }> | undefined

  const start = () => {
    worker ??= new Worker(new URL('./checkpoint-worker.ts', import.meta.url).href)
    worker.unref()
    return worker
  }
  const run = () => {
    running ??= new Promise<{ walPages: number }>((resolve, reject) => {
      const target = start()
      target.onmessage = ({ data }: MessageEvent<Checkpointed>) => {
        if (data.error === undefined) return resolve(data)
        const error = Object.assign(new Error(data.error.message), { code: data.error.code })
        reject(isStorageFault(error) ? storageRefusal(error) : error)
      }
      target.onerror = (event) => reject(new Error(event.message))
      target.postMessage(path)
    }).finally(() => {
      running = undefined
    })
    return running
  }
  return {
    run,
    async stop() {
      await running?.catch(() => undefined)
      worker?.terminate()
    },
  }
}
