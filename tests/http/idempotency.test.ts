/** A request with a key is done once: its repeats get the first answer, to the byte, over REST and as `publish`. */
import { Database as SqliteFile } from 'bun:sqlite'
import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { join } from 'node:path'
import { declaredRoutes } from '../../cli/openapi-text.ts'
import { framings } from '../../lib/protocol/codec.ts'
import { channels } from '../../lib/protocol/events.ts'
import type { Config } from '../../lib/settings.ts'
import type { ServerOptions } from '../../server.ts'
import { createKeyed, type KeyedAnswer } from '../support/keyed.ts'
import { startPostgres, type PostgresCluster } from '../support/postgres.ts'
import { startTestServer, temporaryFolder, type TestServer } from '../support/server.ts'
import { tools } from '../support/tools.ts'
import { keyedRequests } from './keyed-requests.ts'
import { createStudio } from './studio.ts'

setDefaultTimeout(60_000)

const bin = tools.postgresBin
if (bin === undefined && process.env['CI']) throw new Error('CI needs Postgres (initdb) for idempotency')
let cluster: Promise<PostgresCluster> | undefined
afterAll(async () => (await cluster)?.[Symbol.asyncDispose]())

async function databaseOf(kind: string): Promise<Partial<Config>> {
  if (kind === 'sqlite') return {}
  cluster ??= startPostgres(bin ?? '')
  return { DATABASE_URL: await (await cluster).createDatabase() }
}

const start = async (kind: string, options: ServerOptions = {}) =>
  await startTestServer(await databaseOf(kind), options)

const keyedOf = (server: TestServer, token = server.token) => createKeyed(() => server.url, token)

/** Where the journal is now. */
const headOf = async ({ api }: TestServer) => (await api('GET', '/api/sessions')).cursor

/** All but whether it was given before. */
const told = ({ status, text, cursor }: KeyedAnswer) => ({ status, text, cursor })

const session = (name: string) => ({ name, import_folder: '/x' })
const codeOf = ({ text }: KeyedAnswer) => (JSON.parse(text) as { code?: string }).code
const idOf = ({ text }: KeyedAnswer) => (JSON.parse(text) as { id: number }).id

// A polling session names its acts in its messages; its routes take no notice of a key.
const changing = declaredRoutes().filter(({ method, path }) => method !== 'get' && path.startsWith('/api/'))
const named = changing.map(({ method, path }) => `${method.toUpperCase()} ${path}`)

test('there is a request of every route that changes something, but of the one that answers a token', () => {
  expect(Object.keys(keyedRequests).toSorted()).toEqual(
    named.filter((name) => name !== 'POST /api/tokens').toSorted(),
  )
})

