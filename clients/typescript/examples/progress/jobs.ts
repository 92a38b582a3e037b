/** What each event of the jobs channel does to the list. */
import type { LightwireEvent } from '@lightwire/client'

type State = 'pending' | 'processing' | 'completed' | 'failed' | 'cancelled'

export interface Job {
  readonly id: string
  readonly photo_id: number
  readonly status: State
  readonly stage: string
  readonly progress: number
  readonly message: string
  readonly error_message: string
}

export interface JobList {
  readonly jobs: readonly Job[]
}

/** Jobs that the page keeps. */
const JOBS_MAX = 100

const order: Readonly<Record<State, number>> = {
  processing: 0,
  pending: 1,
  failed: 2,
  completed: 3,
  cancelled: 4,
}

/** What is being done comes first. */
export function inOrder(list: JobList | undefined): readonly Job[] {
  return [...(list?.jobs ?? [])].sort((a, b) => order[a.status] - order[b.status] || a.photo_id - b.photo_id)
}

/** What there is to say of a job, in a word or two. */
export function wordsOf({ status, stage, message, error_message }: Job): string {
  if (status === 'failed') return error_message
  return status === 'processing' ? message || stage || status : status
}

export function keepJobs({ jobs }: JobList, event: LightwireEvent): JobList {
  const change = (changes: Partial<Job>): JobList => {
    const id = 'job_id' in event ? event.job_id : ''
    return { jobs: jobs.map((job) => (job.id === id ? { ...job, ...changes } : job)) }
  }
  switch (event.type) {
    case 'job_created': {
      const { job_id: id, photo_id } = event
      const job: Job = {
        id,
        photo_id: photo_id ?? 0,
        status: 'pending',
        stage: '',
        progress: 0,
        message: '',
        error_message: '',
      }
      return { jobs: [job, ...jobs].slice(0, JOBS_MAX) }
    }
    case 'job_started':
      return change({ status: 'processing', progress: 0, stage: '', message: '' })
    case 'job_progress':
      return change({ progress: event.progress, stage: event.stage, message: event.message })
    case 'job_completed':
      return change({ status: 'completed', progress: 100 })
    case 'job_failed':
      return change({ status: 'failed', error_message: event.error_message })
    case 'job_requeued':
      return change({ status: 'pending', progress: 0, stage: '', message: '' })
    case 'job_cancelled':
      return change({ status: 'cancelled' })
    default:
      return { jobs }
  }
}
