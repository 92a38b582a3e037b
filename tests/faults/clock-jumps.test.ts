/** The wall clock is set by an hour, forward or back: what waits for elapsed time does not notice. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { FULL_SCOPE } from '../../lib/access/rights.ts'
import { createStudio } from '../http/studio.ts'
import type { Api } from '../support/api.ts'
import { startTestServer, temporaryFolder, type TestServer } from '../support/server.ts'
import { openStore } from '../support/store.ts'

setDefaultTimeout(60_000)

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/** A wall clock that can be set, beside one that cannot. */
function settableClock() {
  const startMs = Date.now()
  let passedMs = 0
  let setMs = 0
  return {
    set: (ms: number) => (setMs += ms),
    pass: (ms: number) => (passedMs += ms),
    options: {
      now: () => new Date(startMs + passedMs + setMs),
      monotonicMs: () => startMs + passedMs,
    },
  }
}

for (const [direction, byMs] of [
  ['forward', HOUR_MS],
  ['back', -HOUR_MS],
] as const) {
  test(`a clock set an hour ${direction} takes no lease away and lengthens none`, async () => {
    const clock = settableClock()
    await using server = await startTestServer({}, clock.options)
    const api = server.apiAs(await longToken(server))
    const job = await claimedJob(api, 60)

    clock.set(byMs)
    const renewed = await api('POST', `/api/jobs/${job}/progress`, { stage: 'tone', progress: 10 })
    clock.set(byMs)
    const kept = await api('POST', `/api/jobs/${job}/progress`, { stage: 'tone', progress: 20 })
    clock.pass(59_000)
    const inTime = await api('POST', `/api/jobs/${job}/progress`, { stage: 'tone', progress: 30 })
    clock.pass(61_000)
    const late = await api('POST', `/api/jobs/${job}/progress`, { stage: 'tone', progress: 40 })

    expect([renewed.status, kept.status, inTime.status, late.status]).toEqual([200, 200, 200, 409])
  })

  test(`a clock set an hour ${direction} ends no connection, and events keep their order`, async () => {
    const clock = settableClock()
    await using server = await startTestServer({}, clock.options)
    const token = await longToken(server)
    const client = await server.connect({ token })
    await client.subscribe(['sessions'])
    const make = (name: string) => server.apiAs(token)('POST', '/api/sessions', { name, import_folder: '/x' })

    await make('before')
    clock.set(byMs)
    // A look of the liveness has happened when somebody whose deadline passed is closed.
    const nobody = await server.connect({ token: null })
    clock.pass(5001)
    await nobody.closed
    const { status } = await make('after')
    const pong = await client.sync()

    const seen = client.events.filter(({ type }) => type === 'session_created')
    const [before, after] = seen.map(({ timestamp }) => Date.parse(String(timestamp)))
    expect(status).toBe(201)
    expect(pong).toMatchObject({ type: 'pong' })
    expect(seen.map(({ seq }) => seq)).toEqual([1, 2])
    expect(Math.sign(Number(after) - Number(before))).toBe(Math.sign(byMs))
  })
}

test('tokens end by the wall clock: a clock set forward ends them with advice to come back, a longer one goes on', async () => {
  const clock = settableClock()
  await using server = await startTestServer({}, clock.options)
  const issue = (expiresInMs: number) =>
    server.server.issueToken({ subject: 'phone', scope: 'events:read api:read', expiresInMs })
  const [short, long] = [await issue(HOUR_MS / 2), await issue(2 * HOUR_MS)]
  const ending = await server.connect({ token: short })
  const going = await server.connect({ token: long })

  clock.set(HOUR_MS)

  expect(await ending.closed).toMatchObject({ code: 4401 })
  expect((await server.apiAs(short)('GET', '/api/photos')).status).toBe(401)
  expect((await server.apiAs(long)('GET', '/api/photos')).status).toBe(200)
  expect(await going.sync()).toMatchObject({ type: 'pong' })
})

