/** The schema's history: each migration runs once, in order, on SQLite and on Postgres. */
import { sql, type Kysely } from 'kysely'
import { Migrator, type Migration } from 'kysely/migration'
import { channels } from '../protocol/events.ts'
import { chainHash, epochHash } from './chain.ts'
import { isStorageFault } from './faults.ts'
import type { Database, Schema } from './schema.ts'

/** Events hashed at a time. */
const PAGE = 1000

/** The database was written by a newer version of the program. */
export class NewerSchema extends Error {
  override readonly name = 'NewerSchema'
}

/** Brings the database to the newest schema, or leaves it as it was. @throws {NewerSchema} and what the database says */
export async function migrate({ dialect, queries }: Pick<Database, 'dialect' | 'queries'>): Promise<void> {
  if (dialect === 'postgres') return await migrateOn(queries, dialect)
  // Kysely takes SQLite for one whose schema no transaction can hold; a start that ends in the middle would be the last.
  await queries.connection().execute(async (held) => {
    await sql`begin immediate`.execute(held)
    try {
      await migrateOn(held, dialect)
      await sql`commit`.execute(held)
    } catch (error) {
      // After a full disk SQLite has rolled it back by itself.
      await sql`rollback`.execute(held).catch(() => undefined)
      throw error
    }
  })
}

async function migrateOn(db: Kysely<Schema>, dialect: Database['dialect']): Promise<void> {
  const migrator = new Migrator({
    db,
    provider: { getMigrations: () => Promise.resolve(migrationsFor(dialect)) },
  })
  const { error } = await migrator.migrateToLatest()
  if (!error) return
  if (isStorageFault(error)) throw error
  // Kysely has no other sign of it.
  if (error instanceof Error && error.message.startsWith('corrupted migrations'))
    throw new NewerSchema('the database was written by a newer version; start that one', { cause: error })
  throw new Error('the database could not be brought to the newest schema', { cause: error })
}

function migrationsFor(dialect: Database['dialect']): Record<string, Migration> {
  return {
    '0001_spine': { up: (db) => createSpine(db, dialect) },
    '0002_domain': { up: (db) => completeDomain(db, dialect) },
    '0003_idempotency': { up: (db) => keepAnswers(db, dialect) },
    '0004_journal_hash': { up: (db) => chainJournal(db, dialect) },
  }
}

function typesOf(dialect: Database['dialect']) {
  const postgres = dialect === 'postgres'
  return {
    // AUTOINCREMENT: an id that a client has seen never names another row.
    identity: sql.raw(
      postgres ? 'bigint generated always as identity primary key' : 'integer primary key autoincrement',
    ),
    integer: sql.raw(postgres ? 'bigint' : 'integer'),
    real: sql.raw(postgres ? 'double precision' : 'real'),
    // Text is compared by code point on both, so that names and times sort alike.
    text: sql.raw(postgres ? 'text collate "C"' : 'text'),
    clustered: sql.raw(postgres ? '' : 'without rowid'),
  }
}

async function createSpine(db: Kysely<unknown>, dialect: Database['dialect']): Promise<void> {
  const { identity, integer, real, text, clustered } = typesOf(dialect)

  const statements = [
    sql`create table sessions (
      id ${identity}, name ${text} not null unique, import_folder ${text} not null, status ${text} not null,
      total_photos ${integer} not null, processed_photos ${integer} not null, progress_percent ${real} not null,
      photo_counts ${text} not null, total_override ${integer}, processed_override ${integer},
      created_at ${text} not null, updated_at ${text} not null)`,
    sql`create table photos (
      id ${identity}, session_id ${integer} references sessions (id), file_name ${text} not null,
      file_path ${text} not null unique, file_size ${integer} not null, status ${text} not null, ai_score ${real},
      analysis_results ${text} not null, context_tag ${text} not null, selected_preset ${text} not null,
      rejection_reason ${text} not null, imported_at ${text} not null, updated_at ${text} not null)`,
    sql`create index photos_session on photos (session_id, id)`,
    sql`create index photos_status on photos (status, id)`,
    sql`create table jobs (
      ordinal ${identity}, id ${text} not null unique, photo_id ${integer} not null references photos (id),
      session_id ${integer}, priority ${integer} not null, config ${text} not null, status ${text} not null,
      stage ${text} not null, progress ${real} not null, message ${text} not null, result ${text} not null,
      error_message ${text} not null, error_details ${text} not null, attempts ${integer} not null,
      worker ${text} not null, claimed_by ${text} not null, photo_status ${text} not null,
      lease_seconds ${integer} not null, lease_expires_at ${text}, created_at ${text} not null,
      started_at ${text}, completed_at ${text})`,
    sql`create index jobs_next on jobs (status, priority, ordinal)`,
    sql`create index jobs_photo on jobs (photo_id)`,
    sql`create index jobs_lease on jobs (lease_expires_at) where lease_expires_at is not null`,
    sql`create table counters (name ${text} not null primary key, value ${integer} not null)`,
    sql`create table heads (
      channel ${text} not null primary key, seq ${integer} not null, trimmed ${integer} not null)`,
    sql`create table events (
      channel ${text} not null, seq ${integer} not null, type ${text} not null, timestamp ${text} not null,
      data ${text} not null, primary key (channel, seq)) ${clustered}`,
    sql`create table epochs (
      ordinal ${identity}, epoch ${text} not null unique, started_at ${text} not null, heads ${text} not null,
      origin ${text})`,
  ]
  for (const statement of statements) await statement.execute(db)
  for (const channel of channels) {
    await sql`insert into heads (channel, seq, trimmed) values (${channel}, 0, 0)`.execute(db)
  }
}

