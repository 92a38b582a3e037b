import { expect, setDefaultTimeout, test } from 'bun:test'
import type { Message } from '../support/client.ts'
import { startTestServer, type TestServer } from '../support/server.ts'
import { publishProgress } from '../realtime/batches.ts'

setDefaultTimeout(60_000)

interface Page {
  readonly events: readonly (Message & { readonly channel: string; readonly seq: number })[]
  readonly cursor: string
  readonly more: boolean
}

const pull = (server: TestServer, query: Record<string, string | number> = {}, api = server.api) =>
  api<Page & { code?: string; recovery?: unknown }>(
    'GET',
    `/api/events?${Object.entries(query)
      .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
      .join('&')}`,
  )

/** A session, two photos of it, a job: events on several channels. */
async function makeHistory(server: TestServer): Promise<void> {
  const { body } = await server.api<{ id: number }>('POST', '/api/sessions', {
    name: 's',
    import_folder: '/x',
  })
  const photos = [1, 2].map((n) => ({ session_id: body.id, file_path: `/x/${n}.jpg` }))
  const made = await server.api<{ photos: { id: number }[] }>('POST', '/api/photos', photos)
  await server.api('POST', '/api/jobs', { photo_id: made.body.photos[0]?.id })
}

test('without a cursor a pull begins at the oldest event, and pages join without a hole', async () => {
  await using server = await startTestServer()
  await makeHistory(server)
  const seen: string[] = []
  let cursor: string | undefined

  for (let more = true; more;) {
    const { status, body } = await pull(server, {
      limit: 2,
      ...(cursor === undefined ? {} : { since: cursor }),
    })
    expect(status).toBe(200)
    expect(body.events.length).toBeLessThanOrEqual(2)
    seen.push(...body.events.map(({ channel, seq, type }) => `${channel}/${seq} ${type}`))
    ;({ cursor, more } = body)
  }

  const { body: whole } = await pull(server, { limit: 1000 })
  expect(seen).toEqual(whole.events.map(({ channel, seq, type }) => `${channel}/${seq} ${type}`))
  expect(seen).toHaveLength(6)
  expect(seen[0]).toBe('sessions/1 session_created')
  expect(whole).toMatchObject({ more: false, cursor: cursor as unknown as string })
})

test('a pull continues where a read or a socket stood, and reading destroys nothing', async () => {
  await using server = await startTestServer()
  await makeHistory(server)
  const { cursor } = await server.api('GET', '/api/sessions')
  await publishProgress(server, [
    ['a', 1],
    ['a', 2],
  ])

  const [once, again] = [
    await pull(server, { since: String(cursor) }),
    await pull(server, { since: String(cursor) }),
  ]
  const client = await server.connect()
  await client.subscribe(['jobs'], once.body.cursor)
  await publishProgress(server, [['a', 3]])
  await client.sync()

  expect(once.body.events.map(({ seq }) => seq)).toEqual([2, 3])
  expect(again.body).toEqual(once.body)
  expect(client.events.map(({ seq }) => seq)).toEqual([4])
})

test('channels, where and rights narrow a pull', async () => {
  await using server = await startTestServer()
  await makeHistory(server)
  const narrow = server.apiAs(await server.tokenFor('events:read:jobs events:read:photos'))
  const none = server.apiAs(await server.tokenFor('api:read'))

  const granted = await pull(server, {}, narrow)
  const photos = await pull(server, { channels: 'photos', where: '{"file_path":"/x/2.jpg"}' })
  const refused = [
    await pull(server, { channels: 'sessions' }, narrow),
    await pull(server, {}, none),
    await pull(server, { channels: 'nothing' }),
    await pull(server, { channels: 'jobs', where: '{"ai_score":1}' }),
    await pull(server, { where: '{' }),
    await pull(server, { since: 'yesterday' }),
    await pull(server, { limit: 0 }),
    await pull(server, { wait: 31 }),
    await pull(server, { colour: 'red' }),
  ]

  expect(new Set(granted.body.events.map(({ channel }) => channel))).toEqual(new Set(['jobs', 'photos']))
  expect(granted.body.cursor).toMatch(/^[a-z0-9]+:jobs=1,photos=2$/)
  expect(photos.body.events.map(({ seq }) => seq)).toEqual([2])
  expect(refused.map(({ status }) => status)).toEqual([403, 403, 404, 400, 400, 400, 400, 400, 400])
})