for (const kind of ['sqlite', 'postgres'] as const) {
  describe.skipIf(kind === 'postgres' && bin === undefined)(`a key on ${kind}`, () => {
    test.each(Object.entries(keyedRequests))(
      'makes three equal requests at once one change with one answer: %s',
      async (_, prepare) => {
        await using server = await start(kind)
        const listener = await server.connect()
        await listener.subscribe(channels)
        const keyed = keyedOf(server)
        const [method, path, body] = await prepare({ server, studio: createStudio(server.api) })
        const before = await headOf(server)

        const answers = await Promise.all([1, 2, 3].map(() => keyed('k', method, path, body)))
        const later = await keyed('k', method, path, body)
        await listener.sync()

        const [first] = answers.filter(({ replayed }) => replayed === null)
        expect(first?.status).toBeOneOf([200, 201])
        expect(answers.filter(({ replayed }) => replayed === 'true').length).toBe(2)
        expect([...answers, later].map(told)).toEqual(Array(4).fill(first && told(first)))
        expect(later.replayed).toBe('true')
        // Nothing was committed after the answer's own transaction.
        expect(await headOf(server)).toBe(first?.cursor ?? '')
        const silent = /websocket|revoke/.test(path)
        expect(first?.cursor === before).toBe(silent)
        expect(listener.received.filter(({ type }) => type === 'lunch').length).toBe(
          path.endsWith('broadcast') ? 1 : 0,
        )
        if (body === undefined) return
        const changed = Array.isArray(body) ? body.slice(1) : { ...body, ...otherwise(body) }
        expect(await keyed('k', method, path, changed)).toMatchObject({ status: 422, replayed: null })
      },
    )

    test('is of one subject, method and path: elsewhere it is another', async () => {
      await using server = await start(kind)
      const keyed = keyedOf(server)
      const other = keyedOf(server, await server.tokenFor('api:write', 'somebody else'))
      const [a, b] = [await keyed('k', 'POST', '/api/sessions', session('a')), session('b')]
      const path = `/api/sessions/${idOf(a)}`

      const answers = [
        await other('k', 'POST', '/api/sessions', b),
        await keyed('k', 'POST', '/api/system/status', { status: 'on' }),
        await keyed('k', 'PATCH', path, { status: 'selecting' }),
        await keyed('k', 'DELETE', path),
        await keyed('K', 'POST', '/api/sessions', session('c')),
      ]

      expect(answers.map(({ status, replayed }) => [status, replayed])).toEqual([
        [201, null],
        [200, null],
        [200, null],
        [200, null],
        [201, null],
      ])
    })

    test('with another body is 422; the order and spacing of the fields do not matter', async () => {
      await using server = await start(kind)
      const keyed = keyedOf(server)
      const first = await keyed('k', 'POST', '/api/sessions', session('a'))

      const same = await keyed('k', 'POST', '/api/sessions', ' { "import_folder" : "\\u002fx", "name":"a" }')
      const other = await keyed('k', 'POST', '/api/sessions', session('b'))
      const again = await keyed('k', 'POST', '/api/sessions', session('a'))

      expect([other.status, codeOf(other), other.replayed]).toEqual([422, 'idempotency_mismatch', null])
      expect([same, again]).toEqual(Array(2).fill({ ...told(first), replayed: 'true' }))
    })

    test('keeps no refusal: the same request may succeed later', async () => {
      await using server = await start(kind)
      const keyed = keyedOf(server)
      const { body } = await server.api<{ id: number }>('POST', '/api/sessions', session('a'))

      const taken = await keyed('k', 'POST', '/api/sessions', session('a'))
      await server.api('DELETE', `/api/sessions/${body.id}`)
      const free = await keyed('k', 'POST', '/api/sessions', session('a'))
      const unknown = await keyed('k', 'PATCH', '/api/sessions/999999', { status: 'selecting' })
      const invalid = await keyed('k', 'POST', '/api/jobs', { photo_id: 'x' })
      const repaired = await keyed('k', 'POST', '/api/jobs', { photo_id: 999_999 })

      const statuses = [taken, free, unknown, invalid, repaired].map(({ status, replayed }) => [
        status,
        replayed,
      ])
      expect(statuses).toEqual([409, 201, 404, 400, 404].map((status) => [status, null]))
    })

    test('holds for 24 hours by the server’s clock', async () => {
      const clock = { ms: Date.UTC(2026, 10, 22) }
      await using server = await start(kind, { now: () => new Date(clock.ms) })
      const status = { status: 'on' }
      const send = async () =>
        await keyedOf(server, await server.tokenFor('api:write', 'clocked'))(
          'k',
          'POST',
          '/api/system/status',
          status,
        )

      const first = await send()
      clock.ms += 24 * 3_600_000 - 1
      const within = await send()
      clock.ms += 1
      const beyond = await send()
      const next = await send()

      expect(within).toEqual({ ...told(first), replayed: 'true' })
      expect(beyond.replayed).toBeNull()
      expect(beyond.cursor).not.toBe(first.cursor)
      expect(next).toEqual({ ...told(beyond), replayed: 'true' })
    })

    test('outlasts a restart, with the cursor of then', async () => {
      using folder = temporaryFolder()
      const config = { ...(await databaseOf(kind)), DATA_DIR: folder.path }
      let first: KeyedAnswer
      {
        await using server = await startTestServer(config)
        first = await keyedOf(server)('k', 'POST', '/api/sessions', session('a'))
      }

      await using server = await startTestServer(config)
      const client = await server.connect()
      const again = await keyedOf(server)('k', 'POST', '/api/sessions', session('a'))
      const joined = await client.subscribe(['sessions'], String(again.cursor))

      expect(again).toEqual({ ...told(first), replayed: 'true' })
      expect(joined).toMatchObject({ recovery: { sessions: { status: 'recovered' } } })
    })

    test('gives the answer to a thousand photos again, to the byte', async () => {
      await using server = await start(kind)
      const keyed = keyedOf(server)
      const photos = Array.from({ length: 1000 }, (_, n) => ({ file_path: `/ä/${'📷'.repeat(50)}/${n}.jpg` }))

      const answers = [1, 2].map(() => keyed('bulk', 'POST', '/api/photos', photos))
      const [first, second] = await Promise.all(answers)

      expect(second?.text === first?.text).toBe(true)
      expect(JSON.parse(second?.text ?? '')).toMatchObject({ count: 1000 })
      expect((await server.api<{ total: number }>('GET', '/api/photos?limit=1')).body.total).toBe(1000)
    })

    test('makes publish once: a repeat gets the first number and carries its own id', async () => {
      await using server = await start(kind)
      const event = { type: 'system_status', status: 'on', details: { b: 1, a: [2] } }
      const listener = await server.connect()
      await listener.subscribe(['system'])
      const replies = []
      for (const framing of framings) {
        const client = await server.connect({ framing })
        for (const id of [1, 2]) client.send({ type: 'publish', event, key: 'k', id })
        replies.push(await client.next(({ id }) => id === 1), await client.next(({ id }) => id === 2))
      }

      const client = await server.connect()
      const other = await client.request({ type: 'publish', event: { ...event, status: 'off' }, key: 'k' })
      const command = await client.request({ type: 'publish', event, command: true, key: 'k' })
      const unkeyed = await client.request({ type: 'publish', event })
      await listener.sync()

      expect(replies).toEqual(
        framings.flatMap(() =>
          [1, 2].map((id) => ({ type: 'published', event_type: event.type, channel: 'system', seq: 1, id })),
        ),
      )
      expect([other['code'], command['code']]).toEqual(['idempotency_mismatch', 'idempotency_mismatch'])
      expect(unkeyed['seq']).toBe(2)
      expect(listener.events.map(({ seq }) => seq)).toEqual([1, 2])
    })

    test('makes a command over the socket once, and keeps none that was refused', async () => {
      await using server = await start(kind)
      const studio = createStudio(server.api)
      const { photo } = await studio.shoot(['createJob', 'claim'])
      const client = await server.connect()
      const approve = () =>
        client.request({
          type: 'publish',
          event: { type: 'photo_approved', photo_id: photo },
          command: true,
          key: 'approve it',
        })
      const early = () =>
        client.request({
          type: 'publish',
          event: { type: 'photo_approved', photo_id: photo },
          command: true,
          key: 'approve-it',
        })

      const malformed = await approve()
      const refused = await early()
      const { jobs } = (await server.api<{ jobs: { id: string }[] }>('GET', '/api/jobs')).body
      await server.api('POST', `/api/jobs/${String(jobs[0]?.id)}/complete`, { result: {} })
      const approved = await early()
      const again = await early()

      expect([malformed['code'], refused['code']]).toEqual(['invalid_message', 'conflict'])
      expect(String(malformed['error'])).toContain('key')
      expect(approved.type).toBe('published')
      expect(again).toEqual({ ...approved, id: again['id'] })
    })

    test('of a claim that found nothing stays free', async () => {
      await using server = await start(kind)
      const keyed = keyedOf(server)
      const claim = () => keyed('k', 'POST', '/api/jobs/claim', { worker: 'gpu' })

      const empty = [await claim(), await claim()]
      const { job } = await createStudio(server.api).shoot(['createJob'])
      const found = await claim()
      const again = await claim()

      const nothing = { status: 200, text: '{"job":null}', replayed: null }
      expect(empty).toMatchObject([nothing, nothing])
      expect(JSON.parse(found.text)).toMatchObject({ job: { id: job } })
      expect(again).toEqual({ ...told(found), replayed: 'true' })
    })

    test('of claims that wait is worth one job; the next is at once for who waits behind them', async () => {
      await using server = await start(kind)
      const keyed = keyedOf(server)
      const studio = createStudio(server.api)
      const began = performance.now()
      const waiting: Promise<KeyedAnswer>[] = []
      for (const key of ['k', 'k', 'another']) {
        waiting.push(keyed(key, 'POST', '/api/jobs/claim?wait=30', { worker: 'gpu' }))
        await settled(server)
      }

      const jobs = [(await studio.shoot(['createJob'])).job, (await studio.shoot(['createJob'])).job]
      const [first, second, third] = await Promise.all(waiting)

      expect(JSON.parse(String(first?.text))).toMatchObject({ job: { id: jobs[0] } })
      expect(second).toEqual({ ...(first as KeyedAnswer), replayed: 'true' })
      expect(JSON.parse(String(third?.text))).toMatchObject({ job: { id: jobs[1] } })
      expect(performance.now() - began).toBeLessThan(15_000)
    })
  })
}

