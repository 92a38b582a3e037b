/** Signs of life, deadlines and expiry, with a clock that the test moves. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { startTestServer, type TestServer } from '../support/server.ts'

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
  const mute = await connectMute(server.url, server.token)

  for (let n = 0; n < 4; n += 1) {
    await passUntilLook(server, clock.pass)
  }

  const frames = await mute.ended
  expect(frames).toContain('"code":4408')
  expect(frames).toContain('"reconnect":true')
})

test("time in which the server itself stood still is nobody's silence", async () => {
  const clock = clocks()
  await using server = await startTestServer({}, clock.options)
  const client = await server.connect()
  const mute = await connectMute(server.url, server.token)
  await client.sync()

  clock.pass(100_000)
  await seenAfter(server.server.clients, clock.options.now().getTime() - 5000)
  const connected = server.server.clients().length
  for (let n = 0; n < 4; n += 1) {
    await passUntilLook(server, clock.pass)
  }

  expect(connected).toBe(2)
  expect(await client.sync()).toMatchObject({ type: 'pong' })
  expect(await mute.ended).toContain('"code":4408')
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

test('a client that the server does not read for a while is not taken for silent', async () => {
  const clock = clocks()
  const done = Promise.withResolvers<void>()
  const begun = Promise.withResolvers<void>()
  const slow = async () => {
    begun.resolve()
    await done.promise
  }
  await using server = await startTestServer({}, { ...clock.options, handlers: { slow } })
  const client = await server.connect()
  client.send({ type: 'slow' })
  await begun.promise
  // More than what is held back for it.
  for (let n = 0; n < 80; n += 1) client.send({ type: 'ping' })
  const before = clock.options.now()
  for (let n = 0; n < 6; n += 1) await passUntilLook(server, clock.pass)
  const { body } = await server.api<{ clients: { last_seen: string }[] }>('GET', '/api/websocket/clients')
  done.resolve()

  // What nobody read is no sign of life either.
  expect(new Date(body.clients[0]?.last_seen ?? '').getTime()).toBeLessThanOrEqual(before.getTime())
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

/** Lets 12 s pass; the server has looked at everybody when it closes one whose time for a token is over. */
async function passUntilLook(server: TestServer, pass: (ms: number) => unknown): Promise<void> {
  const nobody = await server.connect({ token: null })
  pass(12_000)
  await nobody.closed
}

/** A client that opens a socket and then neither speaks nor answers pings; all it was sent when it is closed. */
async function connectMute(url: string, token: string): Promise<{ ended: Promise<string> }> {
  const { hostname, port, host } = new URL(url)
  const opened = Promise.withResolvers<void>()
  const ended = Promise.withResolvers<string>()
  let received = ''
  const socket = await Bun.connect({
    hostname,
    port: Number(port),
    socket: {
      data(_, bytes) {
        received += bytes.toString('latin1')
        if (received.includes('connection_established')) opened.resolve()
        // It never answers the close either.
        if (received.includes('"type":"disconnect"')) socket.end()
      },
      close: () => ended.resolve(received),
    },
  })
  const lines = [
    'GET /ws HTTP/1.1',
    `Host: ${host}`,
    'Upgrade: websocket',
    'Connection: Upgrade',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    `Authorization: Bearer ${token}`,
  ]
  socket.write(`${lines.join('\r\n')}\r\n\r\n`)
  await opened.promise
  return { ended: ended.promise }
}
