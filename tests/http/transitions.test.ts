/** Every state × every action of photos, jobs, exports and sessions: the next state, or a refusal that changes nothing. */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { jobStatuses } from '../../lib/domain/counters.ts'
import { exportStatuses } from '../../lib/domain/exports.ts'
import { photoStatuses } from '../../lib/domain/photo-status.ts'
import { sessionStatuses } from '../../lib/domain/sessions.ts'
import { channels } from '../../lib/protocol/events.ts'
import type { Answer } from '../support/api.ts'
import type { Message, TestClient } from '../support/client.ts'
import { startTestServer, type TestServer } from '../support/server.ts'
import { headsOf, numbered, type Told } from './event-support.ts'
import {
  createStudio,
  done,
  requests,
  roads,
  type Request,
  type Shot,
  type Step,
  type Studio,
} from './studio.ts'
import {
  derivedBetween,
  effectOf,
  keptAndCounted,
  lookAt,
  worldAfter,
  type Next,
  type World,
} from './transition-world.ts'

setDefaultTimeout(60_000)

/**
 * What API.md says, a row per state and a column per action: the state that follows, `–` for a refusal with
 * 409 that changes nothing, `none` for a claim that finds no job.
 */
const tables = {
  photo: `
                analyze     select      createJob   approve     reject      startExport
    imported    analyzed    –           queued      –           –           imported
    analyzed    analyzed    selected    queued      –           –           analyzed
    selected    selected    selected    queued      –           –           selected
    queued      queued      queued      queued      –           –           queued
    processing  processing  processing  queued      –           –           processing
    completed   completed   completed   queued      approved    rejected    completed
    approved    approved    approved    –           –           –           approved
    rejected    rejected    rejected    –           –           –           rejected
    failed      failed      failed      queued      –           –           failed
  `,
  job: `
                claim       progress    complete    fail        retry       prioritize  cancel
    pending     processing  –           –           –           –           pending     cancelled
    processing  none        processing  completed   failed      pending     processing  –
    completed   none        –           –           –           –           –           –
    failed      none        –           –           –           –           –           –
    cancelled   none        –           –           –           –           –           –
  `,
  export: `
                completeExport  failExport
    running     completed       failed
    completed   –               –
    failed      –               –
  `,
  session: `
                importing   processing  selecting   developing  exporting   completed   delete
    importing   importing   processing  selecting   developing  exporting   completed   gone
    processing  importing   processing  selecting   developing  exporting   completed   gone
    selecting   importing   processing  selecting   developing  exporting   completed   gone
    developing  importing   processing  selecting   developing  exporting   completed   gone
    exporting   importing   processing  selecting   developing  exporting   completed   gone
    completed   importing   processing  selecting   developing  exporting   completed   gone
  `,
  /** What an action on a job makes of its photo, which other jobs or a decision may have moved meanwhile. */
  photoOfJob: `
                claim       complete    fail        retry
    queued      processing  completed   failed      queued
    processing  processing  completed   failed      queued
    completed   processing  completed   failed      queued
    failed      processing  completed   failed      queued
    approved    approved    approved    approved    approved
    rejected    rejected    rejected    rejected    rejected
  `,
} as const

/** The cells of a table. */
function cellsOf(table: string) {
  const [head = '', ...rows] = table.trim().split('\n')
  const actions = head.trim().split(/ +/)
  return rows.flatMap((row) => {
    const [state = '', ...outcomes] = row.trim().split(/ +/)
    if (outcomes.length !== actions.length) throw new Error(`the row of ${state} has a hole`)
    return actions.map((action, n) => ({ state, action, outcome: outcomes[n] ?? '' }))
  })
}

function split(table: string) {
  const cells = cellsOf(table)
  return {
    states: new Set(cells.map(({ state }) => state)),
    allowed: cells.filter(({ outcome }) => outcome !== '–' && outcome !== 'none'),
    refused: cells.filter(({ outcome }) => outcome === '–'),
    met: cells.filter(({ outcome }) => outcome === 'none'),
  }
}

const photo = split(tables.photo)
const job = split(tables.job)
const exporting = split(tables.export)
const session = split(tables.session)
const photoOfJob = split(tables.photoOfJob)

