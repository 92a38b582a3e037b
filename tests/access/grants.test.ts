/** Row-level reading: a token's grants narrow what is seen, live and in replay, over every transport. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import type { Grant } from '../../lib/access/rights.ts'
import type { Message, TestClient } from '../support/client.ts'
import { TestStream } from '../support/event-stream.ts'
import { startTestServer, type TestServer } from '../support/server.ts'

setDefaultTimeout(60_000)

/** Two sessions with two photos each; the photos' events are seq 1 to 4 of their channel. */
async function makeShoots(server: TestServer): Promise<{ sessions: number[]; photos: number[] }> {
  const sessions: number[] = []
  const photos: number[] = []
  for (const name of ['ours', 'theirs']) {
    const { body } = await server.api<{ id: number }>('POST', '/api/sessions', { name, import_folder: '/x' })
    sessions.push(body.id)
    for (const n of [1, 2]) {
      const photo = { session_id: body.id, file_path: `/x/${name}${n}.jpg` }
      photos.push((await server.api<{ id: number }>('POST', '/api/photos', photo)).body.id)
    }
  }
  return { sessions, photos }
}

const issue = (server: TestServer, grants: readonly Grant[], scope = '', subject = 'guest') =>
  server.server.issueToken({ subject, scope, grants, expiresInMs: 3_600_000 })

const ofSession = (session_id: number): Grant[] => [{ channel: 'photos', where: { session_id } }]

/** Events that came, bare or in batches. */
const seen = (client: TestClient) =>
  client.received
    .flatMap((message) => (message.type === 'batch' ? (message['events'] as Message[]) : [message]))
    .filter((message) => message['channel'] === 'photos')
    .map((message) => Number(message['seq']))

const approve = (server: TestServer, photo: number) =>
  server.api('PATCH', `/api/photos/${photo}`, { ai_score: 4 })

test('a granted channel shows the matching events only: replayed, live, and over every transport', async () => {
  await using server = await startTestServer({ TAIL_BYTES: 65_536 })
  const { cursor } = await server.api('GET', '/api/sessions')
  const { sessions, photos } = await makeShoots(server)
  const token = await issue(server, ofSession(sessions[1] ?? 0))
  const api = server.apiAs(token)
  const socket = await server.connect({ token, framing: 'deflate' })
  const confirmed = await socket.subscribe(['photos'], String(cursor))
  const url = `${server.url}/api/events/stream?since=${cursor}&channels=photos`
  const stream = await TestStream.open({ url, headers: { Authorization: `Bearer ${token}` } })
  if (!(stream instanceof TestStream)) throw new Error('refused')
  const { body: session } = await api<{ client_id: string }>('POST', '/ws/handshake', { client_type: 'web' })
  await api('POST', '/ws/send', {
    client_id: session.client_id,
    message: { type: 'subscribe', channels: ['photos'], since: cursor },
  })

  for (const photo of photos) await approve(server, photo)
  await socket.sync()
  await stream.until(() => stream.id.endsWith('photos=8'))
  const pulled = await api<{ events: Message[] }>('GET', `/api/events?since=${cursor}&channels=photos`)
  const polled: number[] = []
  while (polled.length < 4) {
    const { body } = await api<{ messages: Message[] }>('GET', `/ws/poll?client_id=${session.client_id}`)
    for (const message of body.messages) {
      if (message.type !== 'batch') continue
      polled.push(...(message['events'] as Message[]).map(({ seq }) => Number(seq)))
    }
  }

  const theirs = [3, 4, 7, 8]
  expect(confirmed['recovery']).toEqual({ photos: { status: 'recovered' } })
  expect(seen(socket)).toEqual(theirs)
  expect(stream.events.map(({ data }) => data['seq'])).toEqual(theirs)
  expect(pulled.body.events.map(({ seq }) => seq)).toEqual(theirs)
  expect(polled).toEqual(theirs)
  await stream[Symbol.asyncDispose]()
})

