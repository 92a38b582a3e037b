/** A virtual database server under several nodes: one sequence of writes, answers that take time, connections that break. */
import { CompiledQuery, Kysely, SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler } from 'kysely'
import type { DatabaseConnection, Driver, QueryResult } from 'kysely'
import type { Positions } from '../../lib/protocol/cursor.ts'
import type { Database, Schema } from '../../lib/store/schema.ts'
import { Killed, openImage, seenOf } from './disk.ts'
import type { Owner, Scheduler } from './scheduler.ts'
import type { Truth } from './truth.ts'

const BEGIN = CompiledQuery.raw('begin immediate')

export interface ClusterFaults {
  /** Milliseconds from a node to the database or back, drawn anew each time. */
  readonly hopMs: () => number
  /** Whether a connection breaks at this commit: before it, or before its answer came. */
  readonly readBreaks: () => boolean
  readonly commitBreaks: () => 'before' | 'after' | undefined
}

interface ClusterOptions {
  readonly image: Uint8Array
  readonly scheduler: Scheduler
  readonly truth: Truth
  readonly faults: ClusterFaults
}

export type Cluster = ReturnType<typeof createCluster>

export function createCluster({ image, scheduler, truth, faults }: ClusterOptions) {
  const file = openImage(image)
  const { prepared, seen } = seenOf(() => file)
  /** Heads of the newest commit that each process knows to have made. */
  const known = new WeakMap<Owner, Positions>()
  const broken = { commits: 0 }

  class Connection implements DatabaseConnection {
    /** Whether the next statement sees the state of the one before: a transaction, or a read of one state. */
    held = false

    constructor(private readonly process: Owner) {}

    async executeQuery<R>({ sql: text, parameters }: CompiledQuery): Promise<QueryResult<R>> {
      if (text === SNAPSHOT.sql) this.held = true
      if (this.held) return text === 'commit' ? await this.commit() : this.run<R>(text, parameters)
      await this.hop()
      if (faults.readBreaks()) throw connectionLost()
      // From here to the commit nothing comes between: the one lock of the cluster is held.
      if (text.startsWith('begin')) this.held = true
      const result = this.run<R>(text, parameters)
      if (!this.held) await this.hop()
      return result
    }

    async *streamQuery(): AsyncGenerator<never> {
      yield* []
      await Promise.reject(new Error('nothing streams here'))
    }

    hop(): Promise<void> {
      return new Promise((resolve) => {
        scheduler.post(this.process, faults.hopMs(), 'hop', resolve)
      })
    }

    private run<R>(text: string, parameters: readonly unknown[]): QueryResult<R> {
      if (!this.process.alive) {
        if (file.inTransaction) file.run('rollback')
        throw new Killed(this.process.name)
      }
      const statement = prepared(text)
      const values = parameters as never[]
      if (text === 'rollback') this.held = false
      if (statement.columnNames.length > 0) return { rows: statement.all(...values) as R[] }
      const { changes, lastInsertRowid } = statement.run(...values)
      return { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid) }
    }

    private async commit<R>(): Promise<QueryResult<R>> {
      this.held = false
      const breaks = faults.commitBreaks()
      if (breaks === 'before') this.run('rollback', [])
      else {
        this.run('commit', [])
        truth.commit(seen)
        truth.settle(truth.commits())
        scheduler.note('commit', truth.commits())
      }
      const heads = truth.heads()
      await this.hop()
      if (breaks) {
        broken.commits += 1
        throw connectionLost()
      }
      known.set(this.process, heads)
      return { rows: [] }
    }
  }

  function driverOf(process: Owner): Driver {
    const nothing = () => Promise.resolve()
    return {
      init: nothing,
      acquireConnection: () => Promise.resolve(new Connection(process)),
      beginTransaction: () => Promise.reject(new Error('the store begins its transactions by itself')),
      commitTransaction: nothing,
      rollbackTransaction: nothing,
      releaseConnection: nothing,
      destroy: nothing,
    }
  }

  return {
    open(process: Owner): Database {
      const queries = new Kysely<Schema>({
        dialect: {
          createAdapter: () => new SqliteAdapter(),
          createDriver: () => driverOf(process),
          createIntrospector: (db) => new SqliteIntrospector(db),
          createQueryCompiler: () => new SqliteQueryCompiler(),
        },
      })
      return {
        dialect: 'postgres',
        queries,
        begin: async (held) => void (await held.executeQuery(BEGIN)),
        transactionStands: () => true,
        sync: () => Promise.resolve(),
        read: async (read) => {
          const away = new Connection(process)
          await away.hop()
          // A snapshot: the state of one moment, its answer later.
          const value = await queries.connection().execute(async (held) => {
            await held.executeQuery(SNAPSHOT)
            return await read(held)
          })
          await away.hop()
          return value
        },
        origin: () => Promise.resolve('virtual/1'),
        [Symbol.asyncDispose]: () => Promise.resolve(),
      }
    },
    /** What a process has committed and was told so. */
    knownHeads: (process: Owner): Positions => known.get(process) ?? {},
    brokenCommits: () => broken.commits,
    close: () => file.close(),
  }
}

function connectionLost(): Error {
  return Object.assign(new Error('Connection terminated unexpectedly'), { code: 'ECONNRESET' })
}

/** Marks a connection as one that reads a single state. */
const SNAPSHOT = CompiledQuery.raw('select 1')