// One server for all: each test has a session of its own, and writes alone. Time goes on when a test says so.
let nowMs = Date.parse('2026-05-06T07:08:09.123Z')
let server: TestServer
let studio: Studio
let follower: TestClient
let other: TestServer['api']

beforeAll(async () => {
  server = await startTestServer({}, { now: () => new Date(nowMs) })
  studio = createStudio(server.api)
  other = server.apiAs(await server.tokenFor('api:read api:write', 'somebody-else'))
  follower = await server.connect()
  await follower.subscribe(channels)
})
afterEach(() => studio.emptyQueue())
afterAll(() => server[Symbol.asyncDispose]())

interface Done {
  readonly before: World
  readonly after: World
  readonly at: string
  readonly answer: Answer<Record<string, unknown>>
  readonly events: readonly object[]
}

/** Sends one request a second later than everything before, and looks at the world on both sides of it. */
async function send(shot: Shot, [method, path, body]: Request, api = server.api): Promise<Done> {
  const before = await lookAt(server.api, shot)
  await follower.sync()
  const seen = follower.events.length
  nowMs += 1000
  const answer = await api<Record<string, unknown>>(method, path, body)
  await follower.sync()
  const events = byChannel(follower.events.slice(seen))
  return { before, after: await lookAt(server.api, shot), at: new Date(nowMs).toISOString(), answer, events }
}

/** Order is promised within a channel only. */
function byChannel<T extends Readonly<Record<string, unknown>>>(events: readonly T[]): T[] {
  return channels.flatMap((name) => events.filter((event) => event['channel'] === name))
}

/** The events of one commit: those told, then what is derived, numbered on from before. */
function expectTold({ before, after, at, answer, events }: Done, shot: Shot, told: readonly Told[]): void {
  const all = [...told, ...derivedBetween(before, after, shot)]
  expect(events).toEqual(byChannel(numbered(headsOf(before.cursor), all, at)))
  expect(answer.cursor).toBe(after.cursor)
}

/** Carries out a step: its rows and events are exactly those of the table. */
async function expectDone(step: Step, shot: Shot, next: Next): Promise<Done> {
  const acted = await send(shot, requests[step](shot))

  const { before, after, at, answer } = acted
  const effect = effectOf(step, shot, acted)
  const { cursor: _, ...rows } = after
  expect([step, answer.status]).toEqual([step, effect.newJob || effect.newExport ? 201 : 200])
  expect(rows).toEqual(worldAfter(before, shot, effect, { next, at }) as typeof rows)
  expectTold(acted, shot, effect.told)
  return acted
}

/** A refusal that changes nothing. */
function expectNothing({ before, after, answer, events }: Done, problem: object): void {
  expect(answer.headers.get('content-type')).toBe('application/problem+json')
  const { detail, error, ...rest } = answer.body
  expect(rest).toEqual({ type: 'about:blank', title: 'Conflict', status: 409, code: 'conflict', ...problem })
  expect([answer.status, error, typeof error]).toEqual([409, detail, 'string'])
  expect(after).toEqual(before)
  expect(answer.cursor).toBe(before.cursor)
  expect(events).toEqual([])
}

async function expectRefused(step: Step, shot: Shot, current_status: string): Promise<void> {
  expectNothing(await send(shot, requests[step](shot)), { current_status })
}

test('the tables have every state there is', () => {
  expect(photo.states).toEqual(new Set<string>(photoStatuses))
  expect(job.states).toEqual(new Set<string>(jobStatuses))
  expect(exporting.states).toEqual(new Set<string>(exportStatuses))
  expect(session.states).toEqual(new Set<string>(sessionStatuses))
  expect(cellsOf(tables.session)).toHaveLength(6 * 7)
})

