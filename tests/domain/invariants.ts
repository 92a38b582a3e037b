/** What holds between any two commands: lists, kept counters, leases, photos and jobs, and the state the events make. */
import { isDeepStrictEqual } from 'node:util'
import type { Api } from '../support/api.ts'
import type { Fields, Model } from './model.ts'
import { isDecided, isOpen, type State } from './state.ts'

const kinds = ['sessions', 'photos', 'jobs', 'exports'] as const
export type Kind = (typeof kinds)[number]

/** Everything REST lists, of one position. */
export type Lists = Readonly<Record<Kind | 'approval', readonly Fields[]>> & { readonly queue: Fields }

/** Where each is listed whole, in the order of creation. */
export const listPaths: Readonly<Record<Kind | 'approval', string>> = {
  sessions: '/api/sessions?limit=500&sort=id',
  photos: '/api/photos?limit=500&sort=id',
  jobs: '/api/jobs?limit=500&sort=created_at',
  exports: '/api/exports?limit=500&sort=id',
  approval: '/api/approval/queue?limit=500',
}

export function same(what: string, actual: unknown, expected: unknown): void {
  if (isDeepStrictEqual(actual, expected)) return
  throw new Error(`${what}: ${JSON.stringify(actual)}, expected ${JSON.stringify(expected)}`)
}

/** The row has these fields, whatever else it has. */
export function carries(what: string, row: Fields | undefined, fields: object): void {
  for (const [name, value] of Object.entries(fields)) same(`${what}, ${name}`, row?.[name], value)
}

/** @throws where a list was not read at `cursor` */
export async function readLists(api: Api, cursor: string): Promise<Lists> {
  const read = async (path: string) => {
    const { status, body, cursor: at } = await api<Fields>('GET', path)
    same(`GET ${path}`, [status, at], [200, cursor])
    return body
  }
  const list = async (kind: Kind | 'approval') => {
    const body = await read(listPaths[kind])
    return rowsOf(kind, body)
  }
  const [sessions, photos, jobs, exports, approval, queue] = await Promise.all([
    ...([...kinds, 'approval'] as const).map(list),
    read('/api/queue'),
  ] as const)
  return { sessions, photos, jobs, exports, approval, queue } as Lists
}

/** A list's rows; its numbers agree with them. */
export function rowsOf(kind: Kind | 'approval', body: Fields): readonly Fields[] {
  const rows = body[kind === 'approval' ? 'photos' : kind] as readonly Fields[]
  same(`count and total of ${kind}`, [body['count'], body['total']], [rows.length, rows.length])
  return rows
}

/** The rows are those that the events make. */
export function checkRebuilt(kind: Kind, rows: readonly Fields[], state: State): void {
  if (kind === 'exports') {
    const told = (all: readonly object[]) =>
      (all as readonly Fields[])
        .map(
          ({ photo_id, session_id, preset_name, status }) =>
            `${photo_id} ${session_id} ${preset_name} ${status}`,
        )
        .toSorted()
    return same('exports, and what events say', told(rows), told(state.exports))
  }
  const rebuilt: ReadonlyMap<unknown, object> = state[kind]
  same(
    `ids of ${kind}, and what events say`,
    rows.map(({ id }) => id).toSorted(),
    [...rebuilt.keys()].toSorted(),
  )
  for (const row of rows)
    carries(`${kind} ${String(row['id'])} against events`, row, rebuilt.get(row['id']) ?? {})
}

/** What no event tells is as the model keeps it. */
export function checkColumns(lists: Lists, model: Model): void {
  same('number of exports', lists.exports.length, model.exports.length)
  for (const [index, row] of model.exports.entries()) {
    const listed = lists.exports[index]
    if (row.id === 0) row.id = Number(listed?.['id'])
    carries(`export ${row.id}`, listed, row)
  }
  for (const row of [...lists.photos, ...lists.jobs]) {
    const id = row['id'] as string | number
    carries(`columns of ${id}`, row, model.columns.get(id) ?? {})
  }
}

/** Kept counters, derived values, leases and statuses agree with the rows. */
export function checkRows(lists: Lists, state: State, overridden: ReadonlySet<unknown>): void {
  const { sessions, photos, jobs, exports, queue, approval } = lists
  const countJobs = (status: string) => jobs.filter((job) => job['status'] === status).length
  const counted = Object.fromEntries(
    ['pending', 'processing', 'completed', 'failed'].map((status) => [status, countJobs(status)]),
  )
  same('GET /api/queue', queue, { ...counted, total: jobs.length - countJobs('cancelled') })
  same('the last queue_status', state.queue, queue)
  checkApproval(photos, approval)
  same('the last approval_queue_updated', state.queueCount, approval.length)
  for (const session of sessions) if (!overridden.has(session['id'])) checkTotals(session, photos)
  const ids = (rows: readonly Fields[]) => new Set(rows.map(({ id }) => id))
  const [sessionIds, photoIds] = [ids(sessions), ids(photos)]
  for (const { session_id } of [...photos, ...jobs, ...exports]) {
    if (session_id !== null)
      same(`a row of session ${String(session_id)} is left over`, sessionIds.has(session_id), true)
  }
  for (const { photo_id } of [...jobs, ...exports]) {
    same(`a row of photo ${String(photo_id)} is left over`, photoIds.has(photo_id), true)
  }
  for (const { id, status, lease_expires_at } of jobs) {
    same(
      `job ${String(id)} is ${String(status)} and has a lease`,
      lease_expires_at !== null,
      status === 'processing',
    )
  }
  for (const photo of photos)
    checkStatus(
      photo,
      jobs.filter(({ photo_id }) => photo_id === photo['id']),
    )
}