test('a token that was in use when the clock was set back stays good; another waits until its time comes again', async () => {
  const clock = settableClock()
  await using server = await startTestServer({}, clock.options)
  const [token, unseen] = [await longToken(server), await longToken(server)]
  const api = server.apiAs(token)
  await api('GET', '/api/photos')

  clock.set(-HOUR_MS)
  const again = await api('GET', '/api/photos')
  const early = await server.apiAs(unseen)('GET', '/api/photos')
  const client = await server.connect({ token })
  clock.pass(HOUR_MS)
  const later = await server.apiAs(unseen)('GET', '/api/photos')

  expect([again.status, early.status, later.status]).toEqual([200, 401, 200])
  expect(await client.sync()).toMatchObject({ type: 'pong' })
})

test('a subject that is revoked after the clock was set back loses the tokens that were issued before that', async () => {
  const clock = settableClock()
  await using server = await startTestServer({}, clock.options)
  const token = await server.tokenFor('events:read api:read', 'phone')
  const client = await server.connect({ token })
  const status = async () => (await server.apiAs(token)('GET', '/api/photos')).status
  const before = await status()
  await server.api('GET', '/api/photos')

  clock.set(-HOUR_MS)
  const revoked = await server.api<{ disconnected: number }>('POST', '/api/tokens/revoke', {
    subject: 'phone',
  })
  const after = await status()
  clock.pass(HOUR_MS + 1000)
  const later = await status()

  expect([before, after, later]).toEqual([200, 401, 401])
  expect(revoked.body.disconnected).toBe(1)
  expect(await client.closed).toMatchObject({ code: 4503 })
})

test('a subject that is revoked again after the clock was set back stays revoked, over a restart too', async () => {
  using folder = temporaryFolder()
  const clock = settableClock()
  const start = () => startTestServer({ DATA_DIR: folder.path }, clock.options)
  const revoke = async (server: TestServer) => {
    const api = server.apiAs(await longToken(server))
    return (await api('POST', '/api/tokens/revoke', { subject: 'phone' })).status
  }
  const first = await start()
  const token = await first.server.issueToken({ subject: 'phone', scope: 'api:read', expiresInMs: DAY_MS })
  const once = await revoke(first)
  await first[Symbol.asyncDispose]()

  clock.set(-HOUR_MS)
  const second = await start()
  const again = await revoke(second)
  await second[Symbol.asyncDispose]()
  clock.set(HOUR_MS)
  clock.pass(1000)
  await using third = await start()

  expect([once, again]).toEqual([200, 200])
  expect((await third.apiAs(token)('GET', '/api/photos')).status).toBe(401)
})

test('a clock set an hour forward makes retention take an hour more, set back an hour less; the numbers stay whole', async () => {
  const trimmed: unknown[] = []
  for (const byMs of [0, HOUR_MS, -HOUR_MS]) {
    let nowMs = Date.parse('2026-03-01T00:00:00.000Z')
    await using store = await openStore({ folder: temporaryFolder() }, { now: () => new Date(nowMs) })
    // One event each half hour of three hours.
    for (let n = 0; n < 6; n += 1) {
      await store.writer.write(async ({ emit }) =>
        emit({ type: 'system_status', data: { status: `${n}`, details: {} } }),
      )
      nowMs += HOUR_MS / 2
    }
    nowMs += DAY_MS - 1.25 * HOUR_MS + byMs
    while (await store.trim({ days: 1 }));
    const kept = await store.journal.read('system', 0, 100)
    trimmed.push({ taken: store.journal.trimmed().system, kept: kept.map(({ seq }) => seq) })
  }

  expect(trimmed).toEqual([
    { taken: 4, kept: [5, 6] },
    { taken: 6, kept: [] },
    { taken: 2, kept: [3, 4, 5, 6] },
  ])
})

/** Good for longer than any jump here. */
function longToken({ server }: TestServer): Promise<string> {
  return server.issueToken({ subject: 'tester', scope: FULL_SCOPE, expiresInMs: DAY_MS })
}

/** A photo's job, claimed by the tester. */
async function claimedJob(api: Api, leaseSeconds: number): Promise<string> {
  const { job } = await createStudio(api).shoot(['createJob'])
  await api('POST', '/api/jobs/claim', { worker: 'gpu', lease_seconds: leaseSeconds })
  return job
}
