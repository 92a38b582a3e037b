/** The TypeScript client against a real server: what the scenarios that all clients share do not ask. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import {
  LightwireError,
  memoryStorage,
  type ClientOptions,
  type Following,
} from '../../clients/typescript/src/client.ts'
import { Refusal } from '../../lib/protocol/refusals.ts'
import { startMeddler } from '../support/meddler.ts'
import { startTestServer, temporaryFolder } from '../support/server.ts'
import { codeOf, say, statuses, watch } from './watched.ts'

setDefaultTimeout(30_000)

const transports = ['websocket', 'sse', 'poll'] as const

test('the last event of all, lost on the way, is asked for when a pong tells of it', async () => {
  await using server = await startTestServer({ HEARTBEAT: 2000 })
  let isLost = false
  await using meddler = startMeddler(server.url, {
    message(message) {
      if (message['status'] !== 'lost' || isLost) return [message]
      isLost = true
      return []
    },
  })
  await using watched = watch(server, { url: meddler.url })
  await watched.client.subscribe(['system'])
  await say(server, 'seen')
  await say(server, 'lost')
  await watched.until(() => watched.events.length === 2)

  expect([isLost, statuses(watched.events)]).toEqual([true, ['seen', 'lost']])
})

test('a handler that throws, or rejects, is told to onError, and the events go on', async () => {
  await using server = await startTestServer()
  await using watched = watch(server)
  watched.client.on('system_status', ({ status }) => {
    if (status === 'throw') throw new Error('thrown')
  })
  watched.client.on('system_status', async ({ status }) => {
    await Promise.resolve()
    if (status === 'reject') throw new Error('rejected')
  })
  await watched.client.subscribe(['system'])
  for (const status of ['throw', 'reject', 'last']) await say(server, status)
  await watched.until(() => watched.events.length === 3 && watched.errors.length === 2)

  expect(watched.errors.map(String)).toEqual(['Error: thrown', 'Error: rejected'])
})

test('inside a handler the cursor includes the event, and not the one behind it', async () => {
  await using server = await startTestServer()
  const cursors: (string | null)[] = []
  await using watched = watch(server)
  await watched.client.subscribe(['system'], { batchMs: 500 })
  watched.client.on('system_status', () => void cursors.push(watched.client.cursor))
  await Promise.all(['a', 'b', 'c'].map((status) => say(server, status)))
  await watched.until(() => watched.events.length === 3)

  expect(cursors.map((cursor) => cursor?.split(':')[1])).toEqual(['system=1', 'system=2', 'system=3'])
})

test('a stored cursor is where the next life goes on', async () => {
  await using server = await startTestServer()
  const storage = memoryStorage()
  await using first = watch(server, { storage })
  await first.client.subscribe(['system'])
  await say(server, 'a')
  await first.until(() => first.events.length === 1)
  first.client.close()
  await say(server, 'b')
  await using second = watch(server, { storage })
  const { recovery } = await second.client.subscribe(['system'])
  await second.until(() => second.events.length === 1)

  expect(recovery).toEqual({ system: { status: 'recovered' } })
  expect(statuses(second.events)).toEqual(['b'])
})

test('the cursor is stored from the subscription on, before the first event', async () => {
  await using server = await startTestServer()
  let keep: ((cursor: string) => void) | undefined
  const kept = new Promise<string>((resolve) => (keep = resolve))
  await using watched = watch(server, { storage: { load: () => null, save: (cursor) => keep?.(cursor) } })
  const { cursor } = await watched.client.subscribe(['system'])

  expect(await kept).toBe(cursor)
})

test.each(transports)(
  'over %s a custom handler answers a request, and its refusal is one',
  async (transport) => {
    const handlers = {
      greet: ({ name }: Readonly<Record<string, unknown>>) => ({
        type: 'greeting',
        text: `hello ${String(name)}`,
      }),
      grumble: () => {
        throw new Refusal('conflict', 'not now')
      },
    }
    await using server = await startTestServer({}, { handlers })
    await using watched = watch(server, { transport })
    const { client } = watched

    expect(await client.request({ type: 'greet', name: 'Ada' })).toMatchObject({
      type: 'greeting',
      text: 'hello Ada',
    })
    expect(await codeOf(client.request({ type: 'grumble' }))).toBe('conflict')
    expect(await codeOf(client.request({ type: 'nobody_knows' }))).toBe('unknown_type')
  },
)

test('a publish with the same key happens once over all transports, and a command does what its route does', async () => {
  await using server = await startTestServer()
  const seqs: number[] = []
  for (const transport of transports) {
    await using watched = watch(server, { transport })
    const { seq } = await watched.client.publish(
      { type: 'system_status', status: 'once' },
      { key: 'the-same' },
    )
    seqs.push(seq)
  }
  await using watched = watch(server, { transport: 'sse' })
  const { body } = await server.api<{ id: number }>('POST', '/api/sessions', {
    name: 'a',
    import_folder: '/a',
  })
  await watched.client.publish(
    {
      type: 'session_completed',
      session_id: body.id,
      session_name: 'a',
      total_photos: 0,
      approved_photos: 0,
      approval_rate: 0,
    },
    { command: true },
  )

  expect(new Set(seqs).size).toBe(1)
  const after = await server.api<{ status: string }>('GET', `/api/sessions/${body.id}`)
  expect(after.body.status).toBe('completed')
})

test.each(transports)(
  'over %s what cannot be sent is its caller’s error, and what comes behind it goes out',
  async (transport) => {
    await using server = await startTestServer()
    await using watched = watch(server, { transport })
    const { client } = watched
    const said: string[] = []
    await watched.until(() => client.status === 'connected')
    client.onStatus((status) => said.push(status))
    const publish = (value: unknown) =>
      codeOf(client.publish({ type: 'system_status', status: 'a', details: { value } }))
    // In UTF-8 it is too large, as text it is not.
    const large = 'é'.repeat(33_000)
    const outcomes = await Promise.all([publish(large), publish(1n), publish('small')])
    const subscribed = await codeOf(client.subscribe(['system'], { where: { status: large } }))
    const asked = await codeOf(client.request({ type: 'hello', large }))

    expect(outcomes).toEqual(['too_large', expect.stringContaining('TypeError'), 'done'])
    expect([subscribed, asked, client.channels, said]).toEqual(['too_large', 'too_large', [], []])
  },
)

test.each(['sse', 'poll'] as const)(
  'over %s a publish whose answer a proxy replaces happens once, and is answered',
  async (transport) => {
    await using server = await startTestServer()
    // The line that there is gives up after the second, and the next one meets the third.
    let bad = 3
    await using meddler = startMeddler(server.url, {
      answer({ path }, reply) {
        if (path !== '/ws/send' || bad === 0) return reply
        bad -= 1
        return { status: 502, text: '<html>Bad Gateway</html>', headers: new Headers() }
      },
    })
    await using watched = watch(server, { url: meddler.url, transport })
    const { seq } = await watched.client.publish({ type: 'system_status', status: 'once' })
    const { body } = await server.api<{ events: unknown[] }>('GET', '/api/events?channels=system')

    expect([seq, body.events.length, bad]).toEqual([1, 1, 0])
  },
)

test('over the rate of the server a publish waits as long as it says, and all arrive in order', async () => {
  await using server = await startTestServer({ RATE_MESSAGES: { limit: 6, windowMs: 1500 } })
  await using watched = watch(server)
  await watched.client.subscribe(['system'])
  const all = Array.from({ length: 12 }, (_, n) =>
    watched.client.publish({ type: 'system_status', status: String(n) }),
  )
  await Promise.all(all)
  await watched.until(() => watched.events.length === 12)

  expect(statuses(watched.events)).toEqual(Array.from({ length: 12 }, (_, n) => String(n)))
})

test('blocked WebSockets give way to a stream, and take over again when they pass, without a gap', async () => {
  await using server = await startTestServer()
  let isBlocked = true
  function Socket(url: string, protocols: string[]): WebSocket {
    return new WebSocket(isBlocked ? 'ws://127.0.0.1:1/' : url, protocols)
  }
  await using watched = watch(server, {
    transport: 'auto',
    retryWebSocketMs: 300,
    // A function that returns an object is a constructor too.
    WebSocket: Socket as unknown as NonNullable<ClientOptions['WebSocket']>,
  })
  const { client, events } = watched
  await client.subscribe(['system'])
  const first = client.transport
  await say(server, 'a')
  await watched.until(() => events.length === 1)
  isBlocked = false
  let said = 1
  while (client.transport !== 'websocket') {
    await say(server, String(said))
    said += 1
  }
  await say(server, 'last')
  await watched.until(() => statuses(events).at(-1) === 'last')

  expect(first).toBe('sse')
  expect(events.map(({ seq }) => seq)).toEqual(Array.from({ length: said + 1 }, (_, index) => index + 1))
})

test.each(transports)(
  'over %s a refresh that narrows ends what it no longer grants, and the rest goes on',
  async (transport) => {
    await using server = await startTestServer()
    let token = await server.server.issueToken({ subject: 'a', scope: 'events:read', expiresInMs: 3000 })
    await using watched = watch(server, { transport, getToken: () => token })
    await watched.client.subscribe(['system', 'jobs'])
    token = await server.tokenFor('events:read:system', 'a')
    await watched.until(() =>
      watched.errors.some((error) => error instanceof LightwireError && error.code === 'forbidden'),
    )
    await say(server, 'still')
    await watched.until(() => watched.events.length === 1)

    expect(watched.client.channels).toEqual(['system'])
    expect(watched.client.status).toBe('connected')
  },
)

test('a refused subscription leaves what there was before', async () => {
  await using server = await startTestServer()
  await using watched = watch(server)
  const { client } = watched
  await client.subscribe(['system'], { where: { status: 'wanted' } })
  const refused = await codeOf(client.subscribe(['system'], { where: { nothing: 1 } }))
  await say(server, 'other')
  await say(server, 'wanted')
  await watched.until(() => watched.events.length > 0)

  expect([refused, client.channels, statuses(watched.events)]).toEqual([
    'invalid_message',
    ['system'],
    ['wanted'],
  ])
})

test('of two calls for a channel at once the refused one is refused, and the other holds', async () => {
  await using server = await startTestServer()
  await using watched = watch(server)
  const { client } = watched
  await watched.until(() => client.status === 'connected')
  const [refused, held] = await Promise.all([
    codeOf(client.subscribe(['system'], { where: { nothing: 1 } })),
    codeOf(client.subscribe(['system'], { where: { status: 'wanted' } })),
  ])
  await say(server, 'other')
  await say(server, 'wanted')
  await watched.until(() => watched.events.length > 0)

  expect([refused, held, statuses(watched.events)]).toEqual(['invalid_message', 'done', ['wanted']])
})

test('of two parts that hold a channel at once the one that is refused leaves it to the other', async () => {
  await using server = await startTestServer()
  await using watched = watch(server, {
    getToken: () => server.tokenFor('events:read:system'),
  })
  const { client } = watched
  await watched.until(() => client.status === 'connected')
  const holdings = [client.hold(['system'], { where: { status: 'wanted' } }), client.hold(['system', 'jobs'])]
  const outcomes = await Promise.all(holdings.map(({ ready }) => codeOf(ready)))
  await say(server, 'wanted')
  await watched.until(() => watched.events.length > 0)

  expect([outcomes, client.channels]).toEqual([['done', 'forbidden'], ['system']])
})

test('what is asked for before there is a connection is refused for itself alone', async () => {
  await using server = await startTestServer()
  await using watched = watch(server, {
    getToken: () => server.tokenFor('events:read:system events:read:jobs'),
  })
  const { client } = watched
  const outcomes = await Promise.all([
    codeOf(client.subscribe(['system'])),
    codeOf(client.subscribe(['jobs', 'photos'])),
  ])

  expect([outcomes, client.channels]).toEqual([['done', 'forbidden'], ['system']])
})

test('a long-poll that meets the server in another life loses nothing, and no state', async () => {
  const folder = temporaryFolder()
  let server = await startTestServer({ DATA_DIR: folder.path })
  // Between two polls the server is another one, and no connection tells of it.
  const front = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request) {
      const { pathname, search } = new URL(request.url)
      const { method, headers } = request
      const body = method === 'GET' ? {} : { body: await request.text() }
      // Whoever waits is held here, so that it does not see the end of one server.
      const quick = search.replace(/wait=\d+/, 'wait=0')
      while (isBetween) await new Promise((resolve) => setTimeout(resolve, 5))
      const answer = await fetch(`${server.url}${pathname}${quick}`, {
        method,
        headers: { authorization: headers.get('authorization') ?? '', 'content-type': 'application/json' },
        ...body,
      })
      return new Response(await answer.text(), {
        status: answer.status,
        headers: { 'content-type': 'application/json' },
      })
    },
  })
  let isBetween = false
  const lost: unknown[] = []
  try {
    await using watched = watch(server, { url: front.url.origin, transport: 'poll' })
    watched.client.onStateLost((channels) => lost.push(channels))
    await watched.client.subscribe(['system'])
    for (const status of ['a', 'b']) {
      await say(server, status)
      await watched.until(() => statuses(watched.events).at(-1) === status)
      isBetween = true
      await server[Symbol.asyncDispose]()
      server = await startTestServer({ DATA_DIR: folder.path })
      await say(server, `${status} again`)
      isBetween = false
      await watched.until(() => statuses(watched.events).at(-1) === `${status} again`)
    }

    expect(statuses(watched.events)).toEqual(['a', 'a again', 'b', 'b again'])
    expect(lost).toEqual([])
  } finally {
    await front.stop(true)
    await server[Symbol.asyncDispose]()
    folder[Symbol.dispose]()
  }
})

test.each(transports)('over %s each channel has the filter that was asked for it last', async (transport) => {
  await using server = await startTestServer()
  await using watched = watch(server, { transport })
  const { client } = watched
  await client.subscribe(['system', 'sessions'], {
    where: { type: { in: ['session_created', 'system_status'] } },
  })
  await client.subscribe(['system'], { where: { status: 'wanted' } })
  await say(server, 'other')
  await server.api('POST', '/api/sessions', { name: 'a', import_folder: '/a' })
  await say(server, 'wanted')
  await watched.until(() => statuses(watched.events).includes('wanted') && watched.events.length === 2)

  expect(statuses(watched.events).toSorted()).toEqual(['session_created', 'wanted'])
})

test('two who follow the same state each get it whole, and the channel ends with the last of them', async () => {
  await using server = await startTestServer()
  await using watched = watch(server)
  const { client } = watched
  interface Sessions {
    readonly sessions: readonly { readonly id: number }[]
  }
  const follow = () => {
    const ids: number[] = []
    const following = client.snapshotThenFollow<Sessions>('/api/sessions', ['sessions'], {
      onSnapshot: ({ sessions }) => ids.splice(0, ids.length, ...sessions.map(({ id }) => id)),
      onEvent: (event) => {
        if (event.type === 'session_created') ids.push(event.session_id)
      },
    })
    return { ids, following }
  }
  const shoot = (n: number) => server.api('POST', '/api/sessions', { name: `${n}`, import_folder: `/${n}` })
  await shoot(1)
  const one = follow()
  await Promise.all([one.following.ready, shoot(2)])
  const two = follow()
  await Promise.all([two.following.ready, shoot(3)])
  await watched.until(() => one.ids.length === 3 && two.ids.length === 3)
  one.following.stop()
  await shoot(4)
  await watched.until(() => two.ids.length === 4)

  expect([one.ids, two.ids.toSorted()]).toEqual([
    [1, 2, 3],
    [1, 2, 3, 4],
  ])
  two.following.stop()
  await new Promise((resolve) => setTimeout(resolve, 1))
  expect(client.channels).toEqual([])
})

test('what happens while a state is read and a subscription of its channel is on its way is not missed', async () => {
  await using server = await startTestServer()
  const shoot = (name: string) => server.api('POST', '/api/sessions', { name, import_folder: `/${name}` })
  let isHeld = false
  const held: (() => void)[] = []
  class Socket extends WebSocket {
    override send(data: string): void {
      if (isHeld) held.push(() => super.send(data))
      else super.send(data)
    }
  }
  await using watched = watch(server, { WebSocket: Socket })
  const { client } = watched
  await watched.until(() => client.status === 'connected')
  isHeld = true
  const subscribed = client.subscribe(['sessions'])
  const followed: number[] = []
  let following: Following | undefined
  await new Promise<void>((resolve) => {
    following = client.snapshotThenFollow('/api/sessions', ['sessions'], {
      onSnapshot: () => resolve(),
      onEvent: ({ seq }) => followed.push(seq),
    })
  })
  await shoot('between')
  isHeld = false
  for (const send of held) send()
  await Promise.all([subscribed, following?.ready])
  await shoot('after')
  await watched.until(() => watched.events.length === 2)

  expect(followed).toEqual([1, 2])
})

test('a state that was read before a subscription of its channel began is read again', async () => {
  await using server = await startTestServer()
  await using watched = watch(server)
  const { client } = watched
  interface Sessions {
    readonly sessions: readonly { readonly name: string }[]
  }
  let reads = 0
  const shown: string[][] = []
  const { ready } = client.snapshotThenFollow<Sessions>(
    async (read) => {
      const state = await read<Sessions>('/api/sessions')
      reads += 1
      if (reads === 1) {
        await server.api('POST', '/api/sessions', { name: 'between', import_folder: '/b' })
        await client.subscribe(['sessions'])
      }
      return state
    },
    ['sessions'],
    {
      onSnapshot: ({ sessions }) => shown.push(sessions.map(({ name }) => name)),
      onEvent: () => undefined,
    },
  )
  await ready

  expect([shown, reads, watched.errors]).toEqual([[['between']], 2, []])
})

test('a state is followed also where what is stored is the position of another journal', async () => {
  await using server = await startTestServer()
  await using watched = watch(server, { storage: memoryStorage('zzzzzz:sessions=500') })
  await watched.until(() => watched.client.status === 'connected')
  const followed: number[] = []
  const { ready } = watched.client.snapshotThenFollow('/api/sessions', ['sessions'], {
    onSnapshot: () => undefined,
    onEvent: ({ seq }) => followed.push(seq),
  })
  await ready
  await server.api('POST', '/api/sessions', { name: 'a', import_folder: '/a' })
  await watched.until(() => followed.length === 1)

  expect([followed, watched.errors]).toEqual([[1], []])
})

test('a follow that the server refuses is refused, and one of a closed client too', async () => {
  await using server = await startTestServer()
  await using watched = watch(server)
  const { client } = watched
  const how = { onSnapshot: () => undefined, onEvent: () => undefined }

  expect(await codeOf(client.snapshotThenFollow('/api/sessions/999', ['sessions'], how).ready)).toBe(
    'not_found',
  )
  client.close()
  expect(() => client.snapshotThenFollow('/api/sessions', ['sessions'], how)).toThrow('closed')
  expect(await codeOf(client.publish({ type: 'system_status', status: 'a' }))).toBe('closed')
})