test.skipIf(bin === undefined)('two servers on one database share the keys', async () => {
  const config = await databaseOf('postgres')
  using folder = temporaryFolder()
  await using one = await startTestServer({ ...config, DATA_DIR: folder.path })
  await using two = await startTestServer({ ...config, DATA_DIR: folder.path })
  const [left, right] = [keyedOf(one), keyedOf(two)]

  const pairs = await Promise.all(
    Array.from({ length: 50 }, (_, n) =>
      Promise.all([left, right].map((keyed) => keyed(`${n}`, 'POST', '/api/sessions', session(`${n}`)))),
    ),
  )

  for (const [a, b] of pairs) {
    expect(a && told(a)).toEqual(b && told(b))
    expect([a?.status, new Set([a?.replayed, b?.replayed])]).toEqual([201, new Set(['true', null])])
  }
  expect((await two.api<{ total: number }>('GET', '/api/sessions')).body.total).toBe(50)
})

test('a malformed key is refused by name, and so is one where the answer is a token', async () => {
  await using server = await startTestServer()
  const keyed = keyedOf(server)
  const send = (key: string) => keyed(key, 'POST', '/api/system/status', { status: 'on' })
  const token = { subject: 'x', scope: 'api:read', expires_in: 60 }

  const bad = await Promise.all(['', 'two words', 'é', 'x'.repeat(256), 'a, a'].map(send))
  const good = await Promise.all(['x'.repeat(255), '"8e03978e-40d5-43dd-bc93-6894a57f9324"', '!~'].map(send))
  const issued = await keyed('k', 'POST', '/api/tokens', token)

  for (const answer of [...bad, issued]) {
    expect([answer.status, codeOf(answer)]).toEqual([400, 'invalid_message'])
    expect(answer.text).toContain('Idempotency-Key')
  }
  expect(good.map(({ status }) => status)).toEqual([200, 200, 200])
  expect((await server.api('POST', '/api/tokens', token)).status).toBe(201)
})

