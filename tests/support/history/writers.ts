/** Writers: random domain work over REST, with every acknowledged answer written down. */
import { createApi, type Answer, type Api } from '../api.ts'
import type { Random } from '../random.ts'
import type { Gate } from './gate.ts'
import type { Acknowledged, History, ReadRecord } from './record.ts'

interface Claim {
  readonly id: string
  readonly attempt: number
}

interface WriterState {
  readonly sessions: { id: number; name: string }[]
  /** Photos without an open job. */
  readonly idle: number[]
  /** Jobs it created; the photo is free again when the job is over. */
  readonly pending: { id: string; photo: number }[]
  readonly claims: Claim[]
  serial: number
}

interface Job {
  readonly id: string
  readonly photo_id: number
  readonly session_id: number
  readonly priority: number
  readonly attempts: number
  readonly worker: string
  readonly stage: string
  readonly progress: number
  readonly message: string
  readonly created_at: string
}

/** One attempt at a random operation; undefined when it had nothing to act on. */
type Operation = () => Promise<void> | undefined

interface WriterOptions {
  readonly name: string
  readonly gate: Gate
  readonly token: string
  readonly random: Random
  readonly history: History
  readonly isOver: () => boolean
}

/** Works until the run is over; a connection that breaks is an answer that never came. */
export async function runWriter(options: WriterOptions): Promise<number> {
  const { gate, random, isOver } = options
  let url = ''
  const state: WriterState = { sessions: [], idle: [], pending: [], claims: [], serial: 0 }
  const operations = createOperations(
    options,
    createApi(() => url, options.token),
    state,
  )
  let done = 0
  while (!isOver()) {
    const up = await gate.whenUp()
    if (up === undefined) break
    url = up
    try {
      const work = random.pick(operations)()
      if (!work) continue
      await work
      done += 1
    } catch {
      // The server was killed under the request: whether it happened, nobody was told.
      if (gate.url === url) await new Promise((resolve) => setImmediate(resolve))
    }
  }
  return done
}

