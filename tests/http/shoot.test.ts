/** The domain over REST, on SQLite and on a real Postgres: every route, its transitions, its events. */
import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { createKeyed } from '../support/keyed.ts'
import { startPostgres, type PostgresCluster } from '../support/postgres.ts'
import { tools } from '../support/tools.ts'
import { startTestServer, type TestServer } from '../support/server.ts'
import type { ServerOptions } from '../../server.ts'

setDefaultTimeout(60_000)

const bin = tools.postgresBin
if (bin === undefined && process.env['CI']) throw new Error('CI needs Postgres (initdb) for the domain tests')
let cluster: Promise<PostgresCluster> | undefined
afterAll(async () => (await cluster)?.[Symbol.asyncDispose]())

async function start(kind: string, options: ServerOptions = {}): Promise<TestServer> {
  if (kind === 'sqlite') return await startTestServer({}, options)
  cluster ??= startPostgres(bin ?? '')
  return await startTestServer({ DATABASE_URL: await (await cluster).createDatabase() }, options)
}

interface Row {
  readonly id: never
  readonly status: string
  readonly [field: string]: unknown
}

const all = ['approval', 'export', 'jobs', 'photos', 'queue', 'sessions', 'system']

/** A session with photos of which the first has a job. */
async function shoot({ api }: TestServer, photos = 2) {
  const session = (await api<Row>('POST', '/api/sessions', { name: 'shoot', import_folder: '/x' })).body
  const files = Array.from({ length: photos }, (_, n) => ({
    session_id: session.id,
    file_path: `/x/${n}.jpg`,
  }))
  const imported = (await api<{ photos: Row[] }>('POST', '/api/photos', files)).body.photos
  return { session, photos: imported.map(({ id }) => id as number) }
}