describe('a photo', () => {
  test.each(photo.allowed)(
    'that is $state: $action makes it $outcome',
    async ({ state, action, outcome }) => {
      const shot = await studio.shoot(roads.photo[state as keyof typeof roads.photo])

      const { before, after, answer } = await expectDone(action as Step, shot, { photo: outcome })

      expect(before.photo?.status).toBe(state)
      if (/^(analyze|select|approve|reject)$/.test(action)) expect<unknown>(answer.body).toEqual(after.photo)
    },
  )

  test.each(photo.refused)('that is $state: $action is refused', async ({ state, action }) => {
    const shot = await studio.shoot(roads.photo[state as keyof typeof roads.photo])

    await expectRefused(action as Step, shot, state)
  })

  test('is analyzed and selected at once', async () => {
    const shot = await studio.shoot()
    const columns = { ai_score: 1, analysis_results: {}, context_tag: 'x', selected_preset: 'Cold' }

    const acted = await send(shot, ['PATCH', `/api/photos/${shot.photo}`, columns])

    const names = { photo_id: shot.photo, session_id: shot.session }
    expect(acted.answer.status).toBe(200)
    expect<unknown>(acted.after.photo).toEqual({
      ...acted.before.photo,
      ...columns,
      status: 'selected',
      updated_at: acted.at,
    })
    expectTold(acted, shot, [
      ['photo_analyzed', { ...names, ai_score: 1, analysis_results: {} }],
      ['photo_selected', { ...names, context_tag: 'x', selected_preset: 'Cold' }],
    ])
  })

  test('is approved and its export started in one commit', async () => {
    const shot = await studio.shoot(roads.photo.completed)
    const target = { preset_name: 'Print', destination: '/exports' }

    const acted = await send(shot, ['POST', `/api/approval/${shot.photo}/approve`, { auto_export: target }])

    const { answer, after, at } = acted
    const { export: started, ...approved } = answer.body
    expect(answer.status).toBe(200)
    expect<unknown>(approved).toEqual(after.photo)
    expect(after.photo?.status).toBe('approved')
    expect<unknown>([started]).toEqual(after.exports)
    expect(after.exports).toMatchObject([{ ...target, status: 'running', started_at: at }])
    const names = { photo_id: shot.photo, session_id: shot.session }
    expectTold(acted, shot, [
      ['photo_approved', names],
      ['export_started', { ...names, ...target }],
    ])
  })

  test.each(photo.refused.filter(({ action }) => action === 'approve'))(
    'that is $state starts no export by an approval that is refused',
    async ({ state }) => {
      const shot = await studio.shoot(roads.photo[state as keyof typeof roads.photo])
      const auto_export = { preset_name: 'Print', destination: '/exports' }

      const acted = await send(shot, ['POST', `/api/approval/${shot.photo}/approve`, { auto_export }])

      expectNothing(acted, { current_status: state })
    },
  )

  test('is not approved with half an export', async () => {
    const shot = await studio.shoot(roads.photo.completed)
    const auto_export = { preset_name: 'Print' }

    const acted = await send(shot, ['POST', `/api/approval/${shot.photo}/approve`, { auto_export }])

    expect([acted.answer.status, acted.answer.body['code']]).toEqual([400, 'invalid_message'])
    expect(acted.after).toEqual(acted.before)
    expect(acted.events).toEqual([])
  })
})

describe('a job', () => {
  const ownPhoto: Readonly<Record<string, string>> = {
    pending: 'queued',
    processing: 'processing',
    completed: 'completed',
    failed: 'failed',
    cancelled: 'imported',
  }

  test.each(job.allowed)('that is $state: $action makes it $outcome', async ({ state, action, outcome }) => {
    const shot = await studio.shoot(roads.job[state as keyof typeof roads.job])

    const next = { job: outcome, photo: ownPhoto[outcome] ?? '' }
    const { after, answer } = await expectDone(action as Step, shot, next)

    expect<unknown>(action === 'claim' ? answer.body['job'] : answer.body).toEqual(after.jobs[0])
  })

  test.each(job.refused)('that is $state: $action is refused', async ({ state, action }) => {
    const shot = await studio.shoot(roads.job[state as keyof typeof roads.job])

    await expectRefused(action as Step, shot, state)
  })

  test.each(job.met)('that is $state is met by no claim', async ({ state, action }) => {
    const shot = await studio.shoot(roads.job[state as keyof typeof roads.job])

    const { before, after, answer, events } = await send(shot, requests[action as Step](shot))

    expect([answer.status, answer.body]).toEqual([200, { job: null }])
    expect(after).toEqual(before)
    expect(answer.cursor).toBe(before.cursor)
    expect(events).toEqual([])
  })

  test('that was put back is claimed, completed, cancelled like any other', async () => {
    const back = await studio.shoot(['analyze', 'createJob', 'claim', 'progress', 'retry'])

    await expectDone('claim', back, { job: 'processing', photo: 'processing' })
    await expectDone('retry', back, { job: 'pending', photo: 'queued' })
    await expectDone('cancel', back, { job: 'cancelled', photo: 'analyzed' })
  })
})