test('what waited for a polling session shows of itself what the token of the poll grants', async () => {
  await using server = await startTestServer()
  const { sessions, photos } = await makeShoots(server)
  const wide = server.apiAs(await issue(server, [], 'events:read'))
  const narrow = server.apiAs(await issue(server, ofSession(sessions[1] ?? 0)))
  const taken: [narrowed: boolean, seqs: unknown[]][] = []

  for (const options of [{}, { batch_ms: 0 }]) {
    const { body } = await wide<{ client_id: string }>('POST', '/ws/handshake', { client_type: 'web' })
    const message = { type: 'subscribe', channels: ['photos'], ...options }
    await wide('POST', '/ws/send', { client_id: body.client_id, message })
    for (const photo of photos) await approve(server, photo)
    while (server.server.clients().some(({ cursor_lag }) => cursor_lag > 0)) await wide('GET', '/api/events')
    const poll = await narrow<{ messages: Message[] }>('GET', `/ws/poll?client_id=${body.client_id}`)
    const events = poll.body.messages.flatMap((each) => (each['events'] as Message[] | undefined) ?? [each])
    const photo = events.filter(({ channel }) => channel === 'photos')
    taken.push([poll.body.messages.some(({ type }) => type === 'batch'), photo.map(({ seq }) => seq)])
    await wide('POST', '/ws/disconnect', { client_id: body.client_id })
  }

  expect(taken).toEqual([
    [false, [7, 8]],
    [true, [11, 12]],
  ])
})

test('rights are the union of scope and grants; a channel of the scope is whole', async () => {
  await using server = await startTestServer()
  const { sessions, photos } = await makeShoots(server)
  const [ours = 0, theirs = 0] = sessions
  const approved: Grant = { channel: 'photos', where: { type: 'photo_analyzed' } }
  const cases: [grants: Grant[], scope: string, expected: number[]][] = [
    [[...ofSession(ours), ...ofSession(theirs)], '', [1, 2, 3, 4, 5, 6, 7, 8]],
    [[...ofSession(ours), approved], '', [1, 2, 5, 6, 7, 8]],
    [ofSession(ours), 'events:read:photos', [1, 2, 3, 4, 5, 6, 7, 8]],
    [ofSession(ours), 'events:read:jobs', [1, 2, 5, 6]],
    [[{ channel: 'photos', where: { session_id: theirs, type: 'photo_analyzed' } }], '', [7, 8]],
  ]
  for (const photo of photos) await approve(server, photo)

  const answers: unknown[] = []
  for (const [grants, scope] of cases) {
    const api = server.apiAs(await issue(server, grants, scope))
    const { body } = await api<{ events: Message[] }>('GET', '/api/events?channels=photos')
    answers.push(body.events.map(({ seq }) => seq))
  }

  expect(answers).toEqual(cases.map(([, , expected]) => expected))
})

test("a client's own filter narrows a grant further and never widens it", async () => {
  await using server = await startTestServer()
  const { sessions, photos } = await makeShoots(server)
  const [ours = 0, theirs = 0] = sessions
  const token = await issue(server, [
    ...ofSession(ours),
    { channel: 'photos', where: { type: 'photo_analyzed' } },
  ])
  const client = await server.connect({ token })
  await client.request({ type: 'subscribe', channels: ['photos'], where: { session_id: theirs } })

  for (const photo of photos) await approve(server, photo)
  await server.api('PATCH', `/api/photos/${photos[3]}`, { context_tag: 'a', selected_preset: 'b' })
  await client.sync()

  expect(seen(client)).toEqual([7, 8])
})

test('a channel without a grant is forbidden, and nothing follows', async () => {
  await using server = await startTestServer()
  const token = await issue(server, ofSession(1))
  const client = await server.connect({ token })

  const both = await client.subscribe(['photos', 'jobs'])
  const published = await client.request({ type: 'publish', event: { type: 'photo_approved', photo_id: 9 } })
  const pull = await server.apiAs(token)('GET', '/api/events?channels=jobs')
  const mine = await server.apiAs(token)<{ cursor: string }>('GET', '/api/events')

  expect([both, published].map(({ code }) => code)).toEqual(['forbidden', 'forbidden'])
  expect(pull.status).toBe(403)
  expect(mine.body.cursor).toMatch(/^[a-z0-9]+:photos=0$/)
})