test('a page that finds nothing among 10,000 events is empty, and says that there is more', async () => {
  await using server = await startTestServer({ TAIL_BYTES: 65_536 })
  const report = Array.from({ length: 1000 }, (_, n) => ['other', n % 100] as const)
  for (let n = 0; n < 10; n += 1) await publishProgress(server, report)
  await publishProgress(server, [
    ['other', 1],
    ['wanted', 1],
  ])
  const where = '{"job_id":"wanted"}'

  const first = await pull(server, { channels: 'jobs', where })
  const second = await pull(server, { channels: 'jobs', where, since: first.body.cursor })

  expect(first.body).toMatchObject({ events: [], more: true, cursor: expect.stringMatching(/:jobs=10000$/) })
  expect(second.body).toMatchObject({ events: [{ seq: 10_002 }], more: false })
})

test('a long-poll is answered by the next event that passes, and ends empty after its time', async () => {
  await using server = await startTestServer()
  const { body: start } = await pull(server, {})
  const waiting = pull(server, { channels: 'jobs', where: '{"job_id":"b"}', since: start.cursor, wait: 30 })
  const empty = await pull(server, { channels: 'photos', since: start.cursor, wait: 0.05 })

  await publishProgress(server, [['a', 1]])
  await publishProgress(server, [['b', 2]])
  const { body } = await waiting

  expect(body.events.map(({ seq }) => seq)).toEqual([2])
  expect(body.cursor).toEndWith(':jobs=2')
  expect(empty.body).toMatchObject({ events: [], more: false })
})

test('a long-poll whose token is revoked gets nothing more', async () => {
  await using server = await startTestServer()
  const token = await server.tokenFor('events:read', 'somebody')
  const waiting = pull(server, { channels: 'jobs', wait: 30 }, server.apiAs(token))
  await publishProgress(server, [['a', 1]])
  const first = await waiting
  const again = pull(server, { channels: 'jobs', wait: 30, since: first.body.cursor }, server.apiAs(token))
  await server.api('POST', '/api/tokens/revoke', { subject: 'somebody' })
  await publishProgress(server, [['a', 2]])

  const { status, body } = await again

  expect(first.body.events).toHaveLength(1)
  expect([status, body.code]).toEqual([401, 'invalid_token'])
})

test('a cursor that cannot be served is 410 with the recovery of each channel', async () => {
  await using server = await startTestServer()
  await makeHistory(server)
  const { body } = await pull(server)
  const epoch = body.cursor.split(':')[0]

  const foreign = await pull(server, { since: 'abc:jobs=1,photos=1', channels: 'jobs,photos' })
  const future = await pull(server, { since: `${epoch}:jobs=99,photos=1`, channels: 'jobs,photos' })

  expect(foreign).toMatchObject({ status: 410, body: { code: 'cursor_gone' } })
  expect(foreign.body.recovery).toEqual({
    jobs: { status: 'snapshot_required', reason: 'epoch' },
    photos: { status: 'snapshot_required', reason: 'epoch' },
  })
  expect(future.body.recovery).toEqual({
    jobs: { status: 'snapshot_required', reason: 'epoch' },
    photos: { status: 'recovered' },
  })
})

test('a long-poll that waits when the server stops is answered', async () => {
  const server = await startTestServer()
  const { body } = await pull(server)
  const waiting = pull(server, { since: body.cursor, wait: 30 })
  // Its request is under way once a later one was answered on another connection.
  await server.api('GET', '/api/system/info')

  await server[Symbol.asyncDispose]()

  expect(await waiting).toMatchObject({ status: 200, body: { events: [], cursor: body.cursor } })
})

test('a long-poll whose token ends is refused then, not when its time is over', async () => {
  let nowMs = Date.now()
  await using server = await startTestServer({}, { now: () => new Date(nowMs) })
  const { body: start } = await pull(server)
  const waiting = pull(server, { channels: 'jobs', since: start.cursor, wait: 30 })
  await server.api('GET', '/api/queue')
  const started = performance.now()
  nowMs += 3_700_000

  const { status, body } = await waiting

  expect([status, body.code]).toEqual([401, 'unauthenticated'])
  expect(performance.now() - started).toBeLessThan(5000)
})
