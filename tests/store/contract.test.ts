/** What the store promises, on SQLite and on a real Postgres alike. */
import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { startPostgres, type PostgresCluster } from '../support/postgres.ts'
import { tools } from '../support/tools.ts'
import { openStore, type TestStore } from '../support/store.ts'
import { temporaryFolder } from '../support/server.ts'
import { Refusal } from '../../lib/protocol/refusals.ts'
import type { StoredEvent } from '../../lib/protocol/events.ts'

setDefaultTimeout(60_000)

const bin = tools.postgresBin
if (bin === undefined && process.env['CI'])
  throw new Error('CI needs Postgres (initdb) for the store contract')
let cluster: Promise<PostgresCluster> | undefined
afterAll(async () => (await cluster)?.[Symbol.asyncDispose]())

async function open(
  kind: 'sqlite' | 'postgres',
  options: Parameters<typeof openStore>[1] = {},
): Promise<TestStore> {
  if (kind === 'sqlite') return await openStore({ folder: temporaryFolder() }, options)
  cluster ??= startPostgres(bin ?? '')
  return await openStore({ url: await (await cluster).createDatabase() }, options)
}

const note = (text: string) => ({ type: 'system_status', data: { status: text, details: {} } }) as const

for (const kind of ['sqlite', 'postgres'] as const) {
  describe.skipIf(kind === 'postgres' && bin === undefined)(`the store on ${kind}`, () => {
    test('parallel writes get distinct seqs without a gap, told in commit order', async () => {
      await using store = await open(kind)

      const done = await Promise.all(
        Array.from({ length: 300 }, (_, n) => store.writer.write(async (write) => write.emit(note(`${n}`)))),
      )

      const seqs = done.flatMap(({ events }) => events.map(({ seq }) => seq))
      const told = store.durable.map(({ seq }) => seq)
      expect(seqs.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 300 }, (_, n) => n + 1))
      expect(told).toEqual(told.toSorted((a, b) => a - b))
      expect((await readAll(store)).map(({ seq }) => seq)).toEqual(told)
    })

    test('a failing write rolls back alone, with its events', async () => {
      await using store = await open(kind)

      const outcomes = await Promise.allSettled(
        ['a', 'b', 'c'].map((name) =>
          store.writer.write(async (write) => {
            await write.queries.insertInto('counters').values({ name, value: 1 }).execute()
            write.emit(note(name))
            if (name === 'b') throw new Refusal('conflict', 'no')
          }),
        ),
      )

      const counters = await store.database.queries
        .selectFrom('counters')
        .select('name')
        .orderBy('name')
        .execute()
      expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
      expect(counters.map(({ name }) => name)).toEqual(['a', 'c'])
      expect((await readAll(store)).map(({ data }) => JSON.parse(data).status)).toEqual(['a', 'c'])
    })

    test('a statement that the database refuses fails its own write only', async () => {
      await using store = await open(kind)
      const insert = () =>
        store.writer.write(async ({ queries }) => {
          await queries.insertInto('counters').values({ name: 'same', value: 1 }).execute()
        })

      const outcomes = await Promise.allSettled([
        insert(),
        insert(),
        store.writer.write(async (w) => w.emit(note('x'))),
      ])

      expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    })

    test('derived events come once per commit, after the writes that touched them', async () => {
      const groups: string[][] = []
      await using store = await open(kind, {
        derive: async (write, touched) => {
          if (touched.size === 0) return
          groups.push([...touched])
          write.emit(note('derived'))
        },
      })

      await Promise.all(
        Array.from({ length: 40 }, () =>
          store.writer.write(async (write) => {
            write.touch('queue')
            write.emit(note('own'))
          }),
        ),
      )

      const stored = (await readAll(store)).map(({ data }) => JSON.parse(data).status as string)
      expect(stored.filter((text) => text === 'own')).toHaveLength(40)
      expect(stored.filter((text) => text === 'derived')).toHaveLength(groups.length)
      expect(groups.length).toBeLessThan(40)
    })

    test('an event over 64 KiB is refused before its commit', async () => {
      await using store = await open(kind)

      const write = store.writer.write(async (w) => w.emit(note('x'.repeat(65_536))))

      await expect(write).rejects.toMatchObject({ code: 'too_large' })
      expect(await readAll(store)).toEqual([])
    })

    test('over its bound of pending writes it refuses, and serves those it accepted', async () => {
      await using store = await open(kind, { pendingMax: 5 })

      const outcomes = await Promise.allSettled(
        Array.from({ length: 8 }, () => store.writer.write(async (w) => w.emit(note('x')))),
      )

      const refused = outcomes.filter((outcome) => outcome.status === 'rejected')
      expect(refused).toHaveLength(3)
      expect(refused[0]?.reason).toMatchObject({ code: 'storage_unavailable' })
      expect(await readAll(store)).toHaveLength(5)
    })

    test('a snapshot names the heads of the very state it read', async () => {
      await using store = await open(kind)
      const bump = () =>
        store.writer.write(async ({ queries, emit }) => {
          await queries.updateTable('heads').set({ trimmed: 0 }).where('channel', '=', 'jobs').execute()
          emit(note('x'))
        })
      const reads = Promise.all(
        Array.from({ length: 30 }, () =>
          store.journal.snapshot(async (queries) => {
            const row = await queries
              .selectFrom('events')
              .select(({ fn }) => fn.countAll<number>().as('count'))
              .executeTakeFirstOrThrow()
            return Number(row.count)
          }),
        ),
      )

      await Promise.all([...Array.from({ length: 60 }, bump), reads])

      for (const { value, heads } of await reads) expect(heads.system).toBe(value)
    })

    test('retention takes the oldest in small steps and remembers how far', async () => {
      await using store = await open(kind)
      await Promise.all(
        Array.from({ length: 1200 }, (_, n) => store.writer.write(async (w) => w.emit(note(`${n}`)))),
      )

      const steps = [
        await store.trim({ events: 100 }),
        await store.trim({ events: 100 }),
        await store.trim({ events: 100 }),
      ]

      expect(steps).toEqual([true, true, false])
      expect(store.journal.trimmed().system).toBe(1100)
      expect((await readAll(store)).map(({ seq }) => seq)[0]).toBe(1101)
    })

    test('retention by age takes what is older, whatever its number', async () => {
      let now = Date.parse('2026-01-01T00:00:00Z')
      await using store = await open(kind, { now: () => new Date(now) })
      for (let day = 0; day < 5; day += 1) {
        await store.writer.write(async (w) => w.emit(note(`${day}`)))
        now += 86_400_000
      }

      await store.trim({ days: 2 })

      expect((await readAll(store)).map(({ data }) => JSON.parse(data).status)).toEqual(['3', '4'])
    })

    test('writes wait while the log is emptied, and go on after', async () => {
      await using store = await open(kind)
      const order: string[] = []
      const emptied = store.writer.pauseWhile(async () => {
        for (let n = 0; n < 20; n += 1) await store.journal.read('system', 0, 1)
        order.push('emptied')
      })

      await store.writer.write(async () => order.push('written'))
      await emptied

      expect(order).toEqual(['emptied', 'written'])
    })

    test('stopping waits for the writes it accepted and refuses later ones', async () => {
      await using store = await open(kind)
      const accepted = store.writer.write(async (w) => w.emit(note('last')))

      await store.writer.stop()

      await expect(store.writer.write(async () => undefined)).rejects.toMatchObject({ code: 'draining' })
      expect((await accepted).events).toHaveLength(1)
    })

    test('cursors of this journal are recovered after a restart, of no other', async () => {
      await using store = await open(kind)
      await store.writer.write(async (w) => [w.emit(note('a')), w.emit(note('b'))])
      const { epoch } = store.lineage
      await using again = await store.reopen()
      const judge = (cursor: { epoch: string; positions: { system?: number } }) =>
        again.lineage.judge(cursor, 'system', {
          heads: again.journal.heads(),
          trimmed: again.journal.trimmed(),
        })

      expect(judge({ epoch, positions: { system: 1 } })).toEqual({ status: 'recovered' })
      expect(judge({ epoch, positions: { system: 2 } })).toEqual({ status: 'recovered' })
      expect(judge({ epoch, positions: { system: 3 } })).toEqual({
        status: 'snapshot_required',
        reason: 'epoch',
      })
      expect(judge({ epoch, positions: {} })).toEqual({ status: 'live' })
      expect(judge({ epoch: 'ffff', positions: { system: 1 } })).toMatchObject({ reason: 'epoch' })
      expect(again.lineage.epoch === epoch).toBe(kind === 'postgres')
    })
  })
}

async function readAll({ journal }: TestStore): Promise<StoredEvent[]> {
  return await journal.read('system', 0, 10_000)
}