test('a repeat needs the rights of the first request; a read takes no notice of a key', async () => {
  await using server = await startTestServer()
  const weak = keyedOf(server, await server.tokenFor('api:read'))
  const keyed = keyedOf(server)
  await keyed('k', 'POST', '/api/sessions', session('a'))

  const repeat = await weak('k', 'POST', '/api/sessions', session('a'))
  const reads = [await keyed('k', 'GET', '/api/sessions'), await keyed('two words', 'GET', '/api/queue')]

  expect(repeat.status).toBe(403)
  expect(reads.map(({ status, replayed }) => [status, replayed])).toEqual(Array(2).fill([200, null]))
})

test('without a key nothing is asked about keys: it works where their table is gone', async () => {
  await using server = await startTestServer()
  {
    using file = new SqliteFile(join(server.folder, 'lightwire.db'))
    file.run('drop table idempotency')
  }
  const studio = createStudio(server.api)
  const publisher = await server.connect()
  const statuses: [string, number][] = []

  for (const [name, prepare] of Object.entries(keyedRequests)) {
    await studio.emptyQueue()
    statuses.push([name, (await server.api(...(await prepare({ server, studio })))).status])
  }
  const reply = await publisher.request({ type: 'publish', event: { type: 'system_status', status: 'on' } })
  const keyed = await keyedOf(server)('k', 'POST', '/api/system/status', { status: 'on' })

  expect(statuses.filter(([, status]) => status > 201)).toEqual([])
  expect(reply.type).toBe('published')
  expect(keyed.status).toBe(500)
})

test('a page of an allowed origin may send a key and sees whether the answer is a repeat', async () => {
  await using server = await startTestServer({ ALLOWED_ORIGINS: ['https://friend.example'] })

  const { headers } = await fetch(`${server.url}/api/sessions`, {
    method: 'OPTIONS',
    headers: {
      Origin: 'https://friend.example',
      'Access-Control-Request-Method': 'POST',
      'Access-Control-Request-Headers': 'idempotency-key',
    },
  })
  const read = await fetch(`${server.url}/api/sessions`, { headers: { Origin: 'https://friend.example' } })

  expect(headers.get('access-control-allow-headers')).toContain('Idempotency-Key')
  expect(read.headers.get('access-control-expose-headers')).toContain('Idempotency-Replayed')
})

/** Writes are made in their order: what was sent before is waiting for a job when these are through. */
async function settled({ api }: TestServer): Promise<void> {
  for (let n = 0; n < 20; n += 1) await api('POST', '/api/system/status', { status: 'on' })
}

/** One field of a good body with another good value. */
function otherwise(body: object): object {
  const [name = '', value] = Object.entries(body).at(-1) ?? []
  if (typeof value === 'boolean') return { [name]: !value }
  if (typeof value === 'number') return { [name]: value - 1 }
  if (typeof value === 'string') return { [name]: `${value}x` }
  return { [name]: { ...(value as object), type: 'other', more: 1 } }
}
