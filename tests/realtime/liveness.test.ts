/** Signs of life, deadlines and expiry, with a clock that the test moves. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { startTestServer } from '../support/server.ts'

setDefaultTimeout(60_000)

function clocks() {
  let passedMs = 0
  const startMs = Date.now()
  return {
    pass: (ms: number) => (passedMs += ms),
    options: { now: () => new Date(startMs + passedMs), monotonicMs: () => performance.now() + passedMs },
    /** The wall clock alone jumps. */
    jumpOptions: { now: () => new Date(startMs + passedMs), monotonicMs: () => performance.now() },
  }
}

test('a client that says nothing for 1.5 heartbeats is closed with 4408', async () => {
  const clock = clocks()
  await using server = await startTestServer({}, clock.options)
  const client = await server.connect()
  await client.sync()

  clock.pass(46_000)

  expect(await client.closed).toMatchObject({ code: 4408 })
  expect(client.received.at(-1)).toMatchObject({ type: 'disconnect', code: 4408, reconnect: true })
})

test('a client that answers the protocol ping stays', async () => {
  const clock = clocks()
  await using server = await startTestServer({}, clock.options)
  const client = await server.connect()
  await client.sync()

  for (let n = 0; n < 2; n += 1) {
    clock.pass(31_000)
    // The next look pings; the client's pong shows in last_seen.
    await seenAfter(server.server.clients, clock.options.now().getTime() - 5000)
  }

  expect(await client.sync()).toMatchObject({ type: 'pong' })
})

test('a jump of the wall clock ends nobody', async () => {
  const clock = clocks()
  await using server = await startTestServer({ AUTH_DEADLINE: 100 }, clock.jumpOptions)
  const client = await server.connect({ token: await server.tokenFor('events:read') })
  await client.sync()

  clock.pass(-3_600_000)
  // It is closed by the look that would have closed the other too.
  const nobody = await server.connect({ token: null })
  await nobody.closed

  expect(await client.sync()).toMatchObject({ type: 'pong' })
})

test('a socket without a token is closed with 4502 after the deadline', async () => {
  const clock = clocks()
  await using server = await startTestServer({}, clock.options)
  const client = await server.connect({ token: null })
  await client.next('connection_established')

  clock.pass(5100)

  expect(await client.closed).toMatchObject({ code: 4502 })
})

test('a token is warned of 60 s ahead and ends the connection at exp plus leeway', async () => {
  const clock = clocks()
  await using server = await startTestServer({ HEARTBEAT: 600_000 }, clock.options)
  const token = await server.server.issueToken({ subject: 'x', scope: 'events:read', expiresInMs: 100_000 })
  const client = await server.connect({ token })
  await client.sync()

  clock.pass(41_000)
  const warning = await client.next('token_expiring')
  clock.pass(65_000)

  expect(warning).toMatchObject({ expires_at: expect.stringMatching(/Z$/) })
  expect(await client.closed).toMatchObject({ code: 4401 })
})

async function seenAfter(clients: () => readonly { last_seen: string }[], ms: number): Promise<void> {
  while (!clients().some(({ last_seen }) => Date.parse(last_seen) >= ms)) {
    await new Promise((resolve) => setImmediate(resolve))
  }
}
