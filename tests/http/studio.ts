/** A shoot driven by public routes only: takes photos, jobs and exports into any state there is. */
import type { JobStatus } from '../../lib/domain/counters.ts'
import type { exportStatuses } from '../../lib/domain/exports.ts'
import type { PhotoStatus } from '../../lib/domain/photo-status.ts'
import type { Api } from '../support/api.ts'

type ExportStatus = (typeof exportStatuses)[number]

export interface Row<Id = number> {
  readonly id: Id
  readonly status: string
  readonly [field: string]: unknown
}

/** One photo of a session, and the newest job and export of it, if there are any. */
export interface Shot {
  readonly session: number
  readonly photo: number
  readonly job: string
  readonly export: number
}

/** Method, path and body. */
export type Request = readonly [string, string, object?]

/** Long enough for any test: a lease runs out where a test says so. */
export const LEASE_SECONDS = 3600

/** What a user of the API can do with a shot, each by its own route. */
export const requests = {
  analyze: ({ photo }) => [
    'PATCH',
    `/api/photos/${photo}`,
    { ai_score: 4.5, analysis_results: { faces: 2 } },
  ],
  select: ({ photo }) => [
    'PATCH',
    `/api/photos/${photo}`,
    { context_tag: 'portrait', selected_preset: 'Warm' },
  ],
  createJob: ({ photo }) => ['POST', '/api/jobs', { photo_id: photo, config: { quality: 90 } }],
  /** One that is claimed after all others. */
  createLastJob: ({ photo }) => ['POST', '/api/jobs', { photo_id: photo, priority: 9 }],
  claim: () => ['POST', '/api/jobs/claim', { worker: 'gpu-1', lease_seconds: LEASE_SECONDS }],
  progress: ({ job }) => [
    'POST',
    `/api/jobs/${job}/progress`,
    { stage: 'tone', progress: 42.5, message: 'half way' },
  ],
  complete: ({ job }) => ['POST', `/api/jobs/${job}/complete`, { result: { output: '/out/1.tif' } }],
  fail: ({ job }) => [
    'POST',
    `/api/jobs/${job}/fail`,
    { error_message: 'out of memory', error_details: { needed: 9 } },
  ],
  retry: ({ job }) => ['POST', `/api/jobs/${job}/fail`, { error_message: 'try again', retry: true }],
  prioritize: ({ job }) => ['PATCH', `/api/jobs/${job}`, { priority: 2, reason: 'rush' }],
  cancel: ({ job }) => ['DELETE', `/api/jobs/${job}`],
  approve: ({ photo }) => ['POST', `/api/approval/${photo}/approve`],
  reject: ({ photo }) => ['POST', `/api/approval/${photo}/reject`, { reason: 'blurred' }],
  startExport: ({ photo }) => [
    'POST',
    '/api/exports',
    { photo_id: photo, preset_name: 'Print', destination: '/exports' },
  ],
  completeExport: ({ export: id }) => [
    'POST',
    `/api/exports/${id}/complete`,
    { output_path: '/exports/1.jpg', file_size: 6_000_000_000 },
  ],
  failExport: ({ export: id }) => ['POST', `/api/exports/${id}/fail`, { error_message: 'the disk is full' }],
} satisfies Record<string, (shot: Shot) => Request>

export type Step = keyof typeof requests

/** The shortest way from an imported photo to each state. */
export const roads = {
  photo: {
    imported: [],
    analyzed: ['analyze'],
    selected: ['analyze', 'select'],
    queued: ['createJob'],
    processing: ['createJob', 'claim'],
    completed: ['createJob', 'claim', 'complete'],
    approved: ['createJob', 'claim', 'complete', 'approve'],
    rejected: ['createJob', 'claim', 'complete', 'reject'],
    failed: ['createJob', 'claim', 'fail'],
  } satisfies Record<PhotoStatus, readonly Step[]>,
  job: {
    pending: ['createJob'],
    processing: ['createJob', 'claim'],
    completed: ['createJob', 'claim', 'complete'],
    failed: ['createJob', 'claim', 'fail'],
    cancelled: ['createJob', 'cancel'],
  } satisfies Record<JobStatus, readonly Step[]>,
  export: {
    running: ['startExport'],
    completed: ['startExport', 'completeExport'],
    failed: ['startExport', 'failExport'],
  } satisfies Record<ExportStatus, readonly Step[]>,
} as const

/** The body of an answer that must be a yes. */
export async function done<T = Row>(api: Api, [method, path, body]: Request): Promise<T> {
  const answer = await api<T>(method, path, body)
  if (answer.status > 201) {
    throw new Error(`${method} ${path} answered ${answer.status} ${JSON.stringify(answer.body)}`)
  }
  return answer.body
}

export type Studio = ReturnType<typeof createStudio>

export function createStudio(api: Api) {
  let photos = 0

  async function importInto(session: number): Promise<Shot> {
    photos += 1
    const file_path = `/photos/${photos}.jpg`
    const { id } = await done(api, ['POST', '/api/photos', { session_id: session, file_path }])
    return { session, photo: id, job: '', export: 0 }
  }

  async function walk(from: Shot, road: readonly Step[]): Promise<Shot> {
    let shot = from
    for (const step of road) shot = { ...shot, ...learned(step, shot, await done(api, requests[step](shot))) }
    return shot
  }

  return {
    importInto,
    walk,

    /** A photo in a session of its own. */
    async shoot(road: readonly Step[] = []): Promise<Shot> {
      const name = `Wedding ${photos + 1}`
      const { id } = await done(api, ['POST', '/api/sessions', { name, import_folder: '/photos' }])
      return await walk(await importInto(id), road)
    },

    /** Cancels what is pending, so that a claim meets the job of its own test. */
    async emptyQueue(): Promise<void> {
      const pending: Request = ['GET', '/api/jobs?status=pending&limit=500']
      const { jobs } = await done<{ jobs: Row<string>[] }>(api, pending)
      for (const { id } of jobs) await done(api, ['DELETE', `/api/jobs/${id}`])
    },
  }
}

/** What a step's answer says about the shot. */
function learned(step: Step, shot: Shot, answer: unknown): Partial<Shot> {
  const { id, job } = answer as { id: never; job?: Row<string> | null }
  if (step === 'createJob' || step === 'createLastJob') return { job: id }
  if (step === 'startExport') return { export: id }
  if (step === 'claim' && job?.id !== shot.job) throw new Error(`the claim met another job: ${job?.id}`)
  return {}
}
