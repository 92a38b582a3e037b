/** Routes of jobs. */
import * as z from 'zod'
import {
  claimInput,
  completeInput,
  failInput,
  jobId,
  jobInput,
  jobPatch,
  jobQuery,
  jobSchema,
  progressInput,
} from '../domain/job-schemas.ts'
import {
  cancelJob,
  claimNextJob,
  completeJob,
  createJob,
  failJob,
  getJob,
  listJobs,
  reportProgress,
  setPriority,
  type Claimant,
} from '../domain/jobs.ts'
import { numberParam } from '../domain/values.ts'
import { pageOf } from './answers.ts'
import { route, type Route } from './route.ts'

const tag = 'jobs'
const params = z.object({ id: jobId })
/** Seconds that a claim may wait for a job. */
const WAIT_MAX = 30

/** Tells waiting claims that a job became pending. */
export interface JobSignal {
  /** Counts the jobs that became pending. */
  version(): number
  /** Resolves at the next pending job after `seen`, after `ms`, or when the signal aborts. */
  wait(seen: number, ms: number, signal: AbortSignal): Promise<void>
  /** @throws {Refusal} `draining` */
  requireOpen(): void
  /** Tells the one that has waited longest. */
  wake(): void
}

interface Fenced {
  readonly body: { readonly attempt?: number | undefined }
  readonly principal: { readonly subject: string }
}

const claimant = ({ body, principal }: Fenced): Claimant => ({
  subject: principal.subject,
  attempt: body.attempt,
})

export function jobRoutes(pending: JobSignal, monotonicMs: () => number): readonly Route[] {
  return [
    route({
      method: 'get',
      path: '/api/jobs',
      summary: 'Lists jobs',
      tag,
      right: 'apiRead',
      query: jobQuery,
      status: 200,
      answer: pageOf('jobs', jobSchema),
      act: { read: (queries, { query }) => listJobs(queries, query) },
    }),
    route({
      method: 'get',
      path: '/api/jobs/{id}',
      summary: 'One job',
      tag,
      right: 'apiRead',
      params,
      status: 200,
      answer: jobSchema,
      refuses: ['not_found'],
      act: { read: (queries, input) => getJob(queries, input.params.id) },
    }),
    route({
      method: 'post',
      path: '/api/jobs',
      summary: 'Creates a job on a photo',
      tag,
      right: 'apiWrite',
      body: jobInput,
      status: 201,
      answer: jobSchema,
      refuses: ['not_found', 'conflict'],
      act: { write: (write, { body }) => createJob(write, body) },
    }),
    route({
      method: 'post',
      path: '/api/jobs/claim',
      waits: true,
      summary: 'Leases the next pending job; with wait it holds on until there is one',
      tag,
      right: 'apiWrite',
      query: z.strictObject({ wait: numberParam(z.number().min(0).max(WAIT_MAX)).default(0) }),
      body: claimInput,
      status: 200,
      answer: z.object({ job: jobSchema.nullable() }),
      refuses: ['too_many_connections'],
      act: {
        async run(answering, { query, body, principal, signal, requireStanding }) {
          const deadline = monotonicMs() + query.wait * 1000
          for (let waited = false; ; waited = true) {
            const seen = pending.version()
            const claimed = await claim(waited).catch((error: unknown) => {
              // It was woken for a job that the next one may have.
              if (waited) pending.wake()
              throw error
            })
            // Woken for a job, and given the one that an equal request got: this job is another waiter's.
            if (waited && claimed.replayed) pending.wake()
            const left = deadline - monotonicMs()
            if (claimed.replayed || claimed.committed?.value !== undefined || left <= 0 || signal.aborted)
              return claimed
            pending.requireOpen()
            await pending.wait(seen, left, signal)
            pending.requireOpen()
            // Nobody is there any more to work on it; the next waiter takes the job.
            if (signal.aborted) return claimed
          }

          // Async, so that a token that ended is a rejection like the write's.
          async function claim(waited: boolean) {
            if (waited) requireStanding()
            return await answering.write({
              run: (write) => claimNextJob(write, principal.subject, body),
              answer: ({ value }) => ({ job: value ?? null }),
              keep: (job) => job !== undefined,
            })
          }
        },
      },
    }),
    route({
      method: 'post',
      path: '/api/jobs/{id}/progress',
      summary: 'Reports progress and renews the lease',
      tag,
      right: 'apiWrite',
      params,
      body: progressInput,
      status: 200,
      answer: jobSchema,
      refuses: ['not_found', 'conflict'],
      act: { write: (write, input) => reportProgress(write, input.params.id, claimant(input), input.body) },
    }),
    route({
      method: 'post',
      path: '/api/jobs/{id}/complete',
      summary: 'Completes a claimed job; its photo awaits approval',
      tag,
      right: 'apiWrite',
      params,
      body: completeInput,
      status: 200,
      answer: jobSchema,
      refuses: ['not_found', 'conflict'],
      act: { write: (write, input) => completeJob(write, input.params.id, claimant(input), input.body) },
    }),
    route({
      method: 'post',
      path: '/api/jobs/{id}/fail',
      summary: 'Fails a claimed job, or with retry puts it back to pending',
      tag,
      right: 'apiWrite',
      params,
      body: failInput,
      status: 200,
      answer: jobSchema,
      refuses: ['not_found', 'conflict'],
      act: { write: (write, input) => failJob(write, input.params.id, claimant(input), input.body) },
    }),
    route({
      method: 'patch',
      path: '/api/jobs/{id}',
      summary: 'Changes the priority of a job that is not over',
      tag,
      right: 'apiWrite',
      params,
      body: jobPatch,
      status: 200,
      answer: jobSchema,
      refuses: ['not_found', 'conflict'],
      act: { write: (write, input) => setPriority(write, input.params.id, input.body) },
    }),
    route({
      method: 'delete',
      path: '/api/jobs/{id}',
      summary: 'Cancels a pending job',
      tag,
      right: 'apiWrite',
      params,
      status: 200,
      answer: jobSchema,
      refuses: ['not_found', 'conflict'],
      act: { write: (write, input) => cancelJob(write, input.params.id) },
    }),
  ]
}
