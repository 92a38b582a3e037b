/** Acts upon jobs: created, claimed, reported on, finished, cancelled and put in another place of the queue. */
import { withAny, type Act, type OwnPhoto, type Work, type WriterState } from './work.ts'

const CLAIMS_MAX = 8
/** Seconds: longer than a run, so that no lease ends by itself. */
const LEASE_SECONDS = 600
/** Seconds that some claims wait for a job. */
const WAIT_SECONDS = 0.05
/** Some results take pages of their own: on a full disk their row is refused before their event is. */
const PREVIEW_LENGTH = 6000

interface Job {
  readonly id: string
  readonly photo_id: number
  readonly session_id: number | null
  readonly attempts: number
  readonly created_at: string
}

type Claim = WriterState['claims'][number]

export function jobActs(work: Work): Act[] {
  const { random, state } = work
  return [
    { weight: 12, run: () => createNext(work) },
    // A second job beside the first, a new one on what is finished, or a 409 on what is decided.
    {
      weight: 1,
      run: withAny(
        random,
        () => state.photos,
        (photo) => createJob(work, photo),
      ),
    },
    { weight: 9, run: () => (state.claims.length < CLAIMS_MAX ? claim(work) : undefined) },
    {
      weight: 8,
      run: withAny(
        random,
        () => state.claims,
        (held) => report(work, held),
      ),
    },
    {
      weight: 8,
      run: withAny(
        random,
        () => state.claims,
        (held) => complete(work, held),
      ),
    },
    {
      weight: 3,
      run: withAny(
        random,
        () => state.claims,
        (held) => fail(work, held),
      ),
    },
    {
      weight: 2,
      run: withAny(
        random,
        () => state.pending,
        (job) => cancel(work, job),
      ),
    },
    {
      weight: 3,
      run: withAny(
        random,
        () => state.pending,
        ({ id }) => reprioritise(work, id),
      ),
    },
  ]
}

function createNext(work: Work): Promise<void> | undefined {
  const photo = work.state.idle.shift()
  return photo && createJob(work, photo)
}

async function createJob({ calls, random, state, serial }: Work, photo: OwnPhoto): Promise<void> {
  const priority = random.int(1, 9)
  photo.worked = true
  const made = await calls.write<Job>('POST /api/jobs', {
    what: `job on photo ${photo.id}`,
    body: { photo_id: photo.id, priority, config: { n: serial() } },
    events: [{ type: 'job_created', photo_id: photo.id, priority }],
    learned: ({ id, session_id, created_at }) => [
      { type: 'job_created', job_id: id, photo_id: photo.id, session_id, priority, timestamp: created_at },
    ],
  })
  if (made) state.pending.push({ id: made.id, photo })
  // Where the storage is full it is tried again; where the photo is gone, not for ever.
  else if (random.chance(0.9)) state.idle.push(photo)
}

async function claim({ name, calls, random, state, serial }: Work): Promise<void> {
  const worker = `${name}-${serial()}`
  const made = await calls.write<{ job: Job | null }>('POST /api/jobs/claim', {
    what: 'claim',
    ...(random.chance(0.3) ? { query: { wait: WAIT_SECONDS } } : {}),
    body: { worker, lease_seconds: LEASE_SECONDS },
    events: [{ type: 'job_started', worker }],
    learned: ({ job }) =>
      job === null
        ? []
        : [{ type: 'job_started', job_id: job.id, photo_id: job.photo_id, worker, attempt: job.attempts }],
  })
  const job = made?.job
  if (!job) return
  state.claims.push({ id: job.id, attempt: job.attempts })
  state.pending = state.pending.filter(({ id }) => id !== job.id)
}

async function report({ calls, random, serial }: Work, { id, attempt }: Claim): Promise<void> {
  const said = {
    stage: random.pick(['decode', 'denoise', 'tone']),
    progress: random.int(0, 99),
    message: `m${serial()}`,
  }
  await calls.write('POST /api/jobs/{id}/progress', {
    what: `progress of job ${id}`,
    params: { id },
    body: { ...said, attempt },
    events: [{ type: 'job_progress', job_id: id, ...said }],
  })
}

async function complete({ calls, random, state, serial }: Work, { id, attempt }: Claim): Promise<void> {
  state.claims = state.claims.filter((held) => held.id !== id)
  const preview = random.chance(0.2) ? { preview: 'x'.repeat(PREVIEW_LENGTH) } : {}
  const result = { output: `/out/${id}.jpg`, n: serial(), ...preview }
  const done = await calls.write<Job>('POST /api/jobs/{id}/complete', {
    what: `completion of job ${id}`,
    params: { id },
    // Without the attempt the subject decides, and all writers are one.
    body: { result, ...(random.chance(0.8) ? { attempt } : {}) },
    events: [{ type: 'job_completed', job_id: id, result }],
  })
  if (done) state.awaiting.push(done.photo_id)
  else if (random.chance(0.9)) state.claims.push({ id, attempt })
}

async function fail({ calls, random, state, serial }: Work, { id, attempt }: Claim): Promise<void> {
  state.claims = state.claims.filter((held) => held.id !== id)
  const retry = random.chance(0.5)
  const error = { error_message: `e${serial()}`, error_details: { code: random.int(1, 99) } }
  await calls.write('POST /api/jobs/{id}/fail', {
    what: `failure of job ${id}`,
    params: { id },
    body: { ...error, attempt, retry },
    events: [
      retry
        ? { type: 'job_requeued', job_id: id, reason: 'retry', attempt }
        : { type: 'job_failed', job_id: id, ...error },
    ],
  })
}

async function cancel({ calls, state }: Work, job: WriterState['pending'][number]): Promise<void> {
  state.pending = state.pending.filter((other) => other !== job)
  const gone = await calls.write('DELETE /api/jobs/{id}', {
    what: `cancel of job ${job.id}`,
    params: { id: job.id },
    events: [{ type: 'job_cancelled', job_id: job.id }],
  })
  if (gone) state.idle.push(job.photo)
}

async function reprioritise({ calls, random, serial }: Work, id: string): Promise<void> {
  const reason = `r${serial()}`
  const priority = random.int(1, 9)
  await calls.write('PATCH /api/jobs/{id}', {
    what: `priority of job ${id}`,
    params: { id },
    body: { priority, reason },
    events: [{ type: 'priority_changed', job_id: id, new_priority: priority, reason }],
  })
}
