import { expect, setDefaultTimeout, test } from 'bun:test'
import type { Api } from '../support/api.ts'
import type { Message } from '../support/client.ts'
import { startTestServer, type TestServer } from '../support/server.ts'
import { publishProgress } from '../realtime/batches.ts'

setDefaultTimeout(60_000)

interface Polled {
  readonly success: boolean
  readonly messages: Message[]
}

async function handshake(api: Api, client_type = 'lightroom'): Promise<string> {
  const { status, body } = await api<{ client_id: string }>('POST', '/ws/handshake', {
    client_type,
    protocol_version: '1.0',
  })
  if (status !== 200) throw new Error(`no session: ${status}`)
  return body.client_id
}

const poll = async (api: Api, client_id: string) =>
  (await api<Polled>('GET', `/ws/poll?client_id=${client_id}`)).body.messages

const say = async (api: Api, client_id: string, message: object) =>
  (await api<{ success: boolean; response: Message | null }>('POST', '/ws/send', { client_id, message })).body

/** Polls until this many messages of a type have come. */
async function pollFor(api: Api, id: string, type: string, count: number): Promise<Message[]> {
  const found: Message[] = []
  while (found.length < count) found.push(...(await poll(api, id)).filter((message) => message.type === type))
  return found
}

async function claimedJob(server: TestServer) {
  const photo = await server.api<{ id: number }>('POST', '/api/photos', {
    file_path: `/x/${Math.random()}.jpg`,
  })
  const { body } = await server.api<{ id: string }>('POST', '/api/jobs', { photo_id: photo.body.id })
  return body.id
}

test('a session shakes hands, registers, subscribes, polls and leaves', async () => {
  await using server = await startTestServer()
  const { api } = server
  const begun = await api('POST', '/ws/handshake', { client_type: 'lightroom', protocol_version: '1.0' })
  const { client_id } = begun.body as unknown as { client_id: string }

  const greeting = await poll(api, client_id)
  const registered = await say(api, client_id, {
    type: 'register',
    client_type: 'lightroom',
    client_name: 'LR',
  })
  const subscribed = await say(api, client_id, { type: 'subscribe', channels: ['jobs'], id: 7 })
  await publishProgress(server, [
    ['a', 1],
    ['a', 2],
  ])
  const events = await pollFor(api, client_id, 'job_progress', 2)
  const left = await api('POST', '/ws/disconnect', { client_id })

  expect(begun.body as object).toEqual({
    success: true,
    client_id: expect.any(String),
    protocol_version: '1',
    server_time: expect.stringMatching(/Z$/),
  })
  expect(greeting).toMatchObject([{ type: 'connection_established', client_id }])
  expect(registered).toMatchObject({
    success: true,
    response: { type: 'registration_confirmed', client_id, client_name: 'LR' },
  })
  expect(registered.response).not.toHaveProperty('id')
  expect(subscribed.response).toMatchObject({ type: 'subscription_confirmed', id: 7, channels: ['jobs'] })
  expect(events.map((event) => event['seq'])).toEqual([1, 2])
  expect(left.body as object).toEqual({ success: true, message: expect.any(String) })
  expect((await api('POST', '/ws/disconnect', { client_id })).status).toBe(404)
})

test('events come once, in order, however the polls fall', async () => {
  await using server = await startTestServer()
  const id = await handshake(server.api)
  await say(server.api, id, { type: 'subscribe', channels: ['jobs'] })

  const events = pollFor(server.api, id, 'job_progress', 300)
  for (let n = 0; n < 30; n += 1) {
    await publishProgress(
      server,
      Array.from({ length: 10 }, (_, m) => ['a', m] as const),
    )
  }

  expect((await events).map((event) => event['seq'])).toEqual(Array.from({ length: 300 }, (_, n) => n + 1))
})

test('a session that is not polled holds bounded memory, and gets everything when it is', async () => {
  await using server = await startTestServer()
  const id = await handshake(server.api)
  await say(server.api, id, { type: 'subscribe', channels: ['system'] })
  const text = 'x'.repeat(3900)
  for (let n = 0; n < 20; n += 1) {
    const many = Array.from({ length: 100 }, () => ({
      type: 'error_occurred',
      error_type: 't',
      error_message: text,
    }))
    await server.api('POST', '/api/events', many)
  }
  const { body } = await server.api<{ clients: { queued_bytes: number; transport: string }[] }>(
    'GET',
    '/api/websocket/clients',
  )

  const events = await pollFor(server.api, id, 'error_occurred', 2000)

  expect(body.clients[0]).toMatchObject({ transport: 'poll' })
  expect(body.clients[0]?.queued_bytes).toBeLessThan(600_000)
  expect(events.map((event) => event['seq'])).toEqual(Array.from({ length: 2000 }, (_, n) => n + 1))
})

