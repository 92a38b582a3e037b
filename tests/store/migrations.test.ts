import { expect, test } from 'bun:test'
import { sql } from 'kysely'
import { migrate } from '../../lib/store/migrations.ts'
import { openSqlite } from '../../lib/store/sqlite.ts'
import { temporaryFolder } from '../support/server.ts'

test('a first start whose disk is full in the middle leaves nothing, and a later one succeeds', async () => {
  using folder = temporaryFolder()
  await using database = openSqlite(folder.path, { durability: 'full', onLogLeft: () => undefined })
  const pages = (count: number) => sql.raw(`pragma max_page_count = ${count}`).execute(database.queries)
  const tables = async () => {
    const { rows } = await sql`select name from sqlite_master where name = 'sessions'`.execute(
      database.queries,
    )
    return rows.length
  }

  const outcomes: unknown[] = []
  for (const count of [8, 16, 24, 32]) {
    await pages(count)
    outcomes.push(await migrate(database).catch((error: { code?: string }) => error.code))
  }
  const left = await tables()
  await pages(1_000_000)
  await migrate(database)

  expect(outcomes).toEqual(Array.from({ length: 4 }, () => 'SQLITE_FULL'))
  expect(left).toBe(0)
  expect(await tables()).toBe(1)
})
