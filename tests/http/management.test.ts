/** What an operator can do: see who is connected and what flows, speak to clients, end one, issue and revoke tokens. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { FULL_SCOPE } from '../../lib/access/rights.ts'
import { framings } from '../../lib/protocol/codec.ts'
import { channels } from '../../lib/protocol/events.ts'
import { TestStream } from '../support/event-stream.ts'
import { startTestServer, temporaryFolder, type TestServer } from '../support/server.ts'
import type { TestClient } from '../support/client.ts'

setDefaultTimeout(60_000)

interface Clients {
  readonly clients: Record<string, unknown>[]
  readonly count: number
}

interface Issued {
  readonly token: string
  readonly jti: string
  readonly expires_at: string
}

/** A client that registered and follows channels; and its id. */
async function attach(
  server: TestServer,
  options: Parameters<TestServer['connect']>[0] & { type?: string; channels?: readonly string[] } = {},
): Promise<{ client: TestClient; id: string }> {
  const { type, channels: wanted, ...rest } = options
  const client = await server.connect(rest)
  const { client_id } = await client.next('connection_established')
  if (type !== undefined)
    await client.request({ type: 'register', client_type: type, client_name: `a ${type}` })
  if (wanted) await client.request({ type: 'subscribe', channels: wanted })
  return { client, id: String(client_id) }
}

/** Everything received up to now that the client did not ask for. */
async function unasked(client: TestClient): Promise<string[]> {
  await client.request({ type: 'ping' })
  return client.received.map(({ type }) => type).filter((type) => !/established|confirmed|pong/.test(type))
}

test('the list of clients says who each is, what it follows, and how far it got', async () => {
  await using server = await startTestServer({ NODE_ID: 'node-a' })
  const gui = await attach(server, { type: 'gui', channels: ['jobs', 'photos'], framing: 'msgpack' })
  await attach(server, {
    type: 'web',
    channels: ['photos'],
    token: await server.tokenFor('events:read', 'ann'),
  })
  await attach(server, { token: null })
  await server.api('POST', '/api/photos', { file_path: '/a.nef' })
  await gui.client.next('photo_imported')

  const { body } = await server.api<Clients>('GET', '/api/websocket/clients')

  const listed = body.clients.find(({ id }) => id === gui.id)
  expect(body.count).toBe(3)
  expect(listed).toEqual({
    id: gui.id,
    client_type: 'gui',
    client_name: 'a gui',
    subject: 'tester',
    connected_at: expect.stringMatching(/^\d{4}-.*Z$/),
    last_seen: expect.stringMatching(/^\d{4}-.*Z$/),
    protocol: 'lightwire.v1.msgpack',
    transport: 'websocket',
    channels: ['jobs', 'photos'],
    cursor_lag: 0,
    queued_bytes: 0,
    node: 'node-a',
  })
  expect(body.clients.filter(({ subject }) => subject === null)).toHaveLength(1)
})

test('the list of clients is narrowed by type, channel and subject', async () => {
  await using server = await startTestServer()
  const gui = await attach(server, { type: 'gui', channels: ['jobs', 'photos'] })
  const web = await attach(server, { type: 'web', channels: ['photos'] })
  const ann = await attach(server, { type: 'web', token: await server.tokenFor('events:read', 'ann') })
  const ids = async (query: string) => {
    const { body } = await server.api<Clients>('GET', `/api/websocket/clients?${query}`)
    return body.clients.map(({ id }) => String(id)).toSorted()
  }

  expect(await ids('client_type=web')).toEqual([web.id, ann.id].toSorted())
  expect(await ids('channel=jobs')).toEqual([gui.id])
  expect(await ids('subject=ann')).toEqual([ann.id])
  expect(await ids('client_type=web&channel=photos')).toEqual([web.id])
  expect((await server.api('GET', '/api/websocket/clients?channel=nonsense')).status).toBe(400)
})

