/** `server.ts verify`: checks the data of a stopped server and says point by point what holds. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from '../lib/settings.ts'
import { createTold } from '../lib/domain/told.ts'
import { verifyRows } from '../lib/domain/verify-rows.ts'
import { openPostgres } from '../lib/store/postgres.ts'
import { openReadOnly } from '../lib/store/sqlite.ts'
import type { Queries } from '../lib/store/schema.ts'
import { verifyFile } from '../lib/store/verify-file.ts'
import { verifyJournal, verifyLineage } from '../lib/store/verify-journal.ts'
import { verifyLog } from '../lib/store/verify-log.ts'
import { readOptions, UsageError } from './options.ts'

interface Outcome {
  /** What was looked at. */
  readonly detail: string
  readonly faults: readonly string[]
}

type Print = (line: string) => void

/**
 * Checks the configured data, or a copy of a database file; whether everything holds.
 * @throws {FolderInUse} while a server runs on the folder
 */
export async function verify(
  config: Config,
  words: readonly string[],
  print: Print = console.log,
): Promise<boolean> {
  const { backup } = readOptions(words, ['backup'])
  const points = createPoints(print)
  if (backup === undefined && config.DATABASE_URL !== undefined) {
    await using database = openPostgres(config.DATABASE_URL, { onIdleError: () => undefined })
    await database.read((queries) => verifyContent(queries, points))
    return points.hold()
  }
  const path = backup ?? join(config.DATA_DIR, 'lightwire.db')
  if (!existsSync(path)) throw new UsageError(`there is no database ${path}`)
  using file = openReadOnly(path, backup === undefined ? { folder: config.DATA_DIR } : {})
  // As it lies there, before SQLite opens it.
  await points.check('write-ahead log', () => verifyLog(`${path}-wal`))
  const whole = await points.check('database file', () => verifyFile(path, file))
  if (whole?.current !== false) await verifyContent(file.queries, points)
  return points.hold()
}

type Points = ReturnType<typeof createPoints>

async function verifyContent(queries: Queries, points: Points): Promise<void> {
  const told = createTold()
  const journal = await points.check('journal', () =>
    verifyJournal(queries, ({ event, data }) => told.add(event, data)),
  )
  await points.check('lineage', () => verifyLineage(queries))
  const rows = await points.check('rows readable', async () => {
    const { shapes, ...more } = await verifyRows(queries, told, journal?.trimmed ?? {})
    return { ...shapes, ...more }
  })
  if (!rows) return
  await points.check('kept counts', () => rows.counts)
  await points.check('rows as events tell', () => rows.stories)
}

function createPoints(print: Print) {
  let faults = 0
  return {
    /** Runs a check and prints its lines; its outcome, or undefined when the data could not even be read. */
    async check<T extends Outcome>(name: string, run: () => T | Promise<T>): Promise<T | undefined> {
      const { outcome, wrong } = await attempt(run)
      faults += wrong.length
      if (wrong.length === 0) print(`  ok      ${name}: ${outcome?.detail ?? ''}`)
      for (const fault of wrong) print(`  FAILED  ${name}: ${plain(fault)}`)
      return outcome
    },
    hold: () => faults === 0,
  }
}

async function attempt<T extends Outcome>(run: () => T | Promise<T>) {
  try {
    const outcome = await run()
    return { outcome, wrong: outcome.faults }
  } catch (error) {
    // Whatever reading damaged data throws says that it is damaged.
    return { outcome: undefined, wrong: [error instanceof Error ? error.message : String(error)] }
  }
}

/** Damaged data may hold anything; a terminal gets none of it that moves its cursor. */
function plain(text: string): string {
  return text.replaceAll(/\p{Cc}+/gu, ' ').slice(0, 400)
}
