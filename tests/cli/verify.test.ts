/** `server.ts verify` as an operator runs it, and each kind of damage that it names. */
import { Database } from 'bun:sqlite'
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createTold } from '../../lib/domain/told.ts'
import { verifyRows } from '../../lib/domain/verify-rows.ts'
import { verifyJournal, verifyLineage } from '../../lib/store/verify-journal.ts'
import { copyFolder, settle } from '../faults/flips.ts'
import { fillFolder } from '../faults/shoots.ts'
import { needs } from '../support/needs.ts'
import { startPostgres } from '../support/postgres.ts'
import { projectRoot, startProcess } from '../support/process.ts'
import { startTestServer, temporaryFolder } from '../support/server.ts'
import { openStore } from '../support/store.ts'

setDefaultTimeout(60_000)

const home = temporaryFolder()
const sound = join(home.path, 'sound')
beforeAll(() => fillFolder(sound))
afterAll(() => home[Symbol.dispose]())

test('the data of a killed server holds, point by point, and verify changes nothing', async () => {
  using copy = temporaryFolder()
  copyFolder(sound, copy.path)

  const twice = [await verifyFolder(copy.path), await verifyFolder(copy.path)]

  expect(twice.map(({ code }) => code)).toEqual([0, 0])
  expect(twice[0]?.lines).toEqual(twice[1]?.lines ?? [])
  expect(twice[0]?.lines.map((line) => /^ {2}ok {6}([a-z -]+):/.exec(line)?.[1])).toEqual([
    'write-ahead log',
    'database file',
    'journal',
    'lineage',
    'rows readable',
    'kept counts',
    'rows as events tell',
  ])
})

test('verify refuses a folder whose server runs, in one line', async () => {
  using folder = temporaryFolder()
  const server = await startProcess({ folder: folder.path })

  const { code, lines } = await verifyFolder(folder.path)
  await server.kill()

  expect(code).toBe(1)
  expect(lines).toEqual([expect.stringContaining('is in use by another lightwire process')])
})

test('verify checks a copy of the database beside a server that runs, and names what is no database', async () => {
  using folder = temporaryFolder()
  await using server = await startTestServer()
  const backup = join(folder.path, 'copy.db')
  await server.api('POST', '/api/sessions', { name: 'Wedding', import_folder: '/x' })
  using file = new Database(join(server.folder, 'lightwire.db'), { readonly: true })
  file.query('vacuum into ?').run(backup)
  writeFileSync(
    join(folder.path, 'text.db'),
    'no database at all, but long enough to look like one'.repeat(20),
  )

  const good = await verifyFolder(server.folder, '--backup', backup)
  const bad = await verifyFolder(server.folder, '--backup', join(folder.path, 'text.db'))
  const none = await verifyFolder(server.folder, '--backup', join(folder.path, 'none.db'))

  expect([good.code, bad.code, none.code]).toEqual([0, 1, 1])
  expect(bad.lines.join('\n')).toContain('FAILED  database file: file is not a database')
  expect(none.lines).toEqual([expect.stringMatching(/^lightwire: there is no database/)])
})

const damages: [name: string, statement: string, named: RegExp][] = [
  [
    'an event',
    "update events set data = replace(data, 'Day 1', 'Day 7') where type = 'session_created'",
    /journal: sessions \d+ does not fit its hash/,
  ],
  [
    'a time of an event',
    "update events set timestamp = '2020-01-01T00:00:00.000Z' where channel = 'jobs' and seq = 3",
    /journal: jobs 3 does not fit/,
  ],
  [
    'an event that is gone',
    "delete from events where channel = 'photos' and seq = 9",
    /journal: photos 10 follows 8/,
  ],
  [
    'a tail that is gone',
    "delete from events where channel = 'queue' and seq > (select seq - 3 from heads where channel = 'queue')",
    /journal: the head of queue is \d+, its last event/,
  ],
  [
    'a tail that is gone with its head',
    "delete from events where channel = 'queue' and seq = (select seq from heads where channel = 'queue'); update heads set seq = seq - 1 where channel = 'queue'",
    /journal: the head of queue does not fit its last event's hash/,
  ],
  [
    'where an epoch began',
    'update epochs set heads = replace(heads, \'"jobs":\', \'"jobs":1\') where ordinal = 2',
    /lineage: epoch 2 does not fit its hash/,
  ],
  [
    'a count',
    "update counters set value = value + 1 where name = 'photos.imported'",
    /kept counts: photos.imported is kept as \d+, and is/,
  ],
  [
    'a count of a session',
    'update sessions set photo_counts = \'{"imported":3}\' where id = 1',
    /kept counts: sessions 1: photo_counts/,
  ],
  [
    'a status',
    "update jobs set status = 'pendinh' where ordinal = 1",
    /rows readable: jobs [0-9a-f]+: status/,
  ],
  [
    'JSON',
    "update photos set analysis_results = '{' where id = 1",
    /rows readable: photos 1: analysis_results is no JSON/,
  ],
  [
    'what a photo was tagged',
    "update photos set context_tag = 'portrbit' where context_tag = 'portrait'",
    /rows as events tell: photos \d+: its events tell context_tag otherwise/,
  ],
  [
    'the result of a job',
    `update jobs set result = '{"output":"/out/2.tif"}' where status = 'completed'`,
    /rows as events tell: jobs [0-9a-f]+: its events tell result otherwise/,
  ],
  [
    'the size of an export',
    "update exports set file_size = file_size + 64 where status = 'completed'",
    /rows as events tell: exports \d+: its events tell otherwise/,
  ],
  [
    'a reference',
    'pragma foreign_keys = off; delete from photos where id = (select photo_id from exports limit 1)',
    /database file: row \d+ of (jobs|exports) refers to a row/,
  ],
]