test('the channels say their head, their subscribers and the events of the last minute', async () => {
  let clock = 1_000_000
  await using server = await startTestServer({ HEARTBEAT: 600_000 }, { monotonicMs: () => clock })
  await attach(server, { channels: ['photos'] })
  const { client } = await attach(server, { channels: ['photos', 'jobs'] })
  for (const name of ['a', 'b', 'c']) await server.api('POST', '/api/photos', { file_path: `/${name}` })
  await client.request({ type: 'ping' })
  const photosOf = async () => {
    const { body } = await server.api<{ channels: { channel: string }[]; count: number }>(
      'GET',
      '/api/websocket/channels',
    )
    expect(body.channels.map(({ channel }) => channel)).toEqual([...channels])
    return body.channels.find(({ channel }) => channel === 'photos')
  }

  const now = await photosOf()
  clock += 61_000
  const later = await photosOf()

  expect(now).toEqual({
    channel: 'photos',
    head_seq: 3,
    trimmed_seq: 0,
    subscribers: 2,
    events_last_minute: 3,
  } as never)
  expect(later).toEqual({
    channel: 'photos',
    head_seq: 3,
    trimmed_seq: 0,
    subscribers: 2,
    events_last_minute: 0,
  } as never)
})

test('a broadcast of no event type goes to all, to a channel or to a client type, without a seq', async () => {
  await using server = await startTestServer()
  const gui = await attach(server, { type: 'gui', channels: ['jobs'] })
  const web = await attach(server, { type: 'web', channels: ['jobs', 'photos'], framing: 'deflate' })
  const silent = await attach(server, { token: null })
  const send = (type: string, audience: object) =>
    server.api<{ recipients: number; channel: string | null }>('POST', '/api/websocket/broadcast', {
      message: { type, text: 'lunch', deep: { list: [1, 'ü'] } },
      ...audience,
    })

  const answers = [
    await send('to_all', {}),
    await send('to_photos', { channel: 'photos' }),
    await send('to_guis', { client_type: 'gui' }),
    await send('to_nobody', { client_type: 'gui', channel: 'photos' }),
  ]

  expect(answers.map(({ status, body }) => [status, body.channel, body.recipients])).toEqual([
    [200, null, 2],
    [200, 'photos', 1],
    [200, null, 1],
    [200, 'photos', 0],
  ])
  expect(await unasked(gui.client)).toEqual(['to_all', 'to_guis'])
  expect(await unasked(web.client)).toEqual(['to_all', 'to_photos'])
  expect(silent.client.received.map(({ type }) => type)).toEqual(['connection_established'])
  expect(web.client.received.find(({ type }) => type === 'to_all')).toEqual({
    type: 'to_all',
    text: 'lunch',
    deep: { list: [1, 'ü'] },
    timestamp: expect.stringMatching(/Z$/),
  })
})

test('a broadcast of an event type is published: numbered, kept, and for its channel only', async () => {
  await using server = await startTestServer()
  const system = await attach(server, { channels: ['system'] })
  const jobs = await attach(server, { channels: ['jobs'] })
  const broadcast = (body: object) =>
    server.api<{ message: object; channel: string; recipients: number }>(
      'POST',
      '/api/websocket/broadcast',
      body,
    )

  const { status, body } = await broadcast({ message: { type: 'system_status', status: 'paused' } })
  const refused = [
    await broadcast({ message: { type: 'system_status', status: 'x' }, channel: 'jobs' }),
    await broadcast({ message: { type: 'system_status', status: 'x' }, client_type: 'gui' }),
    await broadcast({ message: { type: 'system_status' } }),
  ]

  const event = await system.client.next('system_status')
  expect([status, body.channel, body.recipients]).toEqual([200, 'system', 1])
  expect(body.message).toEqual(event)
  expect(event['seq']).toBe(1)
  expect(await unasked(jobs.client)).toEqual([])
  expect(refused.map(({ status: code }) => code)).toEqual([400, 400, 400])
  expect(await unasked(system.client)).toEqual(['system_status'])
})

test('a broadcast may not look like the protocol, name a held row, or be larger than an event', async () => {
  await using server = await startTestServer()
  const { body: photo } = await server.api<{ id: number }>('POST', '/api/photos', { file_path: '/a' })
  const { client } = await attach(server, { channels: [...channels] })
  const refused = [
    { type: 'pong' },
    { type: 'batch' },
    { type: 'subscribe' },
    { type: 'disconnect' },
    { type: 'hello', seq: 1 },
    { type: 'hello', channel: 'jobs' },
    { type: 'hello', id: 1 },
    {},
    { type: '' },
    { type: 'hello\nevent: job_completed' },
    { type: 'hello\r' },
    { type: 'photo_approved', photo_id: photo.id },
    { type: 'hello', text: 'x'.repeat(65_536) },
  ]

  const statuses: number[] = []
  for (const message of refused) {
    statuses.push((await server.api('POST', '/api/websocket/broadcast', { message })).status)
  }

  expect(statuses).toEqual([400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 400, 409, 413])
  expect(await unasked(client)).toEqual([])
})

