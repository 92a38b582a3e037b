/** What the scenarios do not ask: what only a client that polls over LrHttp can get wrong. */
import { expect, setDefaultTimeout } from 'bun:test'
import { startMeddler, type Reply } from '../support/meddler.ts'
import { needs } from '../support/needs.ts'
import { startTestServer, temporaryFolder, type TestServer } from '../support/server.ts'
import { startDriver, type Driver } from './driver.ts'
import { players } from './players.ts'
import { unique } from './stage.ts'

setDefaultTimeout(60_000)

const startLua = () => startDriver(players.lua.words)
const seqs = (driver: Driver, channel: string) =>
  driver.events.filter((event) => event.channel === channel).map(({ seq }) => seq)
const counted = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => from + n)

async function say(server: TestServer, times = 1): Promise<void> {
  for (let n = 0; n < times; n += 1) {
    const { status } = await server.api('POST', '/api/system/status', { status: unique('on') })
    expect(status).toBe(200)
  }
}

async function shoot(server: TestServer): Promise<number> {
  const name = unique('shoot')
  return (await server.api<{ id: number }>('POST', '/api/sessions', { name, import_folder: `/${name}` })).body
    .id
}

async function photo(server: TestServer, session_id: number): Promise<void> {
  await server.api('POST', '/api/photos', { session_id, file_path: `/${unique('photo')}.raw` })
}

/** Pages that hold events are altered, as many as there are ways to do it, one after another. */
function startAltering(target: string, ways: readonly ((page: Page, reply: Reply) => Reply)[]) {
  let seen = 0
  const meddler = startMeddler(target, {
    answer({ path }, reply) {
      if (path !== '/api/events' || !reply.text.includes('"seq":')) return reply
      const alter = ways[seen]
      seen += 1
      return alter ? alter(JSON.parse(reply.text) as Page, reply) : reply
    },
  })
  return { ...meddler, seen: () => seen }
}

interface Page {
  readonly events: readonly { readonly seq: number }[]
  readonly cursor: string
  readonly more: boolean
}

const as = (reply: Reply, value: unknown): Reply => ({
  ...reply,
  text: typeof value === 'string' ? value : JSON.stringify(value),
})

needs('lua')('a page with a hole, or that ends before its cursor, is asked for again', async () => {
  await using server = await startTestServer()
  await say(server)
  const { cursor } = await server.api('GET', '/api/queue')
  const without = (seq: number) => (page: Page, reply: Reply) =>
    as(reply, { ...page, events: page.events.filter((event) => event.seq !== seq) })
  await say(server, 5)
  await using altering = startAltering(server.url, [without(3), without(6), without(2)])
  await using driver = startLua()
  await driver.tell({ do: 'connect', url: altering.url, token: server.token, cursor: String(cursor) })
  await driver.tell({ do: 'subscribe', channels: ['system'] })
  await driver.until('all', () => seqs(driver, 'system').length >= 5)
  await say(server)
  await driver.until('the last', () => seqs(driver, 'system').includes(7))

  expect(seqs(driver, 'system')).toEqual(counted(2, 7))
  expect(altering.seen()).toBeGreaterThan(3)
})

needs('lua')('an answer that is no page is thrown away, and nothing that was in it is lost', async () => {
  await using server = await startTestServer()
  const begun: true[] = []
  const ways = [
    (_: Page, reply: Reply) => as(reply, '<html>Sign in to this Wi-Fi</html>'),
    (_: Page, reply: Reply) => as(reply, []),
    (page: Page, reply: Reply) => as(reply, { ...page, events: null }),
    (page: Page, reply: Reply) => as(reply, { ...page, cursor: 'x' }),
    (page: Page, reply: Reply) =>
      as(reply, { ...page, events: [...page.events, { type: 'photo_imported' }] }),
    (page: Page, reply: Reply) =>
      as(reply, { ...page, events: page.events.map((event) => ({ ...event, seq: '1' })) }),
    (page: Page, reply: Reply) => as(reply, { ...page, events: [...page.events, ...page.events] }),
    (page: Page, reply: Reply) => ({ ...as(reply, page), status: 502 }),
  ]
  // Each break makes the wait before the next one longer.
  const parts = [ways.slice(0, 3), ways.slice(3, 6), ways.slice(6)]
  const last = 4
  const runs = parts.map(async (part) => {
    await using altering = startAltering(server.url, part)
    await using driver = startLua()
    await driver.tell({ do: 'connect', url: altering.url, token: server.token })
    await driver.tell({ do: 'subscribe', channels: ['system'] })
    begun.push(true)
    while (begun.length < parts.length) await Bun.sleep(5)
    for (let n = 1; n <= last; n += 1) {
      if (part === parts[0]) await say(server)
      await driver.until(`event ${n}`, () => seqs(driver, 'system').includes(n))
    }
    expect(altering.seen()).toBeGreaterThan(part.length)
    return seqs(driver, 'system')
  })

  expect(await Promise.all(runs)).toEqual(parts.map(() => counted(1, last)))
})