describe('a photo of a job', () => {
  /** A job in that state, beside another one that brought the photo into that state. */
  async function beside(photoState: string, jobState: 'pending' | 'processing'): Promise<Shot> {
    const ends: Readonly<Record<string, readonly Step[]>> = {
      // Cancelled beside a running job it would leave the photo to that one.
      queued: jobState === 'processing' ? ['retry'] : ['retry', 'cancel'],
      processing: [],
      completed: ['complete'],
      failed: ['fail'],
      approved: ['complete', 'approve'],
      rejected: ['complete', 'reject'],
    }
    const first = await studio.shoot(['createJob'])
    const second = await studio.walk(first, ['createLastJob'])
    await studio.walk(first, ['claim'])
    if (jobState === 'processing') await studio.walk(second, ['claim'])
    await studio.walk(first, ends[photoState] ?? [])
    return second
  }

  const jobAfter: Readonly<Record<string, string>> = {
    claim: 'processing',
    complete: 'completed',
    fail: 'failed',
    retry: 'pending',
  }

  test.each(photoOfJob.allowed)(
    'is $state: $action makes it $outcome',
    async ({ state, action, outcome }) => {
      const shot = await beside(state, action === 'claim' ? 'pending' : 'processing')

      const next = { photo: outcome, job: jobAfter[action] ?? '' }
      const { before } = await expectDone(action as Step, shot, next)

      expect(before.photo?.status).toBe(state)
    },
  )

  test.each(['imported', 'analyzed', 'selected', 'completed', 'failed'] as const)(
    'is %s again when its job is cancelled',
    async (earlier) => {
      const shot = await studio.shoot([...roads.photo[earlier], 'createJob'])

      await expectDone('cancel', shot, { job: 'cancelled', photo: earlier })
    },
  )

  test('stays queued for another job, whose cancelling gives the status from before both back', async () => {
    const first = await studio.shoot(['analyze', 'createJob'])
    const second = await studio.walk(first, ['createJob'])

    await expectDone('cancel', first, { job: 'cancelled', photo: 'queued' })
    await expectDone('cancel', second, { job: 'cancelled', photo: 'analyzed' })
  })

  test('is processing again when a job created beside the running one is cancelled', async () => {
    const running = await studio.shoot(['createJob', 'claim'])
    const beside = await studio.walk(running, ['createJob'])

    await expectDone('cancel', beside, { job: 'cancelled', photo: 'processing' })
  })

  test.each(['processing', 'completed', 'failed', 'approved', 'rejected'])(
    'that another job or a person has made %s stays so when a job is cancelled',
    async (state) => {
      const shot = await beside(state, 'pending')

      await expectDone('cancel', shot, { job: 'cancelled', photo: state })
    },
  )
})

describe('an export', () => {
  test.each(exporting.allowed)(
    'that is $state: $action makes it $outcome',
    async ({ state, action, outcome }) => {
      const shot = await studio.shoot(roads.export[state as keyof typeof roads.export])

      const { after, answer } = await expectDone(action as Step, shot, { export: outcome })

      expect<unknown>(answer.body).toEqual(after.exports[0])
      expect<unknown>(await done(server.api, ['GET', `/api/exports/${shot.export}`])).toEqual(answer.body)
    },
  )

  test.each(exporting.refused)('that is $state: $action is refused', async ({ state, action }) => {
    const shot = await studio.shoot(roads.export[state as keyof typeof roads.export])

    await expectRefused(action as Step, shot, state)
  })
})