/** Exports, revoked tokens, and an index for every filter and sort of photos and jobs that goes over many rows. */
async function completeDomain(db: Kysely<unknown>, dialect: Database['dialect']): Promise<void> {
  const { identity, integer, text } = typesOf(dialect)
  // Where a column can be null, lists sort that as the least; in SQLite it goes without saying.
  const sorted = (column: string) => (dialect === 'postgres' ? `${column} nulls first` : column)
  const index = (table: string, columns: readonly string[]) => {
    const name = [table, 'by', ...columns.map((column) => column.split(' ')[0])].join('_')
    return sql.raw(`create index ${name} on ${table} (${columns.join(', ')})`)
  }
  const statements = [
    sql`create table exports (
      id ${identity}, photo_id ${integer} not null references photos (id), session_id ${integer},
      preset_name ${text} not null, destination ${text} not null, status ${text} not null,
      output_path ${text} not null, file_size ${integer}, error_message ${text} not null,
      started_at ${text} not null, completed_at ${text})`,
    // Postgres cannot index a long path; its digest stands for it.
    ...(dialect === 'postgres'
      ? [
          sql`alter table photos drop constraint photos_file_path_key`,
          sql`create unique index photos_file_path on photos (md5(file_path))`,
        ]
      : []),
    sql`create index exports_photo on exports (photo_id, id)`,
    sql`create index exports_status on exports (status, id)`,
    sql`create table revocations (
      ordinal ${identity}, kind ${text} not null, value ${text} not null, revoked_at ${text} not null)`,
    sql`create index revocations_value on revocations (kind, value)`,
    // With a filter's equal column first a page is read in its order; with the score last it is filtered there too.
    index('photos', [sorted('ai_score'), 'id']),
    index('photos', ['status', sorted('ai_score'), 'id']),
    ...['file_name', 'updated_at'].flatMap((column) => [
      index('photos', [column, 'id', 'ai_score']),
      index('photos', ['status', column, 'id', 'ai_score']),
    ]),
    ...[[], ['status'], ['priority']].map((equal) =>
      index('jobs', [...equal, sorted('completed_at'), 'ordinal']),
    ),
    index('jobs', ['status', 'ordinal']),
    index('jobs', ['priority', 'ordinal']),
    sql`delete from counters where name like 'photos.%'`,
    sql`insert into counters (name, value) select 'photos.' || status, count(*) from photos group by status`,
    // Photos by eighths of a star, as lib/domain/counters.ts keeps them.
    sql`insert into counters (name, value)
      select 'scores.' || cast(floor(ai_score * 8) as ${integer}), count(*) from photos
      where ai_score is not null group by floor(ai_score * 8)`,
  ]
  for (const statement of statements) await statement.execute(db)
}

/** First answers of requests that carry a key. */
async function keepAnswers(db: Kysely<unknown>, dialect: Database['dialect']): Promise<void> {
  const { integer, text } = typesOf(dialect)
  await sql`create table idempotency (
    id ${text} not null primary key, fingerprint ${text} not null, status ${integer} not null,
    body ${text} not null, cursor ${text} not null, expires_at ${text} not null)`.execute(db)
  await sql`create index idempotency_expiry on idempotency (expires_at)`.execute(db)
}

/** Hashes over the events of each channel and over the epochs, those already there included. */
async function chainJournal(db: Kysely<unknown>, dialect: Database['dialect']): Promise<void> {
  const { text } = typesOf(dialect)
  for (const [table, column] of [
    ['events', 'hash'],
    ['heads', 'hash'],
    ['heads', 'trimmed_hash'],
    ['epochs', 'hash'],
  ] as const) {
    const added = sql`alter table ${sql.table(table)} add column ${sql.ref(column)} ${text} not null default ''`
    await added.execute(db)
  }
  const tables = db as Kysely<Schema>
  for (const channel of channels) {
    let last = ''
    for (let after = 0; ;) {
      const page = await tables
        .selectFrom('events')
        .selectAll()
        .where('channel', '=', channel)
        .where('seq', '>', after)
        .orderBy('seq')
        .limit(PAGE)
        .execute()
      for (const event of page) {
        last = chainHash(last, event)
        after = event.seq
        const own = tables.updateTable('events').set({ hash: last }).where('channel', '=', channel)
        await own.where('seq', '=', event.seq).execute()
      }
      if (page.length < PAGE) break
    }
    await tables.updateTable('heads').set({ hash: last }).where('channel', '=', channel).execute()
  }
  let last = ''
  for (const row of await tables.selectFrom('epochs').selectAll().orderBy('ordinal').execute()) {
    last = epochHash(last, row)
    await tables.updateTable('epochs').set({ hash: last }).where('ordinal', '=', row.ordinal).execute()
  }
}