needs('lua')('holes of a token that opens some events only are no gap', async () => {
  await using server = await startTestServer()
  const [mine, other] = [await shoot(server), await shoot(server)]
  const grants = [{ channel: 'photos', where: { session_id: mine } }]
  const issued = { subject: 'guest', scope: 'events:read:sessions', grants, expires_in: 3600 }
  const { body } = await server.api<{ token: string }>('POST', '/api/tokens', issued)
  await using driver = startLua()
  await driver.tell({ do: 'connect', url: server.url, token: body.token })
  await driver.tell({ do: 'subscribe', channels: ['photos', 'sessions'] })
  for (let n = 0; n < 3; n += 1) {
    await photo(server, other)
    await photo(server, mine)
  }
  await driver.until('the last', () => seqs(driver, 'photos').includes(6))

  expect(seqs(driver, 'photos')).toEqual([2, 4, 6])
  expect(driver.reports.filter((report) => 'status' in report && report.status === 'waiting')).toEqual([])
})

needs('lua')('channels of different filters have a poll each, and change it without a seam', async () => {
  await using server = await startTestServer()
  const [mine, other] = [await shoot(server), await shoot(server)]
  await using driver = startLua()
  await driver.tell({ do: 'connect', url: server.url, token: server.token })
  await driver.tell({ do: 'subscribe', channels: ['photos'], where: { session_id: mine } })
  await driver.tell({ do: 'subscribe', channels: ['system'] })
  await photo(server, other)
  await photo(server, mine)
  await driver.until('mine', () => seqs(driver, 'photos').length === 1)
  // Many times at once: the polls under way cannot be called back.
  for (let n = 0; n < 12; n += 1) {
    const where = n % 2 === 0 ? {} : { where: { session_id: { in: [mine, other, n + 100] } } }
    await driver.tell({ do: 'subscribe', channels: ['photos'], ...where })
    await photo(server, other)
    await say(server)
  }
  await driver.until('all', () => seqs(driver, 'photos').includes(14) && seqs(driver, 'system').includes(12))

  expect(seqs(driver, 'photos')).toEqual(counted(2, 14))
  expect(seqs(driver, 'system')).toEqual(counted(1, 12))
})

needs('lua')('a poll under way with an earlier filter gives nothing any more', async () => {
  await using server = await startTestServer()
  const [mine, other] = [await shoot(server), await shoot(server)]
  await using driver = startLua()
  await driver.tell({ do: 'connect', url: server.url, token: server.token })
  await driver.tell({ do: 'subscribe', channels: ['photos'] })
  await photo(server, other)
  await driver.until('the first', () => seqs(driver, 'photos').includes(1))
  await driver.tell({ do: 'subscribe', channels: ['photos'], where: { session_id: mine } })
  await photo(server, other)
  await photo(server, mine)
  await driver.until('mine', () => seqs(driver, 'photos').includes(3))

  expect(seqs(driver, 'photos')).toEqual([1, 3])
})

needs('lua')('a change whose answer is lost is sent again as the same one', async () => {
  await using server = await startTestServer()
  let lost = 0
  await using meddler = startMeddler(server.url, {
    answer({ method }, reply) {
      if (method !== 'POST' || lost > 0) return reply
      lost += 1
      return { ...reply, status: 504, text: 'Gateway Timeout' }
    },
  })
  await using driver = startLua()
  await driver.tell({ do: 'connect', url: meddler.url, token: server.token })
  const seq = await driver.tell({ do: 'publish', event: { type: 'system_status', status: 'on' } })

  const { body } = await server.api<{ events: object[] }>('GET', '/api/events?channels=system')
  expect([seq, lost, body.events.length]).toEqual([1, 1, 1])
})

