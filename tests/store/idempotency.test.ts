/** Kept answers in the store, on SQLite and on a real Postgres: within one transaction, beside bugs, after their time. */
import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { answerOnce, expireAnswers, type Answer, type KeyedRequest } from '../../lib/store/idempotency.ts'
import type { Committed, Write } from '../../lib/store/write.ts'
import { startPostgres, type PostgresCluster } from '../support/postgres.ts'
import { temporaryFolder } from '../support/server.ts'
import { openStore, type TestStore } from '../support/store.ts'
import { tools } from '../support/tools.ts'

setDefaultTimeout(60_000)

const bin = tools.postgresBin
if (bin === undefined && process.env['CI']) throw new Error('CI needs Postgres (initdb) for kept answers')
let cluster: Promise<PostgresCluster> | undefined
afterAll(async () => (await cluster)?.[Symbol.asyncDispose]())

async function open(kind: string, now: () => Date = () => new Date()): Promise<TestStore> {
  if (kind === 'sqlite') return await openStore({ folder: temporaryFolder() }, { now })
  cluster ??= startPostgres(bin ?? '')
  return await openStore({ url: await (await cluster).createDatabase() }, { now })
}

const asked = (key: string, body: unknown = null): KeyedRequest => ({
  subject: 's',
  method: 'POST',
  path: '/p',
  key,
  body,
})

const emit = async (write: Write) =>
  write.emit({ type: 'system_status', data: { status: 'on', details: {} } })
const seqs = ({ events }: Committed<unknown>): Answer => ({
  status: 200,
  body: JSON.stringify(events.map(({ seq }) => seq)),
  cursor: 'c',
})
const kept = () => true

const send = (store: TestStore, request: KeyedRequest, answer = seqs) =>
  answerOnce(store.writer.write, request, { run: emit, answer, keep: kept })

const countOf = async ({ database }: TestStore, table: 'idempotency' | 'events') =>
  Number(
    (
      await database.queries
        .selectFrom(table)
        .select(({ fn }) => fn.countAll().as('n'))
        .executeTakeFirstOrThrow()
    ).n,
  )

for (const kind of ['sqlite', 'postgres'] as const) {
  describe.skipIf(kind === 'postgres' && bin === undefined)(`kept answers on ${kind}`, () => {
    test('equal requests in one transaction get the answer of the first of them', async () => {
      await using store = await open(kind)
      const group = store.writer.write(emit)

      const outcomes = await Promise.all(['a', 'b', 'a', 'b', 'a'].map((key) => send(store, asked(key))))
      await group

      expect(outcomes.map(({ answer, replayed }) => [answer.body, replayed])).toEqual([
        ['[2]', false],
        ['[3]', false],
        ['[2]', true],
        ['[3]', true],
        ['[2]', true],
      ])
      expect(await countOf(store, 'events')).toBe(3)
    })

    test('an answer that cannot be made fails its own request only, and keeps nothing', async () => {
      await using store = await open(kind)
      const broken = () => {
        throw new TypeError('a bug')
      }

      const outcomes = await Promise.allSettled([
        store.writer.write(emit),
        send(store, asked('bad'), broken),
        send(store, asked('good')),
      ])

      expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
      expect(await countOf(store, 'idempotency')).toBe(1)
      expect((await send(store, asked('bad'))).replayed).toBe(false)
    })

    test('a last step that fails before the commit fails the whole commit', async () => {
      await using store = await open(kind)

      const outcomes = await Promise.allSettled([
        store.writer.write(async (write) => {
          await emit(write)
          write.beforeCommit(() => Promise.reject(new Error('no')))
        }),
      ])

      expect(outcomes.map(({ status }) => status)).toEqual(['rejected'])
      expect(await countOf(store, 'events')).toBe(0)
    })

    test('what has expired goes in small steps, what has not stays', async () => {
      const clock = { ms: Date.UTC(2026, 10, 22) }
      await using store = await open(kind, () => new Date(clock.ms))
      await Promise.all(Array.from({ length: 230 }, (_, n) => send(store, asked(`${n}`))))
      clock.ms += 24 * 3_600_000
      await send(store, asked('fresh'))

      const counts = []
      for (let more = true; more;) {
        more = await expireAnswers(store.writer.write)
        counts.push(await countOf(store, 'idempotency'))
      }

      expect(counts).toEqual([131, 31, 1])
    })

    test('bodies are equal as JSON values: neither order nor spelling of a number counts, a default does', async () => {
      await using store = await open(kind)
      const parse = (text: string): unknown => JSON.parse(text)
      await send(store, asked('k', parse('{"a":{"c":1,"b":[1,2]},"d":"ä"}')))

      const same = await send(store, asked('k', parse('{"d":"\\u00e4","a":{"b":[1.0,2e0],"c":1}}')))
      const others = await Promise.allSettled(
        [
          '{"a":{"c":1,"b":[2,1]},"d":"ä"}',
          '{"a":{"c":"1","b":[1,2]},"d":"ä"}',
          '{"a":{"c":1,"b":[1,2]}}',
          '{}',
        ].map((text) => send(store, asked('k', parse(text)))),
      )

      expect(same.replayed).toBe(true)
      expect(others.map((other) => other.status === 'rejected' && other.reason.code)).toEqual(
        Array(4).fill('idempotency_mismatch'),
      )
    })
  })
}
