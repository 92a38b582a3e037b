/** Handlers never take the process down: a throw or rejection in each of them is one log line and at most one socket. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { createAdmission } from '../../lib/access/admission.ts'
import { createOrigins } from '../../lib/access/origins.ts'
import { everyone } from '../../lib/access/rights.ts'
import { loadConfig } from '../../lib/config.ts'
import type { Connection } from '../../lib/realtime/connection.ts'
import type { Hub } from '../../lib/realtime/hub.ts'
import { createWebSocketTransport, type SocketData } from '../../lib/transport/websocket.ts'
import { createFetch } from '../../lib/http/front.ts'
import { TestClient } from '../support/client.ts'
import { plant } from '../support/planted.ts'
import { startProcess, tokenOf } from '../support/process.ts'
import { temporaryFolder } from '../support/server.ts'

setDefaultTimeout(60_000)

/** The limits of a server that was told nothing. */
const admissionOf = (verify: () => Promise<never>) =>
  createAdmission({ config: loadConfig({}), monotonicMs: () => 0, verify })

type Part = 'attach' | 'receive' | 'heard' | 'detach' | 'upgrade' | 'app'

/** A real Bun.serve over the real transport, with parts behind it that throw where they are told to. */
function startFaulty(part: Part) {
  const bugs: unknown[] = []
  const fail = (here: Part) => {
    if (here === part) throw new Error(`planted in ${here}`)
  }
  const connection = {
    receive: () => fail('receive'),
    drained: () => undefined,
    heard: () => fail('heard'),
    pinged: () => fail('heard'),
  } as unknown as Connection
  const hub = {
    welcome: () => undefined,
    attach: () => {
      fail('attach')
      return connection
    },
    detach: () => fail('detach'),
  } as unknown as Hub
  const origins = createOrigins({ port: 0, publicUrl: undefined, allowed: [], host: '127.0.0.1' })
  const admission = admissionOf(() => Promise.reject(new Error('planted in upgrade')))
  const transport = createWebSocketTransport({
    ...admission,
    origins: () => origins,
    hub: () => hub,
    anyone: part === 'upgrade' ? undefined : everyone,
    requireOpen: () => undefined,
    frameBytesMax: 1024,
    onBug: (error) => bugs.push(error),
    onOpen: () => undefined,
    onClosed: () => undefined,
  })
  const server = Bun.serve<SocketData>({
    port: 0,
    hostname: '127.0.0.1',
    websocket: transport.handler,
    fetch: createFetch({
      app: { fetch: () => Promise.reject(new Error('planted in app')) },
      upgrade: transport.upgrade,
      addressOf: admission.addressOf,
      requireHost: () => undefined,
      draining: new AbortController().signal,
      monotonicMs: () => 0,
      onAnswer: () => undefined,
      onRefusal: () => undefined,
      onBug: (error) => bugs.push(error),
    }),
  })
  return {
    server,
    bugs,
    url: `ws://127.0.0.1:${server.port}/ws`,
    [Symbol.asyncDispose]: () => server.stop(true),
  }
}

test.each(['attach', 'receive', 'heard'] as const)(
  'a throw in %s closes that socket with 1011',
  async (part) => {
    await using faulty = startFaulty(part)
    const client = new TestClient({ url: faulty.url })
    await client.opened.catch(() => undefined)

    if (part === 'heard') (client as unknown as { socket: { ping(): void } }).socket.ping()
    else client.sendRaw('{"type":"ping"}')

    expect(await client.closed).toMatchObject({ code: 1011 })
    expect(faulty.bugs.map(String)).toContain(`Error: planted in ${part}`)
  },
)

test('a throw in detach is told', async () => {
  await using faulty = startFaulty('detach')
  const client = new TestClient({ url: faulty.url })
  await client.opened

  client.close()
  await client.closed
  const other = new TestClient({ url: faulty.url })
  await other.opened

  expect(faulty.bugs.map(String)).toContain('Error: planted in detach')
})

test('a throw in drained closes that socket', async () => {
  const drained = Promise.withResolvers<void>()
  const { handler } = createWebSocketTransport({
    ...admissionOf(() => Promise.reject(new Error('unused'))),
    origins: () => createOrigins({ port: 0, publicUrl: undefined, allowed: [], host: '' }),
    hub: () => ({}) as Hub,
    anyone: everyone,
    requireOpen: () => undefined,
    frameBytesMax: 1024,
    onBug: () => drained.resolve(),
    onOpen: () => undefined,
    onClosed: () => undefined,
  })
  const closed: number[] = []
  const socket = {
    data: {
      connection: {
        drained: () => {
          throw new Error('planted')
        },
      },
    },
    close: (code: number) => closed.push(code),
  }

  handler.drain?.(socket as never)
  await drained.promise

  expect(closed).toEqual([1011])
})

test.each(['upgrade', 'app'] as const)(
  'a rejection in %s is answered with 500 that says nothing',
  async (part) => {
    await using faulty = startFaulty(part)

    const response = await fetch(`http://127.0.0.1:${faulty.server.port}${part === 'app' ? '/api' : '/ws'}`, {
      headers: {
        Connection: 'Upgrade',
        Upgrade: 'websocket',
        'Sec-WebSocket-Version': '13',
        'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
        Authorization: 'Bearer x',
      },
    })

    expect(response.status).toBe(500)
    expect(await response.text()).not.toContain('planted')
    expect(faulty.bugs.map(String)).toContain(`Error: planted in ${part}`)
  },
)

test('what nothing catches is logged, and the process serves on', async () => {
  using folder = temporaryFolder()
  using copy = plant([
    {
      file: 'lib/realtime/dispatch.ts',
      find: "const { client_type, client_name = null } = messages.parseBody('register', incoming.body)",
      replace: `const { client_type, client_name = null } = messages.parseBody('register', incoming.body)
    void Promise.reject(new Error('planted rejection'))
    setTimeout(() => { throw new Error('planted throw') }, 0)`,
    },
  ])
  const server = await startProcess({ folder: folder.path, root: copy.root })
  const token = await tokenOf(folder.path)
  const client = new TestClient({ url: `${server.url.replace('http', 'ws')}/ws`, token })
  await client.opened

  await client.request({ type: 'register', client_type: 'gui' })
  const logged = async () => {
    while (
      !['planted rejection', 'planted throw'].every((what) =>
        server.output.some((line) => line.includes(what)),
      )
    ) {
      await client.sync()
    }
  }
  await logged()

  expect(await client.sync()).toMatchObject({ type: 'pong' })
  expect(await server.kill('SIGTERM')).toBe(0)
})