test('a session that collects batches holds no more of large events', async () => {
  await using server = await startTestServer()
  const id = await handshake(server.api)
  const pad = 'x'.repeat(60_000)
  const large = { type: 'error_occurred', error_type: 't', error_message: 'm', error_details: { pad } }
  for (let n = 0; n < 8; n += 1) await server.api('POST', '/api/events', Array<object>(10).fill(large))
  const since = `${/^\w+/.exec((await server.api('GET', '/api/queue')).cursor ?? '')?.[0]}:system=0`
  await say(server.api, id, { type: 'subscribe', channels: ['system'], batch_ms: 0, since })
  await say(server.api, id, { type: 'ping' })

  const [client] = server.server.clients()
  const taken: unknown[] = []
  while (taken.length < 80) {
    const messages = await poll(server.api, id)
    for (const message of messages)
      if (message.type === 'batch') taken.push(...(message['events'] as unknown[]))
  }

  expect(client?.queued_bytes).toBeWithin(1, 600_000)
  expect(taken.map((event) => (event as { seq: number }).seq)).toEqual(
    Array.from({ length: 80 }, (_, n) => n + 1),
  )
})

test('a ping is answered while more waits than a mailbox holds, and says how far that is', async () => {
  await using server = await startTestServer()
  const id = await handshake(server.api)
  await say(server.api, id, { type: 'subscribe', channels: ['system'] })
  const large = { type: 'error_occurred', error_type: 't', error_message: 'x'.repeat(3900) }
  for (let n = 0; n < 2; n += 1) await server.api('POST', '/api/events', Array<object>(100).fill(large))

  const full = await say(server.api, id, { type: 'ping' })
  const events = await pollFor(server.api, id, 'error_occurred', 200)
  const empty = await say(server.api, id, { type: 'ping' })

  const [waited, all] = [full, empty].map(({ response }) =>
    Number(/=(\d+)/.exec(String(response?.['cursor']))?.[1]),
  )
  expect(waited).toBeGreaterThan(0)
  expect(waited).toBeLessThan(200)
  expect(all).toBe(200)
  expect(events.map((event) => event['seq'])).toEqual(Array.from({ length: 200 }, (_, n) => n + 1))
})

test('a call whose session ends while it waits is told so', async () => {
  const begun = Promise.withResolvers<void>()
  const { promise: never } = Promise.withResolvers<undefined>()
  const wait = () => {
    begun.resolve()
    return never
  }
  await using server = await startTestServer({}, { handlers: { wait } })
  const id = await handshake(server.api)

  const waiting = server.api('POST', '/ws/send', { client_id: id, message: { type: 'wait' } })
  await begun.promise
  await server.api('POST', `/api/websocket/disconnect/${id}`, {})

  expect(await waiting).toMatchObject({ status: 404, body: { code: 'not_found' } })
})

test('the plug-in reports on its job by sending the events themselves', async () => {
  await using server = await startTestServer()
  const job_id = await claimedJob(server)
  const id = await handshake(server.api)
  const timestamp = 'yesterday'

  const replies = [
    await say(server.api, id, { type: 'job_started', job_id, worker: 'lr', timestamp }),
    await say(server.api, id, {
      type: 'job_progress',
      job_id,
      stage: 'develop',
      progress: 40,
      message: '',
      timestamp,
    }),
    await say(server.api, id, { type: 'job_completed', job_id, result: [], timestamp }),
    await say(server.api, id, { type: 'job_completed', job_id, result: [] }),
    await say(server.api, id, {
      type: 'job_failed',
      job_id: 'elsewhere',
      error_message: 'x',
      error_details: [],
    }),
  ]
  const { body } = await server.api<{ status: string; worker: string; result: object }>(
    'GET',
    `/api/jobs/${job_id}`,
  )

  expect(replies.map(({ response }) => response?.type)).toEqual([
    'published',
    'published',
    'published',
    'error',
    'published',
  ])
  expect(replies[3]?.response).toMatchObject({ code: 'conflict' })
  expect(body).toMatchObject({ status: 'completed', worker: 'lr', result: {} })
})

test('an unknown session gets a fresh one from its poll, and 404 from what needs the old one', async () => {
  await using server = await startTestServer()

  const [greeting] = await poll(server.api, 'gone')
  const fresh = String(greeting?.['client_id'])
  const pong = await say(server.api, fresh, { type: 'ping' })
  const sent = await server.api('POST', '/ws/send', { client_id: 'gone', message: { type: 'ping' } })

  expect(greeting).toMatchObject({ type: 'connection_established' })
  expect(pong.response).toMatchObject({ type: 'pong' })
  expect(sent.status).toBe(404)
})

