/** Keys over a server that is killed: one effect, one event and one answer for each, however often it is asked. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import type { Patch } from '../support/planted.ts'
import { runKeyed } from './keyed-run.ts'

// Real processes on a busy machine.
setDefaultTimeout(180_000)

test('500 requests, each sent three times at once through kills, have one effect, one event and one answer', async () => {
  const { unequal, ...counts } = await runKeyed({ requests: 500, kills: 5 })

  console.log(JSON.stringify(counts))
  expect(unequal).toEqual([])
  expect(counts).toMatchObject({ kills: 5, exports: 250, events: 500, distinct: 500 })
  // Each is first answered once, unless its server was killed before that answer left.
  expect(counts.replayed - counts.orphaned).toBe(1000)
  expect(counts.unanswered).toBeGreaterThan(5)
})

/**
 * Equal requests wait for one another, and yet the answer is stored in a transaction after that of its effect: late enough
 * for a kill to fall between.
 */
const storedAfterwards: readonly Patch[] = [
  {
    file: 'lib/store/idempotency.ts',
    find: 'const fingerprint = digest(body)\n',
    replace: `const fingerprint = digest(body)
      const held = globalThis as unknown as { locks?: Map<string, Promise<void>> }
      const locks = (held.locks ??= new Map())
      while (locks.has(id)) await locks.get(id)
      const { promise, resolve } = Promise.withResolvers<void>()
      locks.set(id, promise)
      using _ = { [Symbol.dispose]: () => (locks.delete(id), resolve()) }\n`,
  },
  {
    file: 'lib/store/idempotency.ts',
    find: 'if (await reserve(write, id, fingerprint)) return await makeFirst(write)',
    replace: `if ((await read(write.queries, id)) === undefined)
      return { first: true as const, value: await run(write), made: {} as { answer?: Answer } }`,
  },
  {
    file: 'lib/store/idempotency.ts',
    find: 'const committed = { value: outcome.value, ...numbered }',
    replace: `const committed = { value: outcome.value, ...numbered }
      await Bun.sleep(20)
      await runWrite(async (write) => {
        await reserve(write, id, fingerprint)
        await write.queries.updateTable('idempotency').set(answer(committed)).where('id', '=', id).execute()
      })`,
  },
]

test('without a kill an answer that is stored after its effect would do', async () => {
  const { unequal, ...counts } = await runKeyed({ requests: 100, kills: 0, patches: storedAfterwards })

  expect(unequal).toEqual([])
  expect(counts).toMatchObject({ events: 100, distinct: 100 })
})

test('it is found when an answer is stored after its effect instead of with it', async () => {
  const { events, distinct } = await runKeyed({ requests: 300, kills: 5, patches: storedAfterwards })

  expect(distinct).toBe(300)
  expect(events).toBeGreaterThan(distinct)
})
