/** Checks an SQLite file as a file: its header, SQLite's own checks, and the schema that this version writes. */
import { Database as SqliteFile } from 'bun:sqlite'
import { closeSync, openSync, readSync } from 'node:fs'
import { Kysely, SqliteDialect } from 'kysely'
import { createFindings } from './findings.ts'
import { migrate } from './migrations.ts'
import type { Schema } from './schema.ts'
import type { ReadOnlyFile } from './sqlite.ts'

/** In the header, the versions of the format for writing and for reading: 1 rollback journal, 2 write-ahead log. */
const VERSIONS_AT = 18
const FAULTS_MAX = 10

const SCHEMA = 'select type, name, tbl_name, sql from sqlite_schema order by type, name'
const MIGRATIONS = 'select name from kysely_migration order by name'

export async function verifyFile(path: string, file: ReadOnlyFile) {
  const { add, faults } = createFindings()
  const [write, read] = readVersions(path)
  if (write !== read || (read !== 1 && read !== 2)) add(`its header has format versions ${write} and ${read}`)
  for (const { integrity_check: told } of file.all<{ integrity_check: string }>(
    `pragma integrity_check(${FAULTS_MAX})`,
  )) {
    if (told !== 'ok') add(told)
  }
  for (const { table, rowid } of file.all<{ table: string; rowid: number }>('pragma foreign_key_check')) {
    add(`row ${rowid} of ${table} refers to a row that is not there`)
  }
  const expected = await currentSchema()
  const [ours, theirs] = [expected.migrations, file.all<{ name: string }>(MIGRATIONS).map(({ name }) => name)]
  if (ours.join() !== theirs.join()) {
    const older = theirs.every((name, index) => name === ours[index])
    add(
      older
        ? 'it was written by an older version; start the server once'
        : `its migrations are ${theirs.join(', ')}`,
    )
  } else if (JSON.stringify(file.all(SCHEMA)) !== JSON.stringify(expected.schema)) {
    add('its tables and indexes are not declared as this version does')
  }
  for (const { name, seq } of file.all<{ name: string; seq: number }>(
    'select name, seq from sqlite_sequence',
  )) {
    const [row] = file.all<{ last: number | null }>(
      `select max(rowid) as last from "${name.replaceAll('"', '""')}"`,
    )
    if (!Number.isInteger(seq) || seq < (row?.last ?? 0)) add(`the next number of ${name} was given already`)
  }
  const pages = file.all<{ page_count: number }>('pragma page_count')[0]?.page_count ?? 0
  // Of another version's data nothing more can be said.
  return { detail: `${pages} pages`, faults: faults(), current: ours.join() === theirs.join() }
}

/** What a new database has. */
async function currentSchema() {
  using file = new SqliteFile(':memory:')
  const queries = new Kysely<Schema>({ dialect: new SqliteDialect({ database: file as never }) })
  await migrate({ dialect: 'sqlite', queries })
  const migrations = file
    .query<{ name: string }, []>(MIGRATIONS)
    .all()
    .map(({ name }) => name)
  return { schema: file.query(SCHEMA).all(), migrations }
}

function readVersions(path: string): number[] {
  const bytes = Buffer.alloc(2)
  const descriptor = openSync(path, 'r')
  try {
    readSync(descriptor, bytes, 0, 2, VERSIONS_AT)
  } finally {
    closeSync(descriptor)
  }
  return [...bytes]
}
