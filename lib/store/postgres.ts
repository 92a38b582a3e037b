/** Postgres behind the same store: one writer in the cluster at a time, reads that see one state. */
import { Kysely, PostgresDialect, sql } from 'kysely'
import pg from 'pg'
import type { Database, Schema } from './schema.ts'

/** Key of the advisory lock; commit order is seq order only while one transaction at a time holds it. */
const WRITER_LOCK = 0x6c_77_31
const POOL_SIZE = 10
const CONNECT_TIMEOUT_MS = 5000
const INT8_OID = 20

interface PostgresOptions {
  /** Called when an idle connection breaks; the pool replaces it by itself. */
  readonly onIdleError: (error: Error) => void
}

/** Opens a pool on a `postgres://` URL. Durability is the server's own (`synchronous_commit`). */
export function openPostgres(url: string, { onIdleError }: PostgresOptions): Database {
  const pool = new pg.Pool({
    connectionString: url,
    max: POOL_SIZE,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    types: {
      getTypeParser: (oid, format) => (oid === INT8_OID ? Number : pg.types.getTypeParser(oid, format)),
    },
  })
  // pg hangs its whole client on the error; a log needs the sentence.
  pool.on('error', ({ message }) => onIdleError(new Error(message)))
  // A client that is checked out tells of a broken connection itself, beside the query that fails.
  pool.on('connect', (client) => client.on('error', () => undefined))
  const queries = new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) })
  return {
    dialect: 'postgres',
    queries,
    async begin(held) {
      await sql`begin`.execute(held)
      await sql`select pg_advisory_xact_lock(${WRITER_LOCK})`.execute(held)
    },
    // An aborted transaction stands until it is rolled back to the savepoint; a lost one fails there.
    transactionStands: () => true,
    sync: () => Promise.resolve(),
    read: (read) =>
      queries.transaction().setIsolationLevel('repeatable read').setAccessMode('read only').execute(read),
    async origin(held) {
      const { rows } = await sql<{ origin: string }>`
        select (select system_identifier from pg_control_system())::text || '/' ||
          (select timeline_id from pg_control_checkpoint())::text as origin`.execute(held)
      return rows[0]?.origin ?? null
    },
    async [Symbol.asyncDispose]() {
      await queries.destroy()
    },
  }
}