function checkApproval(photos: readonly Fields[], approval: readonly Fields[]): void {
  const score = ({ ai_score }: Fields) => Number(ai_score ?? 0)
  const inIds = (rows: readonly Fields[]) => rows.toSorted((a, b) => Number(a['id']) - Number(b['id']))
  const completed = photos.filter(({ status }) => status === 'completed')
  same('the approval queue', inIds(approval), completed)
  const scores = approval.map(score)
  same(
    'scores of the approval queue',
    scores,
    scores.toSorted((a, b) => b - a),
  )
}

function checkTotals(session: Fields, photos: readonly Fields[]): void {
  const own = photos.filter(({ session_id }) => session_id === session['id'])
  const done = own.filter(({ status }) => status === 'completed' || isDecided(String(status))).length
  const progress_percent = own.length === 0 ? 0 : Math.round((done / own.length) * 10_000) / 100
  const totals = { total_photos: own.length, processed_photos: done, progress_percent }
  carries(`session ${String(session['id'])} against its photos`, session, totals)
}

/** A photo shows what some job of it does, or has done. */
function checkStatus({ id, status }: Fields, jobs: readonly Fields[]): void {
  const is = (wanted: string) => jobs.some((job) => job['status'] === wanted)
  const fits = {
    queued: is('pending'),
    processing: is('processing'),
    completed: is('completed'),
    failed: is('failed'),
    approved: true,
    rejected: true,
  }[String(status)]
  const idle = !jobs.some((job) => isOpen({ status: String(job['status']) }))
  const states = jobs.map((job) => job['status']).join(', ')
  same(`photo ${String(id)} is ${String(status)} with jobs ${states}, which fits`, fits ?? idle, true)
}

interface Filter {
  readonly kind: Kind | 'approval'
  readonly query: string
  readonly fits: (row: Fields) => boolean
}

const by = (kind: Kind, name: string, values: readonly (string | number)[]): Filter[] =>
  values.map((value) => ({ kind, query: `${name}=${value}`, fits: (row) => row[name] === value }))

const atLeast = (kind: 'photos' | 'approval', score: number): Filter => ({
  kind,
  query: `min_score=${score}`,
  fits: ({ ai_score }) => Number(ai_score ?? 0) >= score,
})

const photoStatuses = ['imported', 'analyzed', 'selected', 'queued', 'processing', 'completed', 'approved']

/** Every filter that lists have, over the rows there are. */
function filtersOf({ sessions, photos }: Lists): Filter[] {
  const sessionIds = sessions.map(({ id }) => Number(id))
  const ofSession = by('photos', 'session_id', [...sessionIds, 999_999])
  const completed = by('photos', 'status', ['completed'])
  return [
    ...by('photos', 'status', [...photoStatuses, 'rejected', 'failed']),
    ...ofSession,
    ...ofSession.flatMap((own) => completed.map((status) => both(own, status))),
    ...ofSession.map((own) => ({ ...own, kind: 'approval' as const })),
    atLeast('photos', 3),
    atLeast('approval', 2),
    ...by('jobs', 'status', ['pending', 'processing', 'completed', 'failed', 'cancelled']),
    ...by('jobs', 'priority', [1, 5]),
    ...by(
      'jobs',
      'photo_id',
      photos.slice(0, 3).map(({ id }) => Number(id)),
    ),
    ...by('sessions', 'status', ['importing', 'completed']),
    { kind: 'sessions', query: 'active_only=true', fits: ({ status }) => status !== 'completed' },
    ...by('exports', 'status', ['running', 'completed', 'failed']),
    ...by(
      'exports',
      'photo_id',
      photos.slice(0, 2).map(({ id }) => Number(id)),
    ),
  ]
}

function both(one: Filter, other: Filter): Filter {
  return { ...one, query: `${one.query}&${other.query}`, fits: (row) => one.fits(row) && other.fits(row) }
}

/** Filtered lists, and each session by itself: some of them at each turn, or all. */
export async function checkFilters(api: Api, lists: Lists, turn: number | 'all'): Promise<void> {
  const filters = filtersOf(lists)
  const now = turn === 'all' ? filters : [0, 1, 2].map((n) => filters[(turn * 3 + n) % filters.length])
  await Promise.all(
    now.map(async (filter) => {
      if (!filter) return
      const { kind, query, fits } = filter
      const { body } = await api<Fields>('GET', `${listPaths[kind]}&${query}`)
      same(`${kind} with ${query}`, rowsOf(kind, body), lists[kind].filter(fits))
    }),
  )
  const sessions = turn === 'all' ? lists.sessions : lists.sessions.slice(turn % 4, (turn % 4) + 1)
  await Promise.all(
    sessions.map(async (session) => {
      const { body } = await api<Fields>('GET', `/api/sessions/${String(session['id'])}`)
      const own = lists.photos.filter(({ session_id }) => session_id === session['id'])
      const photo_counts = Object.fromEntries(
        Map.groupBy(own, ({ status }) => status)
          .entries()
          .map(([status, rows]) => [status, rows.length]),
      )
      same(`session ${String(session['id'])} alone`, body, { ...session, photo_counts })
    }),
  )
}