describe('a session', () => {
  const pathOf = ({ session: id }: Shot) => `/api/sessions/${id}`
  const moveTo = (shot: Shot, status: string): Request => ['PATCH', pathOf(shot), { status }]
  const moves = session.allowed.filter(({ action }) => action !== 'delete')
  const nameOf = ({ session: row }: World) => String(row?.['name'])

  test.each(moves)('that is $state is moved to $outcome', async ({ state, action, outcome }) => {
    const shot = await studio.shoot()
    await done(server.api, moveTo(shot, state))

    const acted = await send(shot, moveTo(shot, action))

    const { before, after, at, answer } = acted
    expect(answer.status).toBe(200)
    expect<unknown>({ ...answer.body, photo_counts: { imported: 1 } }).toEqual(after.session)
    expect<unknown>(after.session).toEqual({ ...before.session, status: outcome, updated_at: at })
    const completed = {
      session_id: shot.session,
      session_name: nameOf(before),
      total_photos: 1,
      approved_photos: 0,
      approval_rate: 0,
    }
    const completes = outcome === 'completed' && state !== 'completed'
    expectTold(acted, shot, completes ? [['session_completed', completed]] : [])
  })

  test.each(sessionStatuses)('that is %s is deleted with all that it has', async (state) => {
    const shot = await studio.shoot([...roads.photo.completed, 'startExport'])
    await done(server.api, moveTo(shot, state))

    const acted = await send(shot, ['DELETE', pathOf(shot)])

    const { before, after, answer } = acted
    const deleted = answer.body['deleted'] as object
    expect(answer.status).toBe(200)
    expect<unknown>({ ...deleted, photo_counts: { completed: 1 } }).toEqual(before.session)
    expect([after.session, after.photo, after.jobs, after.exports]).toEqual([null, null, [], []])
    const { completed, total } = before.queue
    expect(after.queue).toEqual({ ...before.queue, completed: completed - 1, total: total - 1 })
    expect(after.waiting).toBe(before.waiting - 1)
    expectTold(acted, shot, [['session_deleted', { session_id: shot.session, session_name: nameOf(before) }]])
  })

  test.each(['pending', 'completed', 'failed'] as const)(
    'with a job that is %s is deleted',
    async (state) => {
      const shot = await studio.shoot(roads.job[state])

      const acted = await send(shot, ['DELETE', pathOf(shot)])

      expect([acted.answer.status, acted.after.session, acted.after.jobs]).toEqual([200, null, []])
      expectTold(acted, shot, [
        ['session_deleted', { session_id: shot.session, session_name: nameOf(acted.before) }],
      ])
    },
  )

  test.each(sessionStatuses)('that is %s is not deleted while a job of it is processing', async (state) => {
    const shot = await studio.shoot(['createJob', 'claim', 'startExport'])
    await done(server.api, moveTo(shot, state))

    const acted = await send(shot, ['DELETE', pathOf(shot)])

    expectNothing(acted, { current_status: state })
  })

  test('with a taken name is neither created nor renamed', async () => {
    const shot = await studio.shoot()
    const another = await studio.shoot()
    const name = nameOf(await lookAt(server.api, another))

    const created = await send(shot, ['POST', '/api/sessions', { name, import_folder: '/photos' }])
    const renamed = await send(shot, ['PATCH', pathOf(shot), { name, status: 'completed' }])

    expectNothing(created, {})
    expectNothing(renamed, {})
  })

  test('takes its own name again without an event, and a freed one', async () => {
    const shot = await studio.shoot()
    const another = await studio.shoot()
    const [own, freed] = [nameOf(await lookAt(server.api, shot)), nameOf(await lookAt(server.api, another))]
    await done(server.api, ['DELETE', pathOf(another)])

    const kept = await send(shot, ['PATCH', pathOf(shot), { name: own }])
    const renamed = await send(shot, ['PATCH', pathOf(shot), { name: freed }])

    expect([kept.answer.status, renamed.answer.status]).toEqual([200, 200])
    expectTold(kept, shot, [])
    expect(kept.events).toEqual([])
    expect(nameOf(renamed.after)).toBe(freed)
    expectTold(renamed, shot, [])
    expect(renamed.events).toHaveLength(1)
  })
})