test('an operator closes a client: 4503, or 1012 when it may come back; an unknown one is 404', async () => {
  await using server = await startTestServer()
  const [first, second, third] = [await attach(server), await attach(server), await attach(server)]
  const close = (id: string, body?: object) => server.api('POST', `/api/websocket/disconnect/${id}`, body)

  const answers = [
    await close(first.id),
    await close(second.id, { reason: 'moving house', reconnect: true }),
    await close('nobody'),
    await close(third.id, { reconnect: 'yes' }),
  ]

  expect(answers.map(({ status }) => status)).toEqual([200, 200, 404, 400])
  expect(await first.client.closed).toEqual({ code: 4503, reason: 'disconnected by an operator' })
  expect(await second.client.closed).toEqual({ code: 1012, reason: 'moving house' })
  expect(await first.client.next('disconnect')).toMatchObject({ code: 4503, reconnect: false })
  expect(await second.client.next('disconnect')).toMatchObject({ code: 1012, reconnect: true })
  await third.client.request({ type: 'ping' })
  const { body } = await server.api<Clients>('GET', '/api/websocket/clients')
  expect(body.clients.map(({ id }) => id)).toEqual([third.id])
})

test('an issued token grants its scope for its time and nothing else', async () => {
  await using server = await startTestServer()
  const issue = (body: object) => server.api<Issued>('POST', '/api/tokens', body)
  const { status, body } = await issue({ subject: 'ann', scope: 'api:read events:read:jobs', expires_in: 60 })
  const ann = server.apiAs(body.token)

  const { client } = await attach(server, { token: body.token, channels: ['jobs'] })
  const statuses = [
    (await ann('GET', '/api/sessions')).status,
    (await ann('POST', '/api/sessions', { name: 'x', import_folder: '/x' })).status,
    (await ann('GET', '/api/websocket/clients')).status,
  ]
  const photos = await client.request({ type: 'subscribe', channels: ['photos'] })
  const refused = [
    await issue({ subject: 'ann', scope: 'api:reed', expires_in: 60 }),
    await issue({ subject: '', scope: 'api:read', expires_in: 60 }),
    await issue({ subject: 'ann', scope: 'api:read', expires_in: 0 }),
    await issue({ subject: 'ann', scope: 'api:read' }),
    await issue({ subject: 'ann', scope: '', expires_in: 60, grants: [{ channel: 'jobs', where: {} }] }),
  ]

  expect(status).toBe(201)
  expect(Date.parse(body.expires_at) - Date.now()).toBeWithin(50_000, 61_000)
  expect(statuses).toEqual([200, 403, 403])
  expect(photos['code']).toBe('forbidden')
  expect(refused.map(({ status: code }) => code)).toEqual([400, 400, 400, 400, 400])
})

test('a revoked token ends its connections and opens nothing more, over a restart too', async () => {
  using folder = temporaryFolder()
  const issue = async (server: TestServer, subject: string) => {
    const body = { subject, scope: FULL_SCOPE, expires_in: 3600 }
    return (await server.api<Issued>('POST', '/api/tokens', body)).body
  }
  const tokens: Record<string, Issued> = {}
  const refusedOf = async (server: TestServer) => {
    const refused: string[] = []
    for (const [name, { token }] of Object.entries(tokens)) {
      if ((await server.apiAs(token)('GET', '/api/sessions')).status === 401) refused.push(name)
    }
    return refused
  }
  {
    await using server = await startTestServer({ DATA_DIR: folder.path })
    for (const name of ['ann-1', 'ann-2', 'bob-1', 'bob-2']) {
      tokens[name] = await issue(server, name.slice(0, 3))
    }
    const follow = (name: string) => attach(server, { token: tokens[name]?.token ?? '', channels: ['jobs'] })
    const [ann1, ann2, bob1] = [await follow('ann-1'), await follow('ann-2'), await follow('bob-1')]

    const byId = await server.api<{ disconnected: number }>('POST', '/api/tokens/revoke', {
      jti: tokens['ann-1']?.jti,
    })
    const bySubject = await server.api<{ disconnected: number }>('POST', '/api/tokens/revoke', {
      subject: 'bob',
    })
    tokens['bob-3'] = await issue(server, 'bob')

    expect([byId.body.disconnected, bySubject.body.disconnected]).toEqual([1, 1])
    expect((await ann1.client.closed).code).toBe(4503)
    expect((await bob1.client.closed).code).toBe(4503)
    await ann2.client.request({ type: 'ping' })
    expect(await refusedOf(server)).toEqual(['ann-1', 'bob-1', 'bob-2'])
    const again = await server.connect({ token: tokens['ann-1']?.token ?? '' })
    expect((await again.closed).code).toBe(4501)
    const bad = [{}, { jti: 1 }, { jti: 'a', subject: 'b' }]
    for (const body of bad) {
      expect((await server.api('POST', '/api/tokens/revoke', body)).status).toBe(400)
    }
  }

  await using server = await startTestServer({ DATA_DIR: folder.path })

  expect(await refusedOf(server)).toEqual(['ann-1', 'bob-1', 'bob-2'])
})