test('a refresh that narrows takes effect at once, one that widens with the next subscribe', async () => {
  await using server = await startTestServer()
  const { sessions, photos } = await makeShoots(server)
  const [ours = 0, theirs = 0] = sessions
  const [one = 0, , other = 0] = photos
  const client = await server.connect({ token: await issue(server, [], 'events:read') })
  await client.subscribe(['photos', 'jobs'])
  const refresh = async (grants: readonly Grant[], scope = '') => {
    const reply = await client.request({ type: 'auth', token: await issue(server, grants, scope) })
    await approve(server, one)
    await approve(server, other)
    await client.sync()
    return reply['channels']
  }

  const channels = [
    await refresh(ofSession(ours)),
    await refresh(ofSession(theirs)),
    await refresh([...ofSession(ours), ...ofSession(theirs)]),
    await refresh([], 'events:read:photos'),
  ]
  const before = seen(client)
  await client.subscribe(['photos'])
  await refresh([], 'events:read:photos')

  expect(channels).toEqual([['photos'], ['photos'], ['photos'], ['photos']])
  // 5 and 6 were the first pair: 5 of ours; 8 of theirs; both; and again both, for what was held before still stands.
  expect(before).toEqual([5, 8, 9, 10, 11, 12])
  expect(seen(client)).toEqual([...before, 13, 14])
})

test('the filter of the newest subscribe is what later rights narrow, also where the rights of then said the same', async () => {
  await using server = await startTestServer()
  const { sessions, photos } = await makeShoots(server)
  const [ours = 0, theirs = 0] = sessions
  const both = [...ofSession(ours), ...ofSession(theirs)]
  const [narrows, widens] = await Promise.all(
    ['narrows', 'widens'].map(async (subject) =>
      server.connect({ token: await issue(server, ofSession(ours), '', subject) }),
    ),
  )
  if (!narrows || !widens) throw new Error('nobody is connected')
  const where = { session_id: ours }
  await narrows.subscribe(['photos'])
  await narrows.request({ type: 'subscribe', channels: ['photos'], where })
  await widens.request({ type: 'subscribe', channels: ['photos'], where })
  await widens.request({ type: 'subscribe', channels: ['photos'] })

  for (const [client, subject] of [
    [narrows, 'narrows'],
    [widens, 'widens'],
  ] as const)
    await client.request({ type: 'auth', token: await issue(server, both, '', subject) })
  for (const photo of photos) await approve(server, photo)
  await Promise.all([narrows.sync(), widens.sync()])

  expect(seen(narrows)).toEqual([5, 6])
  expect(seen(widens)).toEqual([5, 6, 7, 8])
})

test('after a refresh the next batch begins where the client knows to be, so that it looks like no gap', async () => {
  await using server = await startTestServer()
  const { sessions, photos } = await makeShoots(server)
  const [ours = 0, theirs = 0] = sessions
  const client = await server.connect({ token: await issue(server, ofSession(ours)) })
  const { cursor } = await client.subscribe(['photos'])

  // Nothing of it is shown, so its client is not told; another's pong says that it has passed.
  const other = await server.connect()
  for (const photo of photos.slice(2)) await approve(server, photo)
  await other.sync()
  await client.request({ type: 'auth', token: await issue(server, ofSession(theirs)) })
  await approve(server, photos[3] ?? 0)
  const batches = [await client.next('batch'), await client.next('batch')]

  expect(String(cursor)).toEndWith(':photos=4')
  expect(batches).toMatchObject([
    { after: 4, upto: 6, events: [] },
    { after: 6, upto: 7, events: [{ seq: 7 }] },
  ])
})

test('a grant on a session opens the GETs of that session and its photos, and no others', async () => {
  await using server = await startTestServer()
  const { sessions, photos } = await makeShoots(server)
  const [ours = 0, theirs = 0] = sessions
  const api = server.apiAs(await issue(server, ofSession(theirs)))
  const both = server.apiAs(await issue(server, [...ofSession(ours), ...ofSession(theirs)]))
  const partial = server.apiAs(
    await issue(server, [{ channel: 'photos', where: { session_id: theirs, type: 'photo_approved' } }]),
  )
  const get = async (path: string, as = api) => (await as('GET', path)).status
  const list = async (path: string, as = api) =>
    (await as<{ photos: { id: number }[]; total: number }>('GET', path)).body

  const statuses = [
    await get(`/api/sessions/${theirs}`),
    await get(`/api/sessions/${ours}`),
    await get(`/api/photos/${photos[2]}`),
    await get(`/api/photos/${photos[0]}`),
    await get('/api/photos/999'),
    await get('/api/jobs'),
    await get('/api/approval/queue'),
    await get('/api/sessions', partial),
    (await api('POST', '/api/sessions', { name: 'x', import_folder: '/' })).status,
  ]
  const names = await api<{ sessions: { name: string }[]; total: number }>('GET', '/api/sessions')

  expect(statuses).toEqual([200, 404, 200, 404, 404, 403, 403, 403, 403])
  expect(names.body).toMatchObject({ sessions: [{ name: 'theirs' }], total: 1 })
  expect(await list('/api/photos')).toMatchObject({
    photos: [{ id: photos[2] }, { id: photos[3] }],
    total: 2,
  })
  expect(await list(`/api/photos?session_id=${ours}`)).toMatchObject({ photos: [], total: 0 })
  expect(await list(`/api/photos?session_id=${theirs}&status=imported`)).toMatchObject({ total: 2 })
  expect(await list('/api/photos?limit=3&sort=-id', both)).toMatchObject({
    photos: [{ id: photos[3] }, { id: photos[2] }, { id: photos[1] }],
    total: 4,
  })
})