needs('lua')(
  'a position that retention took away is reported with its channel, the others go on',
  async () => {
    await using server = await startTestServer()
    await say(server)
    const { cursor } = await server.api('GET', '/api/queue')
    const lost = { jobs: { status: 'recovered' }, system: { status: 'snapshot_required', reason: 'trimmed' } }
    let gone = false
    await using meddler = startMeddler(server.url, {
      answer({ path }, reply) {
        if (gone || path !== '/api/events' || !reply.text.includes('"seq":2')) return reply
        gone = true
        const heads = new Headers({ 'Lightwire-Cursor': String(cursor).replace('system=1', 'system=2') })
        return { status: 410, text: JSON.stringify({ code: 'cursor_gone', recovery: lost }), headers: heads }
      },
    })
    await using driver = startLua()
    await driver.tell({ do: 'connect', url: meddler.url, token: server.token })
    await driver.tell({ do: 'subscribe', channels: ['jobs', 'system'] })
    await say(server)
    await driver.until('the loss', (all) => all.some((report) => 'lost' in report))
    await say(server)
    await driver.until('what comes after', () => seqs(driver, 'system').includes(3))

    expect(driver.reports.filter((report) => 'lost' in report)).toEqual([{ lost: ['system'] }])
    expect(seqs(driver, 'system')).toEqual([3])
  },
)

for (const order of ['less', 'greater'] as const) {
  needs('lua')(
    `a position of before a restart, its epoch the ${order}, goes on beside one of after it`,
    async () => {
      using folder = temporaryFolder()
      const before = await startTestServer({ DATA_DIR: folder.path })
      await say(before)
      const epoch = await epochOf(before)
      await say(before)
      await before[Symbol.asyncDispose]()
      // The server draws its epochs: it starts until one falls right.
      let server = await startTestServer({ DATA_DIR: folder.path })
      while (epoch < (await epochOf(server)) !== (order === 'less')) {
        await server[Symbol.asyncDispose]()
        server = await startTestServer({ DATA_DIR: folder.path })
      }
      await using _server = server
      await using driver = startLua()
      const cursor = `${epoch}:system=1`
      await driver.tell({ do: 'connect', url: server.url, token: server.token, cursor })
      await driver.tell({ do: 'subscribe', channels: ['photos'] })
      await driver.tell({ do: 'subscribe', channels: ['system'] })
      await photo(server, await shoot(server))
      await say(server)
      await driver.until(
        'all',
        () => seqs(driver, 'photos').includes(1) && seqs(driver, 'system').includes(3),
      )

      expect(seqs(driver, 'system')).toEqual([2, 3])
    },
  )
}

async function epochOf(server: TestServer): Promise<string> {
  const { cursor } = await server.api('GET', '/api/queue')
  return String(cursor).split(':')[0] ?? ''
}

needs('lua')('it keeps to the rate that answers tell, and is refused nothing', async () => {
  await using server = await startTestServer({ RATE_REQUESTS: { limit: 12, windowMs: 1500 } })
  await using driver = startLua()
  const token = await server.tokenFor('events:publish events:read', 'worker')
  await driver.tell({ do: 'connect', url: server.url, token })
  for (let n = 0; n < 30; n += 1)
    await driver.tell({ do: 'publish', event: { type: 'system_status', status: 'on' } })

  const { body } = await server.api<{ events: object[] }>('GET', '/api/events?channels=system')
  const metrics = await (await fetch(`${server.url}/metrics`)).text()
  expect(body.events).toHaveLength(30)
  expect(metrics).not.toContain('lightwire_refusals_total{code="rate_limited"}')
})

needs('lua')('it comes back exactly when a server that is busy or goes away says', async () => {
  await using server = await startTestServer()
  const asked: number[] = []
  await using busy = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request) {
      asked.push(performance.now())
      if (asked.length === 1)
        return new Response('<h1>502</h1>', { status: 503, headers: { 'Retry-After': '1' } })
      const { pathname, search } = new URL(request.url)
      return await fetch(`${server.url}${pathname}${search}`, { headers: request.headers })
    },
  })
  await using driver = startLua()
  await driver.tell({ do: 'connect', url: `http://127.0.0.1:${busy.port}`, token: server.token })

  const [first = 0, second = 0] = asked
  expect(second - first).toBeGreaterThanOrEqual(1000)
  expect(driver.reports.flatMap((report) => ('status' in report ? [report.status] : []))).toEqual([
    'connecting',
    'waiting',
    'connecting',
    'connected',
  ])
})