test('a session belongs to its subject, and its rights are those of its token', async () => {
  await using server = await startTestServer()
  const other = server.apiAs(await server.tokenFor('events:read:jobs', 'other'))
  const id = await handshake(server.api)
  const own = await handshake(other)

  const [stolen] = await poll(other, id)
  const sent = await other('POST', '/ws/send', { client_id: id, message: { type: 'ping' } })
  const photos = await say(other, own, { type: 'subscribe', channels: ['photos'] })
  const event = await say(other, own, { type: 'job_progress', job_id: 'a', stage: 's', progress: 1 })
  const tokenless = await server.apiAs(undefined)('POST', '/ws/handshake', { client_type: 'lightroom' })

  expect(stolen?.['client_id']).not.toBe(id)
  expect(sent.status).toBe(404)
  expect([photos, event].map(({ response }) => response?.['code'])).toEqual(['forbidden', 'forbidden'])
  expect(tokenless.status).toBe(401)
})

test('LOCAL_SCOPE gives its rights to requests of this machine without a token, and to nobody else', async () => {
  await using server = await startTestServer({ LOCAL_SCOPE: 'events:read events:publish api:write' })
  const local = server.apiAs(undefined)
  const ask = (headers: Record<string, string>) => fetch(`${server.url}/api/events`, { headers })

  const id = await handshake(local)
  const subscribed = await say(local, id, { type: 'subscribe', channels: ['jobs'] })
  const answers = [
    await ask({}),
    await ask({ Origin: server.url }),
    await ask({ 'X-Forwarded-For': '10.0.0.1' }),
    await ask({ Forwarded: 'for=10.0.0.1' }),
    await ask({ Authorization: 'Bearer nonsense' }),
  ]

  expect(subscribed.response).toMatchObject({ type: 'subscription_confirmed' })
  expect((await local('GET', '/api/sessions')).status).toBe(403)
  expect(answers.map(({ status }) => status)).toEqual([200, 401, 401, 401, 401])
})

test('a message of disconnect, or 45 s without a call, ends a session', async () => {
  let nowMs = 0
  // A jump of half a heartbeat would be taken for a server that stood still.
  await using server = await startTestServer({ HEARTBEAT: 600_000 }, { monotonicMs: () => nowMs })
  const [leaving, silent] = [await handshake(server.api), await handshake(server.api)]
  const count = async () => (await server.api<{ count: number }>('GET', '/api/websocket/clients')).body.count

  const reply = await say(server.api, leaving, { type: 'disconnect' })
  const afterOne = await count()
  nowMs += 44_000
  await say(server.api, silent, { type: 'ping' })
  nowMs += 44_000
  await say(server.api, silent, { type: 'ping' })
  nowMs += 46_000
  // Liveness looks every second.
  while ((await count()) > 0) await Bun.sleep(50)
  const [greeting] = await poll(server.api, silent)

  expect(reply).toMatchObject({ success: true, response: null })
  expect(afterOne).toBe(1)
  expect(greeting?.['client_id']).not.toBe(silent)
})

test('what no session can take is refused, and the session lives on', async () => {
  await using server = await startTestServer()
  const id = await handshake(server.api)
  const post = (path: string, body: object) => server.api('POST', path, body)

  const answers = [
    await post('/ws/handshake', { client_type: 'Not A Type' }),
    await post('/ws/handshake', {}),
    await server.api('GET', '/ws/poll'),
    await post('/ws/send', { client_id: id }),
    await post('/ws/send', { client_id: id, message: [] }),
    await post('/ws/send', { client_id: id, message: { type: 5 } }),
    await post('/ws/send', { client_id: id, message: { type: 'ping', text: 'x'.repeat(70_000) } }),
  ]
  const unknown = await say(server.api, id, { type: 'no_such_thing' })
  const wrong = await say(server.api, id, { type: 'subscribe', channels: 'jobs' })

  expect(answers.map(({ status }) => status)).toEqual([400, 400, 400, 400, 400, 400, 413])
  expect(unknown.response).toMatchObject({ type: 'error', code: 'unknown_type' })
  expect(wrong.response).toMatchObject({ type: 'error', code: 'invalid_message' })
  expect((await say(server.api, id, { type: 'ping' })).response?.type).toBe('pong')
})

test('a custom handler answers a session, or says nothing', async () => {
  await using server = await startTestServer(
    {},
    { handlers: { hello: () => ({ type: 'welcome' }), quiet: () => undefined, late: async () => undefined } },
  )
  const id = await handshake(server.api)

  const replies = [
    await say(server.api, id, { type: 'hello' }),
    await say(server.api, id, { type: 'quiet' }),
    await say(server.api, id, { type: 'late' }),
  ]

  expect(replies.map(({ response }) => response?.type ?? null)).toEqual(['welcome', null, null])
})