test('a grant on what can be no session opens none', async () => {
  await using server = await startTestServer()
  const { sessions } = await makeShoots(server)
  const [ours = 0] = sessions
  const answers: unknown[] = []

  for (const session_id of [1.5, 1e300, 2 ** 63, { in: [0.5, ours, -1] }]) {
    const token = await issue(server, [{ channel: 'photos', where: { session_id } }])
    const { status, body } = await server.apiAs(token)<{ total: number }>('GET', '/api/sessions')
    answers.push([status, body.total])
  }

  expect(answers).toEqual([
    [403, undefined],
    [403, undefined],
    [403, undefined],
    [200, 1],
  ])
})

test('grants of a wrong shape void the token, and none is issued with them', async () => {
  await using server = await startTestServer()
  const wrong: unknown[] = [
    [{ channel: 'photos', where: { colour: 1 } }],
    [{ channel: 'photos', where: {} }],
    [{ channel: 'nothing', where: { session_id: 1 } }],
    [{ channel: 'photos' }],
    [{ channel: 'photos', where: { session_id: 1 }, more: 1 }],
    { channel: 'photos', where: { session_id: 1 } },
    'photos',
    Array.from({ length: 101 }, () => ({ channel: 'photos', where: { session_id: 1 } })),
  ]

  for (const grants of wrong) {
    const token = await server.server.issueToken({
      subject: 'x',
      scope: '',
      grants: [grants].flat() as never,
      expiresInMs: 60_000,
    })
    const used = await server.apiAs(token)<{ code: string }>('GET', '/api/events')
    const asked = await server.api('POST', '/api/tokens', { subject: 'x', scope: '', grants, expires_in: 60 })

    expect([JSON.stringify(grants).slice(0, 60), asked.status]).toEqual([expect.any(String), 400])
    // A lone grant in a list is a list: that one token is good.
    if (!(typeof grants === 'object' && !Array.isArray(grants)))
      expect([used.status, used.body.code]).toEqual([401, 'invalid_token'])
  }
})

test('a token with grants is issued over REST and says so on the socket', async () => {
  await using server = await startTestServer()
  const { sessions } = await makeShoots(server)
  const { status, body } = await server.api<{ token: string }>('POST', '/api/tokens', {
    subject: 'phone',
    scope: '',
    grants: ofSession(sessions[0] ?? 0),
    expires_in: 60,
  })
  const client = await server.connect({ token: body.token })

  const answers = [await client.subscribe(['photos']), await client.subscribe(['sessions'])]

  expect(status).toBe(201)
  expect(answers.map(({ type }) => type)).toEqual(['subscription_confirmed', 'error'])
})

test('a token that nobody would take for its length is not issued', async () => {
  await using server = await startTestServer()
  const grants = (count: number) =>
    Array.from({ length: count }, (_, n) => ({
      channel: 'photos',
      where: { file_name: `${n}`.padEnd(900, 'x') },
    }))
  const ask = (count: number) =>
    server.api<{ token: string }>('POST', '/api/tokens', {
      subject: 'long',
      scope: '',
      grants: grants(count),
      expires_in: 60,
    })

  const [short, long] = [await ask(5), await ask(9)]

  expect(short.status).toBe(201)
  expect((await server.apiAs(short.body.token)('GET', '/api/events?channels=photos')).status).toBe(200)
  expect([long.status, long.body]).toEqual([413, expect.objectContaining({ code: 'too_large' })])
})
