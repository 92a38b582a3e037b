/** A database as the migrations leave it: made once, copied for every seed. */
import { Database as SqliteFile } from 'bun:sqlite'
import { Kysely, SqliteDialect } from 'kysely'
import { migrate } from '../../lib/store/migrations.ts'
import type { Database, Schema } from '../../lib/store/schema.ts'

export async function migratedImage(): Promise<Uint8Array> {
  const file = new SqliteFile(':memory:')
  const queries = new Kysely<Schema>({
    dialect: new SqliteDialect({
      // Bun's database has what Kysely calls of better-sqlite3's.
      database: { close: () => file.close(), prepare: (text: string) => file.prepare(text) as never },
    }),
  })
  const database: Pick<Database, 'dialect' | 'queries'> = { dialect: 'sqlite', queries }
  // Migrations use nothing else of it.
  await migrate(database as Database)
  const image = file.serialize()
  await queries.destroy()
  return image
}