for (const kind of ['sqlite', 'postgres'] as const) {
  describe.skipIf(kind === 'postgres' && bin === undefined)(`REST on ${kind}`, () => {
    test('lists narrowed by a grant hold what it names, whatever numbers it names beside', async () => {
      await using server = await start(kind)
      const { session } = await shoot(server)
      const where = { session_id: { in: [session.id, 1.5, 1e300] } }
      const grants = [{ channel: 'photos' as const, where }]
      const token = await server.server.issueToken({ subject: 'g', scope: '', grants, expiresInMs: 60_000 })

      const sessions = await server.apiAs(token)('GET', '/api/sessions')
      const photos = await server.apiAs(token)('GET', '/api/photos')
      const others = await server.apiAs(token)('GET', `/api/photos?session_id=${session.id + 1}`)

      expect([sessions.status, photos.status, others.status]).toEqual([200, 200, 200])
      expect([sessions.body, photos.body, others.body]).toMatchObject([
        { total: 1 },
        { total: 2 },
        { photos: [], total: 0 },
      ])
    })

    test('a shoot from import to completion tells each change, derived values once per commit', async () => {
      await using server = await start(kind)
      const client = await server.connect()
      await client.subscribe(all)
      const { session, photos } = await shoot(server)

      const job = (await server.api<Row>('POST', '/api/jobs', { photo_id: photos[0], priority: 2 })).body
      const claimed = await server.api<{ job: Row }>('POST', '/api/jobs/claim', { worker: 'gpu-1' })
      await server.api('POST', `/api/jobs/${job.id}/progress`, {
        stage: 'tone',
        progress: 40.5,
        message: 'half',
      })
      const done = await server.api<Row>('POST', `/api/jobs/${job.id}/complete`, {
        result: { out: '/y.jpg' },
      })
      await client.sync()

      expect(claimed.body.job).toMatchObject({
        id: job.id,
        status: 'processing',
        attempts: 1,
        worker: 'gpu-1',
      })
      expect(done.body).toMatchObject({ status: 'completed', progress: 100, result: { out: '/y.jpg' } })
      const told = client.events.map(({ type, channel, seq, timestamp, ...data }) => [
        `${String(channel)}/${String(seq)} ${type}${Number.isNaN(Date.parse(String(timestamp))) ? ' without time' : ''}`,
        data,
      ])
      const names = { job_id: job.id, photo_id: photos[0], session_id: session.id }
      const counts = { pending: 0, processing: 0, completed: 0, failed: 0, total: 1 }
      const ofSession = { session_id: session.id, session_name: 'shoot' }
      const state = {
        ...ofSession,
        total_photos: 2,
        processed_photos: 0,
        progress_percent: 0,
        status: 'importing',
      }
      expect(new Map(told as [string, object][])).toEqual(
        new Map<string, object>([
          ['sessions/1 session_created', { ...ofSession, import_folder: '/x' }],
          [
            'photos/1 photo_imported',
            { photo_id: photos[0], session_id: session.id, file_name: '0.jpg', file_path: '/x/0.jpg' },
          ],
          [
            'photos/2 photo_imported',
            { photo_id: photos[1], session_id: session.id, file_name: '1.jpg', file_path: '/x/1.jpg' },
          ],
          ['sessions/2 session_updated', state],
          ['jobs/1 job_created', { ...names, priority: 2 }],
          ['queue/1 queue_status', { ...counts, pending: 1 }],
          ['jobs/2 job_started', { ...names, worker: 'gpu-1', attempt: 1 }],
          ['queue/2 queue_status', { ...counts, processing: 1 }],
          ['jobs/3 job_progress', { ...names, stage: 'tone', progress: 40.5, message: 'half' }],
          ['jobs/4 job_completed', { ...names, result: { out: '/y.jpg' } }],
          ['sessions/3 session_updated', { ...state, processed_photos: 1, progress_percent: 50 }],
          ['queue/3 queue_status', { ...counts, completed: 1 }],
          ['approval/1 approval_queue_updated', { queue_count: 1, session_id: session.id }],
        ]),
      )
    })

    test('jobs are claimed by priority, then age', async () => {
      await using server = await start(kind)
      const { photos } = await shoot(server, 4)
      const ids: unknown[] = []
      for (const [index, priority] of [5, 1, 5, 1].entries()) {
        ids.push((await server.api<Row>('POST', '/api/jobs', { photo_id: photos[index], priority })).body.id)
      }

      const order: unknown[] = []
      for (let n = 0; n < 5; n += 1) {
        const { body } = await server.api<{ job: Row | null }>('POST', '/api/jobs/claim', { worker: 'w' })
        order.push(body.job?.id ?? null)
      }

      expect(order).toEqual([ids[1], ids[3], ids[0], ids[2], null])
    })

    test('an attempt is a fence: an older claim, another subject and a free job are refused', async () => {
      await using server = await start(kind)
      const { photos } = await shoot(server)
      const { id } = (await server.api<Row>('POST', '/api/jobs', { photo_id: photos[0] })).body
      const other = server.apiAs(await server.tokenFor('api:read api:write', 'somebody-else'))
      const report = { stage: 's', progress: 1 }
      const statuses: number[] = []
      const act = async (api: typeof server.api, path: string, body: object) =>
        statuses.push((await api('POST', `/api/jobs/${id}/${path}`, body)).status)

      await act(server.api, 'progress', report)
      await server.api('POST', '/api/jobs/claim', { worker: 'w' })
      await act(other, 'progress', report)
      await act(other, 'progress', { ...report, attempt: 1 })
      await act(server.api, 'fail', { error_message: 'gpu', retry: true })
      await server.api('POST', '/api/jobs/claim', { worker: 'w' })
      await act(server.api, 'complete', { result: {}, attempt: 1 })
      await act(server.api, 'complete', { result: {}, attempt: 2 })
      await act(server.api, 'complete', { result: {}, attempt: 2 })

      expect(statuses).toEqual([409, 409, 200, 200, 409, 200, 409])
    })

    test('a lease that runs out is over at once, then requeued, and fails after the last attempt', async () => {
      let nowMs = Date.now()
      await using server = await start(kind, { now: () => new Date(nowMs) })
      const client = await server.connect()
      await client.subscribe(['jobs'])
      const { photos } = await shoot(server)
      const { id } = (await server.api<Row>('POST', '/api/jobs', { photo_id: photos[0] })).body

      for (let attempt = 1; attempt <= 3; attempt += 1) {
        await server.api('POST', '/api/jobs/claim', { worker: `w${attempt}`, lease_seconds: 60 })
        nowMs += 61_000
        const late = await server.api('POST', `/api/jobs/${id}/complete`, { result: {}, attempt })
        const freed = await client.next(({ type }) => type === 'job_requeued' || type === 'job_failed')
        expect(late.status).toBe(409)
        expect(freed).toMatchObject(
          attempt < 3 ? { reason: 'lease_expired', attempt } : { type: 'job_failed' },
        )
      }

      const job = (await server.api<Row>('GET', `/api/jobs/${id}`)).body
      const photo = (await server.api<Row>('GET', `/api/photos/${photos[0]}`)).body
      expect(job).toMatchObject({ status: 'failed', attempts: 3, lease_expires_at: null })
      expect(photo.status).toBe('failed')
    })

    test('progress renews the lease', async () => {
      let nowMs = Date.now()
      await using server = await start(kind, { now: () => new Date(nowMs) })
      const { photos } = await shoot(server)
      const { id } = (await server.api<Row>('POST', '/api/jobs', { photo_id: photos[0] })).body
      await server.api('POST', '/api/jobs/claim', { worker: 'w', lease_seconds: 60 })

      for (let n = 0; n < 5; n += 1) {
        nowMs += 50_000
        const { status } = await server.api('POST', `/api/jobs/${id}/progress`, { stage: 's', progress: n })
        expect(status).toBe(200)
      }
    })

    test('a claim that waits gets the job the moment there is one', async () => {
      await using server = await start(kind)
      const { photos } = await shoot(server)
      const waiting = server.api<{ job: Row | null }>('POST', '/api/jobs/claim?wait=30', { worker: 'w' })
      const empty = await server.api<{ job: Row | null }>('POST', '/api/jobs/claim', { worker: 'x' })

      const { id } = (await server.api<Row>('POST', '/api/jobs', { photo_id: photos[0] })).body

      expect(empty.body.job).toBeNull()
      expect((await waiting).body.job?.id).toBe(id)
    })

    test('a claim whose token ends while it waits takes no job from the one behind it', async () => {
      await using server = await start(kind)
      const { photos } = await shoot(server)
      const wait = (token: string) =>
        server.apiAs(token)<{ job: Row | null }>('POST', '/api/jobs/claim?wait=30', { worker: 'w' })
      const look = () => server.api('POST', '/api/jobs/claim', { worker: 'x' })
      const ended = wait(await server.tokenFor('api:write', 'ended'))
      await look()
      const stays = wait(await server.tokenFor('api:write', 'stays'))
      await look()

      await server.api('POST', '/api/tokens/revoke', { subject: 'ended' })
      const { id } = (await server.api<Row>('POST', '/api/jobs', { photo_id: photos[0] })).body

      expect((await ended).status).toBe(401)
      expect((await stays).body.job?.id).toBe(id)
    })

    test('a claim that is refused when it is woken leaves the job to the one behind it', async () => {
      await using server = await start(kind)
      const { photos } = await shoot(server)
      const keyed = createKeyed(() => server.url, server.token)
      const wait = (worker: string) => keyed('k', 'POST', '/api/jobs/claim?wait=30', { worker })
      const look = () => server.api('POST', '/api/jobs/claim', { worker: 'x' })
      const job = async () => (await server.api<Row>('POST', '/api/jobs', { photo_id: photos[0] })).body.id
      const first = wait('one')
      await look()
      const other = wait('two')
      await look()
      const behind = server.api<{ job: Row | null }>('POST', '/api/jobs/claim?wait=30', { worker: 'three' })
      await look()

      await job()
      const { status } = await first
      const second = await job()

      expect([status, (await other).status]).toEqual([200, 422])
      expect((await behind).body.job?.id).toBe(second)
    })

    test('a cancelled job gives its photo the earlier status back', async () => {
      await using server = await start(kind)
      const { photos } = await shoot(server)
      await server.api('PATCH', `/api/photos/${photos[0]}`, { ai_score: 4.5, analysis_results: { faces: 2 } })
      const first = (await server.api<Row>('POST', '/api/jobs', { photo_id: photos[0] })).body
      const second = (await server.api<Row>('POST', '/api/jobs', { photo_id: photos[0] })).body
      const statusOf = async () => (await server.api<Row>('GET', `/api/photos/${photos[0]}`)).body.status
      const seen = [await statusOf()]

      for (const { id } of [first, second]) {
        await server.api('DELETE', `/api/jobs/${id}`)
        seen.push(await statusOf())
      }
      const again = await server.api('DELETE', `/api/jobs/${first.id}`)

      expect(seen).toEqual(['queued', 'queued', 'analyzed'])
      expect(again.status).toBe(409)
    })

    test('cancelling a job leaves what another one has made of the photo', async () => {
      await using server = await start(kind)
      const { photos } = await shoot(server)
      const [a, b] = [
        (await server.api<Row>('POST', '/api/jobs', { photo_id: photos[0] })).body,
        (await server.api<Row>('POST', '/api/jobs', { photo_id: photos[0] })).body,
      ]
      await server.api('POST', '/api/jobs/claim', { worker: 'w' })
      await server.api('POST', `/api/jobs/${a.id}/complete`, { result: {} })

      await server.api('DELETE', `/api/jobs/${b.id}`)

      expect((await server.api<Row>('GET', `/api/photos/${photos[0]}`)).body.status).toBe('completed')
    })

    test('lists sort photos without a score below all others', async () => {
      await using server = await start(kind)
      const { photos } = await shoot(server, 3)
      await server.api('PATCH', `/api/photos/${photos[1]}`, { ai_score: 2 })

      const scores = async (sort: string) => {
        const { body } = await server.api<{ photos: Row[] }>('GET', `/api/photos?sort=${sort}`)
        return body.photos.map(({ ai_score }) => ai_score)
      }

      expect(await scores('-ai_score')).toEqual([2, null, null])
      expect(await scores('ai_score')).toEqual([null, null, 2])
    })

    test('an import is all or none', async () => {
      await using server = await start(kind)
      const { session } = await shoot(server, 1)
      const files = ['/x/a.jpg', '/x/0.jpg'].map((file_path) => ({ session_id: session.id, file_path }))

      const twice = await server.api('POST', '/api/photos', files)
      const nowhere = await server.api('POST', '/api/photos', { session_id: 999, file_path: '/y.jpg' })
      const alone = await server.api<Row>('POST', '/api/photos', {
        file_path: 'C:\\shoots\\b.jpg',
        file_size: 6e9,
      })

      expect([twice.status, nowhere.status, alone.status]).toEqual([409, 404, 201])
      expect(alone.body).toMatchObject({
        session_id: null,
        file_name: 'b.jpg',
        file_size: 6e9,
        status: 'imported',
      })
      const { body } = await server.api<{ total: number }>('GET', '/api/photos')
      const { body: counted } = await server.api<{ total_photos: number }>(
        'GET',
        `/api/sessions/${session.id}`,
      )
      expect([body.total, counted.total_photos]).toEqual([2, 1])
    })

    test('a thousand photos import in one request, a thousand and one do not', async () => {
      await using server = await start(kind)
      const files = (count: number) =>
        Array.from({ length: count }, (_, n) => ({ file_path: `/big/${n}.jpg` }))

      const tooMany = await server.api('POST', '/api/photos', files(1001))
      const many = await server.api<{ photos: { id: number; file_path: string }[]; count: number }>(
        'POST',
        '/api/photos',
        files(1000),
      )

      expect([tooMany.status, many.status, many.body.count]).toEqual([400, 201, 1000])
      expect(many.body.photos.map(({ file_path }) => file_path)).toEqual(
        files(1000).map(({ file_path }) => file_path),
      )
    })

    test('photos are analyzed, then selected; a later status does not move back', async () => {
      await using server = await start(kind)
      const { photos } = await shoot(server)
      const patch = (body: object) => server.api<Row>('PATCH', `/api/photos/${photos[0]}`, body)
      const choice = { context_tag: 'portrait', selected_preset: 'warm' }

      const early = await patch(choice)
      const analyzed = await patch({ ai_score: 3 })
      const selected = await patch(choice)
      const again = await patch({ ai_score: null, analysis_results: { sharp: true } })
      const half = await patch({ context_tag: 'x' })

      expect([early.status, half.status]).toEqual([409, 400])
      expect([analyzed.body.status, selected.body.status]).toEqual(['analyzed', 'selected'])
      expect(again.body).toMatchObject({
        status: 'selected',
        ai_score: null,
        analysis_results: { sharp: true },
      })
    })

    test('a session is renamed, its totals stick until null, and its completion is told once', async () => {
      await using server = await start(kind)
      const client = await server.connect()
      const { session } = await shoot(server)
      await client.subscribe(['sessions'])
      await server.api('POST', '/api/sessions', { name: 'other', import_folder: '/y' })
      const patch = (body: object) => server.api<Row>('PATCH', `/api/sessions/${session.id}`, body)

      const taken = await patch({ name: 'other' })
      const stuck = await patch({ total_photos: 8, processed_photos: 3 })
      const freed = await patch({ total_photos: null, processed_photos: null, status: 'completed' })
      await patch({ status: 'completed' })
      await client.sync()

      expect([taken.status, stuck.body['progress_percent'], freed.body['total_photos']]).toEqual([
        409, 37.5, 2,
      ])
      expect(client.events.map(({ type }) => type)).toEqual([
        'session_created',
        'session_updated',
        'session_completed',
        'session_updated',
      ])
    })

    test('a session goes with its photos and jobs, not while one of them is processing', async () => {
      await using server = await start(kind)
      const { session, photos } = await shoot(server)
      const { id } = (await server.api<Row>('POST', '/api/jobs', { photo_id: photos[0] })).body
      await server.api('POST', '/api/jobs', { photo_id: photos[1] })
      await server.api('POST', '/api/jobs/claim', { worker: 'w' })
      const client = await server.connect()
      await client.subscribe(['sessions', 'queue', 'approval'])

      const busy = await server.api('DELETE', `/api/sessions/${session.id}`)
      await server.api('POST', `/api/jobs/${id}/complete`, { result: {} })
      const gone = await server.api('DELETE', `/api/sessions/${session.id}`)
      await client.sync()

      expect([busy.status, gone.status]).toEqual([409, 200])
      const totals = await Promise.all(
        ['photos', 'jobs', 'sessions'].map(
          async (what) => (await server.api<{ total: number }>('GET', `/api/${what}`)).body.total,
        ),
      )
      expect(totals).toEqual([0, 0, 0])
      expect(client.events.slice(-3)).toMatchObject([
        { type: 'session_deleted', session_id: session.id, session_name: 'shoot' },
        { type: 'queue_status', pending: 0, completed: 0, total: 0 },
        { type: 'approval_queue_updated', queue_count: 0, session_id: session.id },
      ])
    })

    test('lists filter, sort and page, and count what they filter', async () => {
      await using server = await start(kind)
      const { session, photos } = await shoot(server, 5)
      for (const [n, photo] of photos.entries())
        await server.api('PATCH', `/api/photos/${photo}`, { ai_score: 1 + n })
      await server.api('POST', '/api/jobs', { photo_id: photos[0], priority: 9 })
      await server.api('POST', '/api/jobs', { photo_id: photos[1], priority: 1 })
      const list = async (path: string) => (await server.api<Record<string, never>>('GET', path)).body

      expect(
        await list(`/api/photos?session_id=${session.id}&min_score=3&sort=-ai_score&limit=2`),
      ).toMatchObject({
        photos: [{ ai_score: 5 }, { ai_score: 4 }],
        count: 2,
        total: 3,
        offset: 0,
        limit: 2,
      })
      expect(await list('/api/photos?status=queued&offset=1')).toMatchObject({ count: 1, total: 2 })
      expect(await list('/api/jobs?sort=priority')).toMatchObject({
        jobs: [{ priority: 1 }, { priority: 9 }],
      })
      expect(await list(`/api/jobs?photo_id=${photos[0]}&status=pending&priority=9`)).toMatchObject({
        total: 1,
      })
      expect(await list('/api/sessions?active_only=true')).toMatchObject({ total: 1 })
      expect(await list('/api/sessions?status=completed')).toMatchObject({ total: 0, sessions: [] })
      expect(await list(`/api/sessions/${session.id}`)).toMatchObject({
        photo_counts: { analyzed: 3, queued: 2 },
      })
    })

    test('the priority of a job that is over stays', async () => {
      await using server = await start(kind)
      const { photos } = await shoot(server)
      const { id } = (await server.api<Row>('POST', '/api/jobs', { photo_id: photos[0] })).body
      const client = await server.connect()
      await client.subscribe(['queue'])

      const changed = await server.api<Row>('PATCH', `/api/jobs/${id}`, { priority: 1, reason: 'rush' })
      await server.api('DELETE', `/api/jobs/${id}`)
      const over = await server.api('PATCH', `/api/jobs/${id}`, { priority: 2 })
      await client.sync()

      expect([changed.body['priority'], over.status]).toEqual([1, 409])
      expect(client.events[0]).toMatchObject({
        type: 'priority_changed',
        old_priority: 5,
        new_priority: 1,
        reason: 'rush',
      })
    })

    test('16 writers of 200 sessions each: no 5xx, distinct ids, every subscriber has the exact journal', async () => {
      await using server = await start(kind)
      const clients = await Promise.all(
        (['json', 'msgpack', 'deflate'] as const).map((framing) => server.connect({ framing })),
      )
      for (const client of clients) await client.subscribe(all)

      const answers = await Promise.all(
        Array.from({ length: 16 }, async (_, writer) => {
          const own: { status: number; id: unknown }[] = []
          for (let n = 0; n < 200; n += 1) {
            const { status, body } = await server.api<Row>('POST', '/api/sessions', {
              name: `${writer}-${n}`,
              import_folder: '/x',
            })
            own.push({ status, id: body.id })
          }
          return own
        }),
      )

      const flat = answers.flat()
      for (const client of clients) await client.sync()
      expect(flat.filter(({ status }) => status !== 201)).toEqual([])
      expect(new Set(flat.map(({ id }) => id)).size).toBe(3200)
      for (const client of clients) {
        expect(client.events.map(({ seq }) => seq)).toEqual(Array.from({ length: 3200 }, (_, n) => n + 1))
        expect(client.events).toEqual(clients[0]?.events ?? [])
      }
    })
  })
}