test.each(['revoked', 'expired'] as const)(
  'a claim that waits gets no job once its token is %s',
  async (how) => {
    let clock = Date.now()
    await using server = await startTestServer({}, { now: () => new Date(clock) })
    const { body: issued } = await server.api<Issued>('POST', '/api/tokens', {
      subject: 'worker',
      scope: 'api:write',
      expires_in: 60,
    })
    const { body: photo } = await server.api<{ id: number }>('POST', '/api/photos', { file_path: '/a' })
    const waiting = server.apiAs(issued.token)<{ code: string }>('POST', '/api/jobs/claim?wait=30', {
      worker: 'w',
    })
    // Its first look is over when a claim behind it was answered.
    await server.api('POST', '/api/jobs/claim', { worker: 'other' })

    if (how === 'revoked') await server.api('POST', '/api/tokens/revoke', { jti: issued.jti })
    else clock += 66_000
    const { body: job } = await server.api<{ id: string }>('POST', '/api/jobs', { photo_id: photo.id })

    const { status, body } = await waiting
    expect([status, body.code]).toEqual([401, how === 'revoked' ? 'invalid_token' : 'unauthenticated'])
    const { body: still } = await server.api<{ status: string }>('GET', `/api/jobs/${job.id}`)
    expect(still.status).toBe('pending')
  },
)

test('who needs no token has none to revoke: LOCAL_SCOPE goes on whatever its subject, on every transport', async () => {
  await using server = await startTestServer({ LOCAL_SCOPE: 'events:read api:read api:write' })
  const local = server.apiAs(undefined)
  const token = await server.tokenFor('api:read', 'local')
  const begun = await local<{ client_id: string }>('POST', '/ws/handshake', { client_type: 'gui' })
  const poll = `/ws/poll?client_id=${begun.body.client_id}`
  await local('GET', poll)
  const { body: photo } = await local<{ id: number }>('POST', '/api/photos', { file_path: '/a' })
  const waiting = local<{ job: object | null }>('POST', '/api/jobs/claim?wait=30', { worker: 'w' })
  // Its first look is over when a claim behind it was answered.
  await local('POST', '/api/jobs/claim', { worker: 'other' })

  const revoked = await server.api('POST', '/api/tokens/revoke', { subject: 'local' })
  const stream = await TestStream.open({ url: `${server.url}/api/events/stream` })
  const pulled = await local('GET', '/api/events')
  const polled = await local('GET', poll)
  await local('POST', '/api/jobs', { photo_id: photo.id })
  const claimed = await waiting

  expect(revoked.body).toMatchObject({ disconnected: 0 })
  expect((await server.apiAs(token)('GET', '/api/queue')).status).toBe(401)
  expect(stream).toBeInstanceOf(TestStream)
  expect(pulled.status).toBe(200)
  expect(polled.body).toMatchObject({ messages: [] })
  expect([claimed.status, claimed.body]).toEqual([200, { job: expect.any(Object) }])
  if (stream instanceof TestStream) await stream[Symbol.asyncDispose]()
})

test('a connection that was refused its token is gone from the list', async () => {
  await using server = await startTestServer()
  for (const framing of framings) {
    const client = await server.connect({ framing, token: 'nonsense' })
    expect((await client.closed).code).toBe(4501)
  }

  const { body } = await server.api<Clients>('GET', '/api/websocket/clients')

  expect(body).toEqual({ clients: [], count: 0 })
})
