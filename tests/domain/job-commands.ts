/** Commands on jobs: created, claimed, reported on, ended, cancelled, by workers that are right and by others. */
import * as rules from './job-rules.ts'
import type { Claimant, Fields, Model, Prediction } from './model.ts'
import {
  MISSING_ID,
  MISSING_JOB,
  of,
  onRow,
  pick,
  type Build,
  type Choices,
  type SentEvent,
  type View,
} from './operations.ts'
import { isDecided, isOpen, type Job } from './state.ts'

const missingJob = { id: MISSING_JOB, attempts: 1, priority: 5 }
type Named = Pick<Job, 'id' | 'attempts' | 'priority'>

const anyJob = ({ state }: View, choices: Choices, suits: (job: Job) => boolean): Named | undefined =>
  pick(state.jobs.values(), choices, suits)

/** Mostly the attempt of the claim, sometimes none, sometimes one that is not the current. */
function claimantOf({ attempts }: Named, { a, subject }: Choices): Claimant {
  const other = attempts > 1 ? attempts - 1 : attempts + 1
  const attempt = a % 6 === 4 ? undefined : a % 6 === 5 ? other : Math.max(attempts, 1)
  return { subject, attempt }
}

interface Act {
  /** How the path ends. */
  readonly verb: string
  readonly body: Fields
  readonly event: SentEvent
  readonly predict: (model: Model, id: string, by: Claimant) => Prediction
  readonly predictEvent?: Act['predict']
}

/** What a worker does with a claimed job. */
function act(view: View, choices: Choices, { verb, body, event, predict, predictEvent = predict }: Act) {
  const eventBy = (job: Named): Claimant => {
    const by = claimantOf(job, choices)
    // job_requeued always names the attempt.
    return event.type === 'job_requeued' ? { ...by, attempt: by.attempt ?? Math.max(job.attempts, 1) } : by
  }
  return onRow(choices, {
    row: anyJob(view, choices, ({ status }) => status === 'processing'),
    missing: missingJob,
    rest: (job) => [
      'POST',
      `/api/jobs/${job.id}/${verb}`,
      { ...body, attempt: claimantOf(job, choices).attempt },
    ],
    event: (job) => ({ ...event, job_id: job.id, attempt: eventBy(job).attempt }),
    predict: (model, job) => predict(model, job.id, claimantOf(job, choices)),
    predictEvent: (model, job) => predictEvent(model, job.id, eventBy(job)),
  })
}

export const createJob: Build = ({ state }, choices) =>
  onRow(choices, {
    row: pick(state.photos.values(), choices, ({ status }) => !isDecided(status))?.id,
    missing: MISSING_ID,
    rest: (photo_id) => ['POST', '/api/jobs', jobInput(photo_id, choices)],
    predict: (model, photo_id) => rules.createJob(model, jobInput(photo_id, choices)),
  })

function jobInput(photo_id: number, { a, b }: Choices) {
  return { photo_id, priority: 1 + (a % 9), config: { preset: `preset ${b % 3}` } }
}

export const claimNext: Build = (_, { a, b, subject }) => {
  const worker = `${subject}-${a % 2}`
  const lease_seconds = of([20, 60, 120], b)
  return {
    rest: ['POST', '/api/jobs/claim', { worker, lease_seconds }],
    predict: (model) => rules.claim(model, rules.next(model), subject, worker, lease_seconds),
  }
}

/** Only an event names the job that it claims. */
export const claimNamed: Build = (view, choices) =>
  onRow(choices, {
    row: anyJob(view, choices, ({ status }) => status === 'pending'),
    missing: missingJob,
    event: ({ id: job_id }) => ({ type: 'job_started', job_id, worker: 'named' }),
    predict: (model, { id }) => rules.claim(model, model.state.jobs.get(id), choices.subject, 'named'),
  })

export const reportProgress: Build = (view, choices) => {
  const report = { stage: of(['tone', 'export'], choices.b), progress: choices.b / 10, message: 'on it' }
  return act(view, choices, {
    verb: 'progress',
    body: report,
    event: { type: 'job_progress', ...report },
    predict: (model, id, by) => rules.progress(model, id, by, report),
  })
}

export const complete: Build = (view, choices) => {
  const result = { output: `${choices.b}.tif` }
  return act(view, choices, {
    verb: 'complete',
    body: { result },
    event: { type: 'job_completed', result },
    predict: (model, id, by) => rules.complete(model, id, by, result),
  })
}

export const fail: Build = (view, choices) => {
  const error = { error_message: 'no memory', error_details: { code: choices.b } }
  return act(view, choices, {
    verb: 'fail',
    body: error,
    event: { type: 'job_failed', ...error },
    predict: (model, id, by) => rules.fail(model, id, by, { ...error, retry: false }),
  })
}

export const retry: Build = (view, choices) => {
  const error = { error_message: 'once more', error_details: { code: choices.b } }
  return act(view, choices, {
    verb: 'fail',
    body: { ...error, retry: true },
    event: { type: 'job_requeued', reason: 'retry' },
    predict: (model, id, by) => rules.fail(model, id, by, { ...error, retry: true }),
    predictEvent: (model, id, by) =>
      rules.fail(model, id, by, { error_message: '', error_details: {}, retry: true }),
  })
}

export const setPriority: Build = (view, choices) => {
  const priority = 1 + (choices.a % 9)
  const reason = of(['', 'rush'], choices.b)
  return onRow(choices, {
    row: anyJob(view, choices, isOpen),
    missing: missingJob,
    rest: ({ id }) => ['PATCH', `/api/jobs/${id}`, { priority, reason }],
    event: ({ id: job_id, priority: old_priority }) => {
      return { type: 'priority_changed', job_id, old_priority, new_priority: priority, reason }
    },
    predict: (model, { id }) => rules.setPriority(model, id, priority, reason),
  })
}

export const cancel: Build = (view, choices) =>
  onRow(choices, {
    row: anyJob(view, choices, ({ status }) => status === 'pending'),
    missing: missingJob,
    rest: ({ id }) => ['DELETE', `/api/jobs/${id}`],
    event: ({ id: job_id }) => ({ type: 'job_cancelled', job_id }),
    predict: (model, { id }) => rules.cancel(model, id),
  })