for (const [name, statement, named] of damages) {
  test(`verify names ${name} that was changed behind the server's back`, async () => {
    using copy = temporaryFolder()
    copyFolder(sound, copy.path)
    settle(copy.path)
    using file = new Database(join(copy.path, 'lightwire.db'))
    file.run(statement)
    file.close()

    const { code, lines } = await verifyFolder(copy.path)

    expect(code).toBe(1)
    expect(lines.filter((line) => line.startsWith('  FAILED')).join('\n')).toMatch(named)
  })
}

const stores = ['sqlite', 'postgres'] as const

for (const kind of stores) {
  const testOn =
    kind === 'postgres'
      ? needs('postgresBin')
      : (title: string, run: (tool: { postgresBin: string }) => Promise<void>) =>
          test(title, () => run({ postgresBin: '' }))
  testOn(
    `on ${kind} the chain holds over parallel writes, retention and another start, and a change breaks it`,
    async ({ postgresBin }) => {
      await using cluster = kind === 'postgres' ? await startPostgres(postgresBin) : undefined
      const place = cluster ? { url: await cluster.createDatabase() } : { folder: temporaryFolder() }
      await using first = await openStore(place)
      const note = (status: string) => ({ type: 'system_status', data: { status, details: {} } }) as const
      const write = (store: typeof first, times: number) =>
        Promise.all(
          Array.from({ length: times }, (_, n) => store.writer.write(async ({ emit }) => emit(note(`${n}`)))),
        )
      const look = (store: typeof first) =>
        store.database.read(async (queries) => {
          const told = createTold()
          const journal = await verifyJournal(queries, ({ event, data }) => told.add(event, data))
          const lineage = await verifyLineage(queries)
          const { shapes, counts, stories } = await verifyRows(queries, told, journal.trimmed)
          return [journal, lineage, shapes, counts, stories].flatMap(({ faults }) => faults)
        })

      await write(first, 700)
      while (await first.trim({ events: 120 }));
      await write(first, 30)
      const trimmed = await look(first)
      await using second = await first.reopen()
      await write(second, 5)
      const reopened = await look(second)
      const { heads } = await second.database.read(async (queries) => ({
        heads: await queries
          .selectFrom('heads')
          .selectAll()
          .where('channel', '=', 'system')
          .executeTakeFirstOrThrow(),
      }))
      await second.database.queries
        .updateTable('events')
        .set({ timestamp: '2020-01-01T00:00:00.000Z' })
        .where('channel', '=', 'system')
        .where('seq', '=', heads.seq - 4)
        .execute()
      const changed = await look(second)

      expect(heads).toMatchObject({ seq: 735, trimmed: 580 })
      expect([trimmed, reopened]).toEqual([[], []])
      expect(changed).toEqual(['system 731 does not fit its hash'])
    },
  )
}

/** Runs the command as an operator would; its exit code and lines of both outputs. */
async function verifyFolder(folder: string, ...words: string[]) {
  const { PATH = '', HOME = '' } = process.env
  const child = Bun.spawn([process.execPath, 'run', join(projectRoot, 'server.ts'), 'verify', ...words], {
    env: { PATH, HOME, DATA_DIR: folder },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const texts = await Promise.all([child.stdout, child.stderr].map((stream) => new Response(stream).text()))
  const lines = texts
    .join('')
    .split('\n')
    .filter((line) => line !== '')
  return { code: await child.exited, lines }
}
