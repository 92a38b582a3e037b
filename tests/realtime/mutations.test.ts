import { expect, setDefaultTimeout, test } from 'bun:test'
import { startTestServer } from '../support/server.ts'
import { checkMutations } from './mutations.ts'

setDefaultTimeout(120_000)

test('thousands of mutated messages meet no bug, and every framing answers the same value alike', async () => {
  await using server = await startTestServer({ DURABILITY: 'normal' })

  const { outcomes, bugs, faults } = await checkMutations(server, { seed: 20_261_124, perFraming: 2000 })

  expect(faults.slice(0, 3)).toEqual([])
  expect(bugs).toBe(0)
  // They are mutations of something: some are still good, and most kinds of refusal are met.
  expect(Object.keys(outcomes)).toEqual(
    expect.arrayContaining([
      'published',
      'subscription_confirmed',
      'pong',
      'invalid_message',
      'unknown_type',
      'unknown_channel',
    ]),
  )
})
