/** Each message of PROTOCOL §2 over a real socket: what it does, what it refuses, what it answers. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { startTestServer } from '../support/server.ts'
import { framings } from '../../lib/protocol/codec.ts'
import { events, Refusal } from '../../server.ts'

setDefaultTimeout(60_000)

const session = (name: string) => ({ name, import_folder: '/x' })

test.each(framings)('the first message in %s says who the client is and what it speaks', async (framing) => {
  await using server = await startTestServer()

  const client = await server.connect({ framing })

  expect(await client.next('connection_established')).toEqual({
    type: 'connection_established',
    client_id: expect.stringMatching(/^[0-9a-f]{32}$/),
    server_time: expect.stringMatching(/^\d{4}-.*Z$/),
    protocol: `lightwire.v1.${framing}`,
    heartbeat_ms: 30_000,
    epoch: expect.any(String),
  })
})

test('register, subscribe and ping may be sent in one go', async () => {
  await using server = await startTestServer()
  const client = await server.connect()

  client.send({ type: 'register', client_type: 'gui', client_name: 'studio', id: 1 })
  client.send({ type: 'subscribe', channels: ['photos', 'jobs'], id: 'two' })
  client.send({ type: 'ping', id: 3 })
  await client.next('pong')

  const [established, ...replies] = client.received
  const epoch = String(established?.['epoch'])
  expect(replies).toEqual([
    {
      type: 'registration_confirmed',
      client_id: established?.['client_id'],
      client_type: 'gui',
      client_name: 'studio',
      id: 1,
    },
    {
      type: 'subscription_confirmed',
      channels: ['jobs', 'photos'],
      cursor: `${epoch}:jobs=0,photos=0`,
      recovery: { jobs: { status: 'live' }, photos: { status: 'live' } },
      id: 'two',
    },
    { type: 'pong', timestamp: expect.any(String), cursor: `${epoch}:jobs=0,photos=0`, id: 3 },
  ])
})

test.each([
  ['a list', [1, 2], 'invalid_message'],
  ['no type', { hello: 1 }, 'invalid_message'],
  ['a type that is no string', { type: 5 }, 'invalid_message'],
  ['an id that is too long', { type: 'ping', id: 'x'.repeat(65) }, 'invalid_message'],
  ['an id that is no integer', { type: 'ping', id: 1.5 }, 'invalid_message'],
  ['an unknown type', { type: 'dance' }, 'unknown_type'],
  ['the name of an inherited property', { type: 'toString' }, 'unknown_type'],
  ['__proto__ as type', { type: '__proto__' }, 'unknown_type'],
  ['a client type with a blank', { type: 'register', client_type: 'my gui' }, 'invalid_message'],
  [
    'a client name that is too long',
    { type: 'register', client_type: 'gui', client_name: 'x'.repeat(101) },
    'invalid_message',
  ],
  ['channels as a bare string', { type: 'subscribe', channels: 'jobs' }, 'invalid_message'],
  ['no channels', { type: 'subscribe', channels: [] }, 'invalid_message'],
  ['an unknown channel', { type: 'subscribe', channels: ['jobs', 'cats'] }, 'unknown_channel'],
  [
    'a since that is no cursor',
    { type: 'subscribe', channels: ['jobs'], since: 'yesterday' },
    'invalid_message',
  ],
  [
    'a filter, which is not offered yet',
    { type: 'subscribe', channels: ['jobs'], where: {} },
    'invalid_message',
  ],
  ['an event of an unknown type', { type: 'publish', event: { type: 'cat_seen' } }, 'unknown_type'],
  [
    'an event with a wrong field',
    { type: 'publish', event: { type: 'job_progress', job_id: 'a', stage: 's', progress: 101 } },
    'invalid_message',
  ],
  [
    'an event without a field',
    { type: 'publish', event: { type: 'photo_imported', photo_id: 1 } },
    'invalid_message',
  ],
])('%s is refused, and the connection stays', async (_, message, code) => {
  await using server = await startTestServer()
  const client = await server.connect()
  await client.next('connection_established')

  client.sendRaw(JSON.stringify(message))
  const error = await client.next('error')
  await client.sync()

  expect(error).toMatchObject({
    type: 'error',
    code,
    timestamp: expect.any(String),
    error: expect.any(String),
  })
  expect(server.server.clients()[0]?.channels).toEqual([])
})

test('a refusal names the field and carries the id of its message', async () => {
  await using server = await startTestServer()
  const client = await server.connect()

  const error = await client.request({ type: 'register', client_type: 7 })

  expect(error).toMatchObject({ code: 'invalid_message', error: expect.stringContaining('client_type') })
})

test('twenty unacceptable messages in a row end the connection with 4500', async () => {
  await using server = await startTestServer()
  const client = await server.connect()

  for (let n = 0; n < 19; n += 1) client.sendRaw('nonsense')
  await client.sync()
  for (let n = 0; n < 20; n += 1) client.sendRaw('nonsense')

  expect(await client.closed).toMatchObject({ code: 4500 })
  expect(client.received.at(-1)).toMatchObject({ type: 'disconnect', code: 4500, reconnect: false })
})

test('twenty publishes that are not acceptable are as many, each waited for', async () => {
  await using server = await startTestServer()
  const client = await server.connect()
  const replies: Awaited<ReturnType<typeof client.request>>[] = []
  for (let n = 0; n < 19; n += 1)
    replies.push(await client.request({ type: 'publish', event: { type: 'job_created' } }))
  client.send({ type: 'publish', event: { type: 'job_created' } })

  expect([...new Set(replies.map(({ code }) => code))]).toEqual(['invalid_message'])
  expect(await client.closed).toMatchObject({ code: 4500 })
})

test('a frame over the limit ends the connection with 1009 and nobody else', async () => {
  await using server = await startTestServer()
  const [client, other] = [await server.connect(), await server.connect()]

  client.sendRaw(JSON.stringify({ type: 'ping', filler: 'x'.repeat(70_000) }))

  expect([1006, 1009]).toContain((await client.closed).code)
  expect(await other.sync()).toMatchObject({ type: 'pong' })
})

test('unsubscribing ends a channel and is confirmed where there was none', async () => {
  await using server = await startTestServer()
  const client = await server.connect()
  await client.subscribe(['sessions', 'jobs'])

  const confirmed = await client.request({ type: 'unsubscribe', channels: ['sessions', 'photos'] })
  await server.api('POST', '/api/sessions', session('a'))
  await client.sync()

  expect(confirmed).toMatchObject({ type: 'unsubscription_confirmed', channels: ['jobs'] })
  expect(client.events).toEqual([])
})

test('subscribing again goes on where it was; with since it begins there', async () => {
  await using server = await startTestServer()
  const client = await server.connect()
  const { cursor } = await client.subscribe(['sessions'])
  await server.api('POST', '/api/sessions', session('a'))
  await client.sync()

  await client.subscribe(['sessions', 'jobs'])
  await client.sync()
  const once = client.events.length
  await client.subscribe(['sessions'], String(cursor))
  await client.sync()

  expect([once, client.events.length]).toEqual([1, 2])
})

test("a write's cursor and a subscription since it miss nothing and repeat nothing", async () => {
  await using server = await startTestServer()
  const first = await server.api('POST', '/api/sessions', session('a'))
  await server.api('POST', '/api/sessions', session('b'))
  const client = await server.connect()

  await client.subscribe(['sessions'], first.cursor ?? '')
  await client.sync()

  expect(client.events.map((event) => event['session_name'])).toEqual(['b'])
})

test('a published event is journalled, numbered and delivered like any other', async () => {
  await using server = await startTestServer()
  const [sender, reader] = [await server.connect({ framing: 'deflate' }), await server.connect()]
  await reader.subscribe(['jobs'])
  const event = {
    type: 'job_progress',
    job_id: 'mine',
    stage: 'tone',
    progress: 50,
    extra: 'dropped',
    seq: 99,
  }

  const reply = await sender.request({ type: 'publish', event })
  await reader.sync()

  expect(reply).toMatchObject({ type: 'published', event_type: 'job_progress', channel: 'jobs', seq: 1 })
  expect(reader.events).toEqual([
    {
      type: 'job_progress',
      timestamp: expect.any(String),
      channel: 'jobs',
      seq: 1,
      job_id: 'mine',
      photo_id: null,
      session_id: null,
      stage: 'tone',
      progress: 50,
      message: '',
    },
  ])
})

test('an event about a row held here is a command, with the checks of its route, or a conflict', async () => {
  await using server = await startTestServer()
  const photo = (await server.api<{ id: number }>('POST', '/api/photos', { file_path: '/a.jpg' })).body
  const job = (await server.api<{ id: string }>('POST', '/api/jobs', { photo_id: photo.id })).body
  const client = await server.connect()
  const publish = (event: object, command = true) => client.request({ type: 'publish', event, command })
  const started = { type: 'job_started', job_id: job.id, worker: 'lightroom' }
  const progress = { type: 'job_progress', job_id: job.id, stage: 's', progress: 10 }

  const replies = [
    await publish(started, false),
    await publish(progress),
    await publish(started),
    await publish(started),
    await publish(progress),
    await publish({ type: 'job_completed', job_id: job.id, result: [] }),
    await publish(
      { type: 'queue_status', pending: 0, processing: 0, completed: 0, failed: 0, total: 0 },
      false,
    ),
    await publish({ type: 'approval_queue_updated', queue_count: 0 }, false),
  ]

  expect(replies.map(({ type, code }) => code ?? type)).toEqual([
    'conflict',
    'conflict',
    'published',
    'conflict',
    'published',
    'published',
    'conflict',
    'conflict',
  ])
  const { body } = await server.api('GET', `/api/jobs/${job.id}`)
  expect(body).toMatchObject({ status: 'completed', worker: 'lightroom', attempts: 1, result: {} })
})

test('a command is checked as its route checks, and takes only what was sent', async () => {
  await using server = await startTestServer()
  const session = (
    await server.api<{ id: number }>('POST', '/api/sessions', { name: 's', import_folder: '/x' })
  ).body
  const photo = (
    await server.api<{ id: number }>('POST', '/api/photos', { file_path: '/a', session_id: session.id })
  ).body
  await server.api('PATCH', `/api/photos/${photo.id}`, { ai_score: 4.5 })
  const client = await server.connect()
  const publish = (event: object) => client.request({ type: 'publish', event, command: true })
  const counts = { total_photos: 1, processed_photos: 0, progress_percent: 0 }
  const renamed = {
    type: 'session_updated',
    session_id: session.id,
    session_name: 't',
    status: 'selecting',
    ...counts,
  }
  const completed = {
    type: 'session_completed',
    session_id: session.id,
    session_name: 't',
    total_photos: 1,
    approved_photos: 0,
    approval_rate: 0,
  }

  const replies = [
    await publish({ type: 'photo_analyzed', photo_id: photo.id, analysis_results: { b: 1 } }),
    await publish({ type: 'photo_analyzed', photo_id: photo.id, ai_score: 99 }),
    await publish({ ...renamed, status: 'dancing' }),
    await publish(renamed),
    await publish(renamed),
    await publish(completed),
    await publish(completed),
  ]

  expect(replies.map(({ type, code }) => code ?? type)).toEqual([
    'published',
    'invalid_message',
    'invalid_message',
    'published',
    'conflict',
    'published',
    'conflict',
  ])
  const { body } = await server.api('GET', `/api/photos/${photo.id}`)
  expect(body).toMatchObject({ ai_score: 4.5, analysis_results: { b: 1 } })
})

test('a client that publishes without waiting is read no faster than it is answered', async () => {
  await using server = await startTestServer()
  const client = await server.connect()
  const text = 'x'.repeat(50_000)

  for (let id = 0; id < 1000; id += 1) {
    client.send({
      type: 'publish',
      id,
      event: { type: 'error_occurred', error_type: 'a', error_message: text },
    })
  }
  const replies = await Promise.all(
    Array.from({ length: 1000 }, (_, id) => client.next((reply) => reply['id'] === id)),
  )

  expect(replies.map(({ seq }) => seq)).toEqual(Array.from({ length: 1000 }, (_, n) => n + 1))
})

test('derived values are taken from outside while there is nothing to derive them from', async () => {
  await using server = await startTestServer()
  const client = await server.connect()
  const event = { type: 'queue_status', pending: 1, processing: 0, completed: 0, failed: 0, total: 1 }

  expect(await client.request({ type: 'publish', event })).toMatchObject({
    type: 'published',
    channel: 'queue',
  })
})

test('without a token every message but auth is refused, and the socket stays', async () => {
  await using server = await startTestServer()
  const client = await server.connect({ token: null })

  const early = await client.request({ type: 'subscribe', channels: ['jobs'] })
  client.send({ type: 'auth', token: server.token, id: 'a' })
  client.send({ type: 'subscribe', channels: ['jobs'], id: 'b' })
  const [authenticated, confirmed] = [
    await client.next(({ id }) => id === 'a'),
    await client.next(({ id }) => id === 'b'),
  ]

  expect(early).toMatchObject({ type: 'error', code: 'unauthenticated' })
  expect(authenticated).toMatchObject({
    type: 'authenticated',
    subject: 'tester',
    expires_at: expect.any(String),
    channels: [],
  })
  expect(confirmed).toMatchObject({ type: 'subscription_confirmed', channels: ['jobs'] })
})

test('a browser hands its token in beside the subprotocol, and it is not echoed', async () => {
  await using server = await startTestServer()
  const response = await fetch(`${server.url}/ws`, {
    headers: {
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
      'Sec-WebSocket-Protocol': `bearer.${server.token}, lightwire.v1.json`,
    },
  })

  expect(response.status).toBe(101)
  expect(response.headers.get('sec-websocket-protocol')).toBe('lightwire.v1.json')
})

test.each([
  ['no JWT at all', 'nonsense', 4501],
  ['an expired token', null, 4401],
] as const)('%s at the upgrade is told on the socket', async (_, token, code) => {
  await using server = await startTestServer()
  const expired = await server.server.issueToken({ subject: 'x', scope: '', expiresInMs: -60_000 })

  const client = await server.connect({ token: token ?? expired })

  expect(await client.closed).toMatchObject({ code })
  expect(client.received).toMatchObject([{ type: 'disconnect', code }])
})

test('rights hold for subscribe and publish, each refusal changes nothing', async () => {
  await using server = await startTestServer()
  const scope = 'events:read:jobs events:publish:photos'
  const client = await server.connect({ token: await server.tokenFor(scope) })
  const photo = { type: 'photo_approved', photo_id: 1 }
  const job = { type: 'job_cancelled', job_id: 'a' }

  const replies = [
    await client.subscribe(['jobs', 'photos']),
    await client.subscribe(['jobs']),
    await client.request({ type: 'publish', event: photo }),
    await client.request({ type: 'publish', event: job }),
    await client.request({ type: 'publish', event: photo, command: true }),
  ]

  expect(replies.map(({ type, code }) => code ?? type)).toEqual([
    'forbidden',
    'subscription_confirmed',
    'published',
    'forbidden',
    'forbidden',
  ])
  expect(replies[1]?.['channels']).toEqual(['jobs'])
})

test('a refresh that narrows ends what it no longer grants, before its reply', async () => {
  await using server = await startTestServer()
  const client = await server.connect()
  await client.subscribe(['jobs', 'sessions'])

  const token = await server.tokenFor('events:read:jobs')
  const authenticated = await client.request({ type: 'auth', token })
  await server.api('POST', '/api/sessions', session('a'))
  await client.sync()

  expect(authenticated).toMatchObject({ type: 'authenticated', channels: ['jobs'] })
  expect(client.events).toEqual([])
})

test('a refresh with a bad token, or for somebody else, ends the connection with 4501', async () => {
  await using server = await startTestServer()
  const tokens = ['nonsense', await server.tokenFor('events:read', 'somebody-else')]

  for (const token of tokens) {
    const client = await server.connect()
    client.send({ type: 'auth', token })
    expect(await client.closed).toMatchObject({ code: 4501 })
  }
})

test('custom handlers answer messages of their own; what they throw is a refusal or internal', async () => {
  await using server = await startTestServer(
    {},
    {
      handlers: {
        echo: (message, { subject }) => ({ type: 'echoed', text: message['text'], subject }),
        later: async () => ({ type: 'came' }),
        silent: () => undefined,
        refuse: () => {
          throw new Refusal('conflict', 'not now')
        },
        break: () => {
          throw new Error('a secret of the inside')
        },
        reject: () => Promise.reject(new TypeError('another')),
        text: () => 'hi' as unknown as object,
        circular: () => {
          const message: Record<string, unknown> = { type: 'x' }
          message['self'] = message
          return message
        },
      },
    },
  )
  const client = await server.connect()

  const replies = []
  for (const type of ['echo', 'later', 'refuse', 'break', 'reject', 'text', 'circular', 'unheard']) {
    replies.push(await client.request({ type, text: 'hi' }))
  }
  client.send({ type: 'silent', id: 'none' })
  await client.sync()

  expect(replies[0]).toMatchObject({ type: 'echoed', text: 'hi', subject: 'tester' })
  expect(replies.map(({ type, code }) => code ?? type)).toEqual([
    'echoed',
    'came',
    'conflict',
    'internal',
    'internal',
    'internal',
    'internal',
    'unknown_type',
  ])
  expect(JSON.stringify(client.received)).not.toContain('secret of the inside')
  expect(client.received.some(({ id }) => id === 'none')).toBe(false)
})

test('messages behind a handler that waits are answered after it, in order', async () => {
  const gate = Promise.withResolvers<object>()
  await using server = await startTestServer({}, { handlers: { wait: () => gate.promise } })
  const client = await server.connect()
  await client.next('connection_established')

  client.send({ type: 'wait', id: 0 })
  for (let id = 1; id <= 200; id += 1) client.send({ type: 'ping', id })
  gate.resolve({ type: 'done' })
  await client.next(({ id }) => id === 200)

  const ids = client.received.flatMap(({ id }) => (id === undefined ? [] : [id]))
  expect(ids).toEqual(Array.from({ length: 201 }, (_, n) => n))
})

test('the in-process face publishes, sends to a client type, lists and disconnects', async () => {
  await using server = await startTestServer()
  const [gui, web] = [await server.connect(), await server.connect({ framing: 'msgpack' })]
  await gui.request({ type: 'register', client_type: 'gui', client_name: 'desk' })
  await web.request({ type: 'register', client_type: 'web' })
  await web.subscribe(['system'])

  const stored = await server.server.publish(events.systemStatus({ status: 'paused' }))
  const recipients = server.server.sendToType('web', { type: 'hello', text: 'only you' })
  await Promise.all([gui.sync(), web.sync()])
  const listed = server.server.clients()
  const known = server.server.disconnect(listed[0]?.id ?? '')

  expect(stored).toMatchObject({ channel: 'system', seq: 1 })
  expect(web.events).toMatchObject([{ type: 'system_status', status: 'paused', details: {} }])
  expect([recipients, known, server.server.disconnect('nobody')]).toEqual([1, true, false])
  expect(web.received.filter(({ type }) => type === 'hello')).toEqual([
    { type: 'hello', text: 'only you', timestamp: expect.any(String) },
  ])
  expect(gui.received.some(({ type }) => type === 'hello')).toBe(false)
  expect(listed).toMatchObject([
    {
      client_type: 'gui',
      client_name: 'desk',
      subject: 'tester',
      protocol: 'lightwire.v1.json',
      channels: [],
    },
    { client_type: 'web', client_name: null, protocol: 'lightwire.v1.msgpack', channels: ['system'] },
  ])
  expect(await gui.closed).toMatchObject({ code: 4503 })
  expect(() => server.server.sendToType('web', { type: 'pong' })).toThrow(/reserved/)
  expect(() => server.server.sendToType('web', { type: 'x', seq: 1 })).toThrow(/seq/)
})
