/** What `publish` with `command: true` does: per event type the route it stands for, and what both refuse. */
import type { EventType } from '../../lib/protocol/events.ts'
import type { RefusalCode } from '../../lib/protocol/refusals.ts'
import { requests, roads, type Request, type Shot, type Step } from './studio.ts'

interface CommandCase {
  readonly road: readonly Step[]
  readonly event: (shot: Shot) => object
  readonly route: (shot: Shot) => Request
}

const claimed = roads.job.processing
const ofSession = ({ session }: Shot) => ({ session_id: session, session_name: `Wedding ${session}` })
const counts = { total_photos: 1, processed_photos: 0, progress_percent: 0 }
const completion = { total_photos: 1, approved_photos: 0, approval_rate: 0 }
const target = { preset_name: 'Print', destination: '/exports' }
const result = { preset_name: 'Print', output_path: '/exports/1.jpg', file_size: 6_000_000_000 }
const ended = { preset_name: 'Print', error_message: 'the disk is full' }

/** Every event type that is a command. */
export const commandCases: Readonly<Partial<Record<EventType, CommandCase>>> = {
  job_started: {
    road: roads.job.pending,
    event: ({ job }) => ({ job_id: job, worker: 'lightroom' }),
    route: () => ['POST', '/api/jobs/claim', { worker: 'lightroom' }],
  },
  job_progress: {
    road: claimed,
    event: ({ job }) => ({ job_id: job, stage: 'tone', progress: 42.5, message: 'half way' }),
    route: requests.progress,
  },
  job_completed: {
    road: claimed,
    event: ({ job }) => ({ job_id: job, result: { output: '/out/1.tif' } }),
    route: requests.complete,
  },
  job_failed: {
    road: claimed,
    event: ({ job }) => ({ job_id: job, error_message: 'out of memory', error_details: { needed: 9 } }),
    route: requests.fail,
  },
  job_requeued: {
    road: claimed,
    event: ({ job }) => ({ job_id: job, reason: 'retry', attempt: 1 }),
    route: ({ job }) => ['POST', `/api/jobs/${job}/fail`, { error_message: '', retry: true }],
  },
  job_cancelled: {
    road: ['analyze', 'createJob'],
    event: ({ job }) => ({ job_id: job }),
    route: requests.cancel,
  },
  priority_changed: {
    road: roads.job.pending,
    event: ({ job }) => ({ job_id: job, old_priority: 9, new_priority: 2, reason: 'rush' }),
    route: requests.prioritize,
  },
  photo_analyzed: {
    road: roads.photo.imported,
    event: ({ photo }) => ({ photo_id: photo, ai_score: 4.5, analysis_results: { faces: 2 } }),
    route: requests.analyze,
  },
  photo_selected: {
    road: roads.photo.analyzed,
    event: ({ photo }) => ({ photo_id: photo, context_tag: 'portrait', selected_preset: 'Warm' }),
    route: requests.select,
  },
  photo_approved: {
    road: roads.photo.completed,
    event: ({ photo }) => ({ photo_id: photo, auto_export: target }),
    route: ({ photo }) => ['POST', `/api/approval/${photo}/approve`, { auto_export: target }],
  },
  photo_rejected: {
    road: roads.photo.completed,
    event: ({ photo }) => ({ photo_id: photo, reason: 'blurred' }),
    route: requests.reject,
  },
  session_updated: {
    road: [],
    event: ({ session }) => ({
      session_id: session,
      session_name: 'Renamed',
      status: 'selecting',
      ...counts,
    }),
    route: ({ session }) => ['PATCH', `/api/sessions/${session}`, { name: 'Renamed', status: 'selecting' }],
  },
  session_completed: {
    road: roads.photo.approved,
    event: (shot) => ({ ...ofSession(shot), ...completion }),
    route: ({ session }) => ['PATCH', `/api/sessions/${session}`, { status: 'completed' }],
  },
  session_deleted: {
    road: ['createJob', 'claim', 'complete', 'startExport'],
    event: ofSession,
    route: ({ session }) => ['DELETE', `/api/sessions/${session}`],
  },
  export_started: {
    road: [],
    event: ({ photo }) => ({ photo_id: photo, ...target }),
    route: requests.startExport,
  },
  export_completed: {
    road: roads.export.running,
    event: ({ photo }) => ({ photo_id: photo, ...result }),
    route: requests.completeExport,
  },
  export_failed: {
    road: roads.export.running,
    event: ({ photo }) => ({ photo_id: photo, ...ended }),
    route: requests.failExport,
  },
}

/** No commands about a row that is held: their rows get their ids here, or their values are derived here. */
export const neverCommands: Readonly<Partial<Record<EventType, (shot: Shot) => object>>> = {
  job_created: ({ job, photo }) => ({ job_id: job, photo_id: photo, priority: 5 }),
  photo_imported: ({ photo }) => ({ photo_id: photo, file_name: '1.jpg', file_path: '/1.jpg' }),
  session_created: (shot) => ({ ...ofSession(shot), import_folder: '/photos' }),
  queue_status: () => ({ pending: 1, processing: 0, completed: 0, failed: 0, total: 1 }),
  approval_queue_updated: () => ({ queue_count: 0 }),
}

/** About nobody's row: passed on as they are, `command` or not. */
export const reports: readonly EventType[] = ['system_status', 'resource_warning', 'error_occurred']

type RefusedCase = readonly [
  type: EventType,
  why: string,
  road: readonly Step[],
  event: (shot: Shot) => object,
  code: RefusalCode,
]