describe('the second claim of a job is a fence:', () => {
  const steps = ['progress', 'complete', 'fail', 'retry'] as const
  const callers = [
    { who: 'the subject that claimed', own: true, attempt: undefined, passes: true },
    { who: 'the subject that claimed, with its attempt,', own: true, attempt: 2, passes: true },
    { who: 'another subject with the attempt', own: false, attempt: 2, passes: true },
    { who: 'another subject', own: false, attempt: undefined, passes: false },
    { who: 'the subject that claimed, with the old attempt,', own: true, attempt: 1, passes: false },
    { who: 'another subject with the old attempt', own: false, attempt: 1, passes: false },
    { who: 'an attempt that never was', own: true, attempt: 3, passes: false },
  ]
  const cases = callers.flatMap((caller) =>
    steps.map((step) => ({ ...caller, step, verb: caller.passes ? 'may' : 'may not' })),
  )

  test.each(cases)('$who $verb $step', async ({ own, attempt, passes, step }) => {
    const shot = await studio.shoot(['createJob', 'claim', 'retry', 'claim'])
    const [method, path, body] = requests[step](shot)
    const fenced = { ...body, ...(attempt === undefined ? {} : { attempt }) }

    const acted = await send(shot, [method, path, fenced], own ? server.api : other)

    if (!passes) return expectNothing(acted, { current_status: 'processing' })
    expect(acted.answer.status).toBe(200)
    expect(acted.events.length).toBeGreaterThan(0)
  })
})

test('a lease that runs out puts its job back, and fails it after the last attempt', async () => {
  let leaseMs = Date.parse('2026-05-06T07:08:09.123Z')
  await using own = await startTestServer({ JOB_MAX_ATTEMPTS: 2 }, { now: () => new Date(leaseMs) })
  const { api } = own
  const client = await own.connect()
  await client.subscribe(channels)
  const shot = await createStudio(api).shoot(['createJob', 'startExport'])
  const claim: Request = ['POST', '/api/jobs/claim', { worker: 'slow', lease_seconds: 60 }]
  const names = { job_id: shot.job, photo_id: shot.photo, session_id: shot.session }
  const freed = { worker: '', stage: '', progress: 0, message: '', lease_expires_at: null }
  /** What the end of the lease told, and what is there then. */
  const runOut = async (type: string) => {
    const seen = client.events.length
    leaseMs += 60_000
    const late = await api('POST', `/api/jobs/${shot.job}/complete`, { result: {} })
    await client.next(type)
    await client.sync()
    return { late: late.status, told: client.events.slice(seen).map(untimed), world: await lookAt(api, shot) }
  }

  await done(api, claim)
  leaseMs += 59_999
  await done(api, requests.progress(shot))
  await client.sync()
  const first = await runOut('job_requeued')
  const stale = await api('POST', `/api/jobs/${shot.job}/complete`, { result: {}, attempt: 1 })
  await done(api, claim)
  await client.sync()
  const second = await runOut('job_failed')

  expect([first.late, stale.status, second.late]).toEqual([409, 409, 409])
  expect(first.told).toEqual([
    { type: 'job_requeued', ...names, reason: 'lease_expired', attempt: 1 },
    { type: 'queue_status', pending: 1, processing: 0, completed: 0, failed: 0, total: 1 },
  ])
  expect(first.world.jobs).toMatchObject([{ ...freed, status: 'pending', attempts: 1 }])
  expect(first.world.photo?.status).toBe('queued')
  const [{ error_message, error_details } = { error_message: '', error_details: {} }] = second.world.jobs
  expect(error_message).not.toBe('')
  expect(second.told).toEqual([
    { type: 'job_failed', ...names, error_message, error_details },
    { type: 'queue_status', pending: 0, processing: 0, completed: 0, failed: 1, total: 1 },
  ])
  expect(second.world.jobs).toMatchObject([{ status: 'failed', attempts: 2, lease_expires_at: null }])
  expect(second.world.photo?.status).toBe('failed')
})

test('after all of this the kept counts are what counting the rows gives', async () => {
  const { kept, counted, rows } = await keptAndCounted(server.api)

  expect(rows).toBeGreaterThan(300)
  expect<unknown>(kept).toEqual(counted)
})

/** An event's type and fields. */
function untimed(event: Message): object {
  const { timestamp: _, channel: __, seq: ___, ...told } = event
  return told
}
