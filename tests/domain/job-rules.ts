/** What API.md says of jobs and their leases. */
import type { Draft } from '../../lib/protocol/events.ts'
import {
  conflict,
  missing,
  type Claimant,
  type Fields,
  type Lease,
  type Model,
  type Prediction,
} from './model.ts'
import { isDecided, isOpen, type Job } from './state.ts'

const ATTEMPTS_MAX = 3

export function createJob(
  model: Model,
  input: { readonly photo_id: number; readonly priority: number; readonly config: Fields },
): Prediction {
  const photo = model.state.photos.get(input.photo_id)
  if (!photo) return missing
  if (isDecided(photo.status)) return conflict
  const { id: photo_id, session_id } = photo
  return {
    status: 201,
    facts: (answer) => {
      const job_id = String(answer['id'])
      const times = { created_at: model.now(), started_at: null, completed_at: null, lease_expires_at: null }
      model.columns.set(job_id, { config: input.config, ...times })
      return [{ type: 'job_created', data: { job_id, photo_id, session_id, priority: input.priority } }]
    },
  }
}

/** The next by priority, then age; rows are kept in the order of their age. */
export function next(model: Model): Job | undefined {
  const pending = [...model.state.jobs.values()].filter(({ status }) => status === 'pending')
  return pending.toSorted((a, b) => a.priority - b.priority)[0]
}

export function claim(
  model: Model,
  job: Job | undefined,
  subject: string,
  worker: string,
  seconds = 60,
): Prediction {
  if (!job) return { status: 200 }
  if (job.status !== 'pending') return conflict
  const attempt = job.attempts + 1
  return {
    status: 200,
    facts: () => [{ type: 'job_started', data: { ...named(job), worker, attempt } }],
    keep: () => {
      const { started_at } = model.columns.get(job.id) ?? {}
      model.unsay(job.id, 'error_message', 'error_details')
      model.renew(job.id, { subject, seconds })
      model.say(job.id, { started_at: started_at ?? model.now() })
    },
  }
}

export function progress(
  model: Model,
  id: string,
  by: Claimant,
  report: { stage: string; progress: number; message: string },
): Prediction {
  return held(model, id, by, (job, lease) => ({
    facts: () => [{ type: 'job_progress', data: { ...named(job), ...report } }],
    keep: () => model.renew(id, lease),
  }))
}

export function complete(
  model: Model,
  id: string,
  by: Claimant,
  result: Record<string, unknown>,
): Prediction {
  return held(model, id, by, (job) => ({
    facts: () => [{ type: 'job_completed', data: { ...named(job), result } }],
    keep: () => model.release(id, { completed_at: model.now() }),
  }))
}

export function fail(
  model: Model,
  id: string,
  by: Claimant,
  { retry, ...error }: { error_message: string; error_details: Record<string, unknown>; retry: boolean },
): Prediction {
  return held(model, id, by, (job) => ({
    facts: () => [
      retry
        ? { type: 'job_requeued', data: { ...named(job), reason: 'retry', attempt: job.attempts } }
        : { type: 'job_failed', data: { ...named(job), ...error } },
    ],
    keep: () => model.release(id, { ...error, completed_at: retry ? null : model.now() }),
  }))
}

export function setPriority(model: Model, id: string, priority: number, reason: string): Prediction {
  const job = model.state.jobs.get(id)
  if (!job) return missing
  if (!isOpen(job)) return conflict
  const data = { ...named(job), old_priority: job.priority, new_priority: priority, reason }
  return { status: 200, facts: () => [{ type: 'priority_changed', data }] }
}

export function cancel(model: Model, id: string): Prediction {
  const job = model.state.jobs.get(id)
  if (!job) return missing
  if (job.status !== 'pending') return conflict
  return {
    status: 200,
    facts: () => [{ type: 'job_cancelled', data: named(job) }],
    keep: () => model.unsay(id, 'completed_at'),
  }
}

/** The jobs whose lease is over at this moment, and what becomes of them. */
export function expire(model: Model): {
  readonly jobs: readonly Job[]
  readonly facts: () => readonly Draft[]
} {
  const over = [...model.leases].filter(([, { untilMs }]) => untilMs <= model.nowMs())
  const jobs = over.flatMap(([id]) => model.state.jobs.get(id) ?? [])
  const facts = () =>
    jobs.map((job): Draft => {
      const dead = job.attempts >= ATTEMPTS_MAX
      model.release(job.id, { completed_at: dead ? model.now() : null })
      model.unsay(job.id, 'error_message', 'error_details')
      // What the failure says is the server's own choice of words.
      return dead
        ? { type: 'job_failed', data: { ...named(job), error_message: '', error_details: {} } }
        : { type: 'job_requeued', data: { ...named(job), reason: 'lease_expired', attempt: job.attempts } }
    })
  return { jobs, facts }
}

/** Only who holds the lease goes on: by the attempt where it is named, else by the subject. */
function held(
  model: Model,
  id: string,
  { subject, attempt }: Claimant,
  go: (job: Job, lease: Lease) => Omit<Prediction, 'status'>,
): Prediction {
  const job = model.state.jobs.get(id)
  if (!job) return missing
  const lease = model.leases.get(id)
  if (!lease || lease.untilMs <= model.nowMs()) return conflict
  const holds = attempt === undefined ? lease.subject === subject : attempt === job.attempts
  return holds ? { status: 200, ...go(job, lease) } : conflict
}

function named({ id: job_id, photo_id, session_id }: Job) {
  return { job_id, photo_id, session_id }
}