test('a session that was let in polls on where the room is full, and no other begins', async () => {
  await using server = await startTestServer({ MAX_CONNECTIONS: 3 })
  const ids = [await handshake(server.api), await handshake(server.api), await handshake(server.api)]

  const polls = await Promise.all(ids.map((id) => server.api('GET', `/ws/poll?client_id=${id}`)))
  const other = await server.api('GET', '/ws/poll?client_id=another')

  expect([...polls, other].map(({ status }) => status)).toEqual([200, 200, 200, 503])
})

test('a subject may have 100 sessions', async () => {
  await using server = await startTestServer()
  for (let n = 0; n < 100; n += 1) await handshake(server.api)

  const answer = await server.api<{ code: string }>('POST', '/ws/handshake', { client_type: 'lightroom' })

  expect(answer).toMatchObject({ status: 503, body: { code: 'too_many_connections' } })
})

test('each call shows its token: a narrower one takes less, a fresher one keeps the session', async () => {
  let nowMs = Date.now()
  await using server = await startTestServer({}, { now: () => new Date(nowMs) })
  const tokenOf = (scope: string, minutes: number) =>
    server.server.issueToken({ subject: 'plug-in', scope, expiresInMs: minutes * 60_000 })
  const wide = server.apiAs(await tokenOf('events:read', 60))
  const narrow = server.apiAs(await tokenOf('events:read:photos', 60))
  const fresh = server.apiAs(await tokenOf('events:read', 180))
  const [narrowed, refreshed, left] = [await handshake(wide), await handshake(wide), await handshake(wide)]
  for (const id of [narrowed, refreshed]) {
    await poll(wide, id)
    await say(wide, id, { type: 'subscribe', channels: ['jobs', 'photos'] })
  }
  await publishProgress(server, [['a', 1]])
  await server.api('POST', '/api/photos', { file_path: '/x/1.jpg' })

  const taken: Message[] = []
  while (!taken.some(({ type }) => type === 'photo_imported')) taken.push(...(await poll(narrow, narrowed)))
  await poll(fresh, refreshed)
  const { body } = await fresh<{ success: boolean; response: Message }>('POST', '/ws/send', {
    client_id: narrowed,
    message: { type: 'unsubscribe', channels: ['sessions'] },
  })
  nowMs += 61 * 60_000
  const ids = () => server.server.clients().map(({ id }) => id)
  // Liveness looks every second.
  while (ids().includes(left)) await Bun.sleep(50)

  expect(taken.map(({ type }) => type)).toEqual(['photo_imported'])
  expect(body.response['channels']).toEqual(['photos'])
  expect(ids()).toContain(refreshed)
})

test('a poll that could be a page of elsewhere takes nothing and begins nothing', async () => {
  await using server = await startTestServer({ LOCAL_SCOPE: 'events:read' })
  const id = await handshake(server.api)
  const ask = async (headers: Record<string, string>, method = 'GET') =>
    (await fetch(`${server.url}/ws/poll?client_id=${id}`, { method, headers })).status
  const Authorization = `Bearer ${server.token}`

  const statuses = [
    await ask({ Authorization, Origin: 'http://elsewhere.example' }),
    await ask({ 'Sec-Fetch-Site': 'cross-site' }),
    await ask({ Authorization }, 'HEAD'),
  ]

  expect(statuses).toEqual([403, 403, 200])
  expect(server.server.clients()).toHaveLength(1)
  expect(await poll(server.api, id)).toMatchObject([{ type: 'connection_established', client_id: id }])
})

test('a drain gives a session what waits for it with the next poll, its disconnect last, and no other begins', async () => {
  await using server = await startTestServer({ DRAIN_SPREAD: 0 })
  const { api } = server
  const id = await handshake(api)
  await poll(api, id)
  await say(api, id, { type: 'subscribe', channels: ['jobs'] })
  await publishProgress(server, [['a', 1]])
  while (server.server.clients().some(({ cursor_lag }) => cursor_lag > 0)) await api('GET', '/api/queue')

  const drained = server.server.drain()
  // The drain waits for the session, and with it the server.
  const other = await api('GET', '/ws/poll?client_id=another')
  const messages = await poll(api, id)
  await drained

  expect(messages.map(({ type }) => type)).toEqual(['job_progress', 'disconnect'])
  expect(messages.at(-1)).toMatchObject({ code: 1012, reconnect: true })
  expect(other.status).toBe(503)
})