const job = ({ job: job_id }: Shot) => ({ job_id })
const photo = ({ photo: photo_id }: Shot) => ({ photo_id })
const progress = { stage: 'tone', progress: 1 }
const updated = { session_name: 'Wedding 1', status: 'importing', ...counts }

/** Each changes nothing. */
export const refusedCommands: readonly RefusedCase[] = [
  ['job_started', 'a processing job', claimed, job, 'conflict'],
  ['job_started', 'a completed job', roads.job.completed, job, 'conflict'],
  ['job_started', 'a failed job', roads.job.failed, job, 'conflict'],
  ['job_started', 'a cancelled job', roads.job.cancelled, job, 'conflict'],
  [
    'job_started',
    'a worker of 201 characters',
    ['createJob'],
    (shot) => ({ ...job(shot), worker: 'w'.repeat(201) }),
    'invalid_message',
  ],
  ['job_progress', 'a pending job', ['createJob'], (shot) => ({ ...job(shot), ...progress }), 'conflict'],
  ['job_progress', 'an old attempt', ['createJob', 'claim', 'retry', 'claim'], old(progress), 'conflict'],
  [
    'job_progress',
    'a stage of 201 characters',
    claimed,
    (shot) => ({ ...job(shot), ...progress, stage: 's'.repeat(201) }),
    'invalid_message',
  ],
  ['job_completed', 'a pending job', ['createJob'], job, 'conflict'],
  ['job_completed', 'a completed job', roads.job.completed, job, 'conflict'],
  ['job_completed', 'an old attempt', ['createJob', 'claim', 'retry', 'claim'], old({}), 'conflict'],
  ['job_failed', 'a failed job', roads.job.failed, withError, 'conflict'],
  [
    'job_failed',
    'an old attempt',
    ['createJob', 'claim', 'retry', 'claim'],
    old({ error_message: 'lost' }),
    'conflict',
  ],
  ['job_requeued', 'a pending job', ['createJob'], retried('retry'), 'conflict'],
  ['job_requeued', 'the end of a lease', claimed, retried('lease_expired'), 'conflict'],
  ['job_requeued', 'an old attempt', ['createJob', 'claim', 'retry', 'claim'], retried('retry'), 'conflict'],
  ['job_cancelled', 'a processing job', claimed, job, 'conflict'],
  ['job_cancelled', 'a cancelled job', roads.job.cancelled, job, 'conflict'],
  ['priority_changed', 'a completed job', roads.job.completed, ranked(1), 'conflict'],
  ['priority_changed', 'priority 10', ['createJob'], ranked(10), 'invalid_message'],
  ['photo_analyzed', 'a score of 6', [], (shot) => ({ ...photo(shot), ai_score: 6 }), 'invalid_message'],
  ['photo_analyzed', 'no result at all', [], photo, 'invalid_message'],
  ['photo_selected', 'an imported photo', [], chosen('Warm'), 'conflict'],
  ['photo_selected', 'a preset of 201 characters', ['analyze'], chosen('p'.repeat(201)), 'invalid_message'],
  ['photo_approved', 'an imported photo', [], photo, 'conflict'],
  ['photo_approved', 'an approved photo', roads.photo.approved, photo, 'conflict'],
  [
    'photo_approved',
    'half an export',
    roads.photo.completed,
    (shot) => ({ ...photo(shot), auto_export: { preset_name: 'Print' } }),
    'invalid_message',
  ],
  ['photo_rejected', 'a failed photo', roads.photo.failed, photo, 'conflict'],
  ['photo_rejected', 'a rejected photo', roads.photo.rejected, photo, 'conflict'],
  [
    'session_updated',
    'a status that there is not',
    [],
    () => ({ session_id: 1, ...updated, status: 'dancing' }),
    'invalid_message',
  ],
  ['session_updated', 'what holds already', [], () => ({ session_id: 1, ...updated }), 'conflict'],
  [
    'session_deleted',
    'a session at work',
    claimed,
    () => ({ session_id: 1, session_name: 'Wedding 1' }),
    'conflict',
  ],
  [
    'export_started',
    'no preset',
    [],
    (shot) => ({ ...photo(shot), ...target, preset_name: '' }),
    'invalid_message',
  ],
  [
    'export_started',
    'a photo that is not there',
    [],
    () => ({ photo_id: 99, session_id: 1, ...target }),
    'not_found',
  ],
  ['export_completed', 'an ended export', roads.export.completed, exported(result), 'not_found'],
  [
    'export_completed',
    'no output',
    roads.export.running,
    exported({ ...result, output_path: '' }),
    'invalid_message',
  ],
  ['export_failed', 'an ended export', roads.export.failed, exported(ended), 'not_found'],
  [
    'export_failed',
    'another preset',
    roads.export.running,
    exported({ ...ended, preset_name: 'Web' }),
    'not_found',
  ],
]

function old(data: object) {
  return (shot: Shot) => ({ ...job(shot), ...data, attempt: 1 })
}

function withError(shot: Shot) {
  return { ...job(shot), error_message: 'lost' }
}

function retried(reason: string) {
  return (shot: Shot) => ({ ...job(shot), reason, attempt: 1 })
}

function ranked(new_priority: number) {
  return (shot: Shot) => ({ ...job(shot), old_priority: 5, new_priority })
}

function chosen(selected_preset: string) {
  return (shot: Shot) => ({ ...photo(shot), context_tag: '', selected_preset })
}

function exported(data: object) {
  return (shot: Shot) => ({ ...photo(shot), ...data })
}
