/** The schema's history: each migration runs once, in order, on SQLite and on Postgres. */
import { sql, type Kysely } from 'kysely'
import { Migrator, type Migration } from 'kysely/migration'
import { channels } from '../protocol/events.ts'
import type { Database } from './schema.ts'

/** Brings the database to the newest schema. @throws when a migration fails or the database is newer. */
export async function migrate(database: Database): Promise<void> {
  const migrator = new Migrator({
    db: database.queries,
    provider: { getMigrations: () => Promise.resolve(migrationsFor(database.dialect)) },
  })
  const { error } = await migrator.migrateToLatest()
  if (error) throw new Error('the database could not be brought to the newest schema', { cause: error })
}

function migrationsFor(dialect: Database['dialect']): Record<string, Migration> {
  return {
    '0001_spine': { up: (db) => createSpine(db, dialect) },
    '0002_domain': { up: (db) => completeDomain(db, dialect) },
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
    // Lists sort nulls as the least, in both directions; SQLite's own order.
    nullsFirst: sql.raw(postgres ? 'nulls first' : ''),
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

/** Exports, revoked tokens, and an index for every field that a list of photos or jobs sorts by. */
async function completeDomain(db: Kysely<unknown>, dialect: Database['dialect']): Promise<void> {
  const { identity, integer, text, nullsFirst } = typesOf(dialect)
  const sorted = (table: string, column: string, tieBreak: string) =>
    sql`create index ${sql.raw(`${table}_by_${column}`)}
      on ${sql.raw(table)} (${sql.raw(column)} ${nullsFirst}, ${sql.raw(tieBreak)})`
  const statements = [
    sql`create table exports (
      id ${identity}, photo_id ${integer} not null references photos (id), session_id ${integer},
      preset_name ${text} not null, destination ${text} not null, status ${text} not null,
      output_path ${text} not null, file_size ${integer}, error_message ${text} not null,
      started_at ${text} not null, completed_at ${text})`,
    sql`create index exports_photo on exports (photo_id, id)`,
    sql`create index exports_status on exports (status, id)`,
    sql`create table revocations (
      ordinal ${identity}, kind ${text} not null, value ${text} not null, revoked_at ${text} not null)`,
    sql`create index revocations_value on revocations (kind, value)`,
    ...['file_name', 'ai_score', 'imported_at', 'updated_at'].map((column) => sorted('photos', column, 'id')),
    // Not a partial index: SQLite cannot know that a bound status is the one that it covers.
    sql`create index photos_approval
      on photos (status, ai_score desc ${sql.raw(dialect === 'postgres' ? 'nulls last' : '')}, id)`,
    ...['priority', 'status', 'created_at', 'started_at', 'completed_at'].map((column) =>
      sorted('jobs', column, 'ordinal'),
    ),
    sql`delete from counters where name like 'photos.%'`,
    sql`insert into counters (name, value) select 'photos.' || status, count(*) from photos group by status`,
  ]
  for (const statement of statements) await statement.execute(db)
}