function createOperations(
  { name, random, history }: WriterOptions,
  api: Api,
  state: WriterState,
): Operation[] {
  const accept = <T>(
    what: string,
    answer: Answer<T>,
    events: (body: T) => Acknowledged['events'],
  ): T | undefined => {
    const { status, body, cursor } = answer
    if (status >= 200 && status < 300) {
      if (cursor === null) history.unexpected.push(`${what}: no cursor`)
      history.acknowledged.push({ what, events: events(body), cursor: cursor ?? '' })
      return body
    }
    if (status === 503) history.unavailable += 1
    const expected = status === 404 || status === 409 || status === 503
    if (!expected) history.unexpected.push(`${what}: ${status} ${JSON.stringify(body)}`)
    return undefined
  }

  const createSession = async () => {
    const input = { name: `${name}-${state.serial++}`, import_folder: `/shoots/${name}` }
    const answer = await api<{ id: number; created_at: string }>('POST', '/api/sessions', input)
    const made = accept(`session ${input.name}`, answer, ({ id, created_at }) => [
      {
        type: 'session_created',
        session_id: id,
        session_name: input.name,
        import_folder: input.import_folder,
        timestamp: created_at,
      },
    ])
    if (made) state.sessions.push({ id: made.id, name: input.name })
  }

  const importPhotos = async (session: number) => {
    const inputs = Array.from({ length: random.int(1, 12) }, () => ({
      session_id: session,
      file_path: `/shoots/${name}/${state.serial++}.jpg`,
      file_size: random.int(1, 6_000_000_000),
    }))
    const answer = await api<{
      photos: { id: number; file_path: string; file_name: string; imported_at: string }[]
    }>('POST', '/api/photos', inputs)
    const made = accept(`${inputs.length} photos of session ${session}`, answer, ({ photos }) =>
      photos.map(({ id, file_path, file_name, imported_at }) => ({
        type: 'photo_imported',
        photo_id: id,
        session_id: session,
        file_path,
        file_name,
        timestamp: imported_at,
      })),
    )
    state.idle.push(...(made?.photos.map(({ id }) => id) ?? []))
  }

  const createJob = async (photo: number) => {
    const priority = random.int(1, 9)
    const answer = await api<Job>('POST', '/api/jobs', {
      photo_id: photo,
      priority,
      config: { n: state.serial++ },
    })
    const made = accept(`job on photo ${photo}`, answer, ({ id, session_id, created_at }) => [
      { type: 'job_created', job_id: id, photo_id: photo, session_id, priority, timestamp: created_at },
    ])
    if (made) state.pending.push({ id: made.id, photo })
  }

  const claim = async () => {
    const answer = await api<{ job: Job | null }>('POST', '/api/jobs/claim', {
      worker: name,
      lease_seconds: 600,
    })
    const made = accept('claim', answer, ({ job }) =>
      job === null ? [] : [{ type: 'job_started', job_id: job.id, worker: name, attempt: job.attempts }],
    )
    if (made?.job) state.claims.push({ id: made.job.id, attempt: made.job.attempts })
  }

  const progress = async ({ id, attempt }: Claim) => {
    const report = {
      stage: random.pick(['decode', 'denoise', 'tone']),
      progress: random.int(0, 99),
      message: `m${state.serial++}`,
    }
    const answer = await api<Job>('POST', `/api/jobs/${id}/progress`, { ...report, attempt })
    accept(`progress of job ${id}`, answer, () => [{ type: 'job_progress', job_id: id, ...report }])
  }

  const finish = async ({ id, attempt }: Claim) => {
    state.claims.splice(
      state.claims.findIndex((claimed) => claimed.id === id),
      1,
    )
    const how = random.pick(['complete', 'complete', 'fail', 'retry'] as const)
    if (how === 'complete') {
      const result = { output: `/out/${id}.jpg`, n: state.serial++ }
      const answer = await api<Job>('POST', `/api/jobs/${id}/complete`, { result, attempt })
      accept(`completion of job ${id}`, answer, () => [{ type: 'job_completed', job_id: id, result }])
      return
    }
    const error_message = `e${state.serial++}`
    const answer = await api<Job>('POST', `/api/jobs/${id}/fail`, {
      error_message,
      attempt,
      retry: how === 'retry',
    })
    accept(`failure of job ${id}`, answer, () => [
      how === 'retry'
        ? { type: 'job_requeued', job_id: id, reason: 'retry', attempt }
        : { type: 'job_failed', job_id: id, error_message },
    ])
  }

  const cancel = async (index: number) => {
    const [job] = state.pending.splice(index, 1)
    if (!job) return
    const answer = await api<Job>('DELETE', `/api/jobs/${job.id}`)
    const gone = accept(`cancel of job ${job.id}`, answer, () => [{ type: 'job_cancelled', job_id: job.id }])
    if (gone) state.idle.push(job.photo)
  }

  const reprioritise = async (id: string) => {
    const reason = `r${state.serial++}`
    const priority = random.int(1, 9)
    const answer = await api<Job>('PATCH', `/api/jobs/${id}`, { priority, reason })
    accept(`priority of job ${id}`, answer, () => [
      { type: 'priority_changed', job_id: id, new_priority: priority, reason },
    ])
  }

  const read = async (kind: ReadRecord['kind']) => {
    const path =
      kind === 'jobs' ? '/api/jobs?limit=100&sort=-created_at' : '/api/sessions?limit=100&sort=-updated_at'
    const { status, body, cursor } = await api<{ total: number } & Record<string, never[]>>('GET', path)
    if (status !== 200 || cursor === null) return void history.unexpected.push(`read of ${kind}: ${status}`)
    history.reads.push({ kind, rows: body[kind] ?? [], total: body.total, cursor })
  }

  const withAny = <T>(items: readonly T[], act: (item: T) => Promise<void>): Operation => {
    return () => (items.length === 0 ? undefined : act(random.pick(items)))
  }
  const takeIdle: Operation = () => {
    const photo = state.idle.shift()
    return photo === undefined ? undefined : createJob(photo)
  }
  const importSome = withAny(state.sessions, ({ id }) => importPhotos(id))
  const report = withAny(state.claims, progress)
  return [
    () => (state.sessions.length < 5 ? createSession() : undefined),
    () => (state.idle.length < 30 ? importSome() : undefined),
    takeIdle,
    takeIdle,
    takeIdle,
    () => (state.claims.length < 8 ? claim() : undefined),
    () => (state.claims.length < 8 ? claim() : undefined),
    report,
    report,
    report,
    withAny(state.claims, finish),
    withAny(state.claims, finish),
    () =>
      state.pending.length > 0 && random.chance(0.3)
        ? cancel(random.int(0, state.pending.length - 1))
        : undefined,
    withAny(state.pending, ({ id }) => reprioritise(id)),
    () => (random.chance(0.5) ? read('jobs') : read('sessions')),
  ]
}
