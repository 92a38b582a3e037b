/** PROTOCOL §3 as a table: per event type the public route that makes it, and its exact fields. */
import type { Channel, EventType } from '../../lib/protocol/events.ts'
import type { Request, Shot, Studio } from './studio.ts'

interface EventCase {
  /** Rows that are there before; the first session, photo and export have id 1. */
  readonly given: (studio: Studio) => Promise<Shot | undefined>
  readonly request: (shot: Shot) => Request
  /** Every event of the channel that the request commits, in order; `job` is the job of the shot, or the new one. */
  readonly told: (job: string) => readonly (readonly [EventType, object])[]
}

const nothing = () => Promise.resolve(undefined)
const photo = { photo_id: 1, session_id: 1 }
const ofJob = (job: string) => ({ job_id: job, ...photo })
const ofSession = { session_id: 1, session_name: 'Wedding 1' }

export const eventCases: Readonly<Record<Channel, Readonly<Partial<Record<EventType, EventCase>>>>> = {
  jobs: {
    job_created: {
      given: ({ shoot }) => shoot(),
      request: () => ['POST', '/api/jobs', { photo_id: 1, priority: 3, config: { preset: 'Warm' } }],
      told: (job) => [['job_created', { ...ofJob(job), priority: 3 }]],
    },
    job_started: {
      given: ({ shoot }) => shoot(['createJob']),
      request: () => ['POST', '/api/jobs/claim', { worker: 'gpu-2' }],
      told: (job) => [['job_started', { ...ofJob(job), worker: 'gpu-2', attempt: 1 }]],
    },
    job_progress: {
      given: ({ shoot }) => shoot(['createJob', 'claim']),
      request: ({ job }) => [
        'POST',
        `/api/jobs/${job}/progress`,
        { stage: 'tone', progress: 33.25, message: 'ein Drittel – ⅓' },
      ],
      told: (job) => [
        ['job_progress', { ...ofJob(job), stage: 'tone', progress: 33.25, message: 'ein Drittel – ⅓' }],
      ],
    },
    job_completed: {
      given: ({ shoot }) => shoot(['createJob', 'claim']),
      request: ({ job }) => [
        'POST',
        `/api/jobs/${job}/complete`,
        { result: { output: '/out/1.tif', bytes: 6_000_000_000, steps: [1, null, { ok: true }] } },
      ],
      told: (job) => [
        [
          'job_completed',
          {
            ...ofJob(job),
            result: { output: '/out/1.tif', bytes: 6_000_000_000, steps: [1, null, { ok: true }] },
          },
        ],
      ],
    },
    job_failed: {
      given: ({ shoot }) => shoot(['createJob', 'claim']),
      request: ({ job }) => [
        'POST',
        `/api/jobs/${job}/fail`,
        { error_message: 'out of memory', error_details: { needed: 9.5 } },
      ],
      told: (job) => [
        ['job_failed', { ...ofJob(job), error_message: 'out of memory', error_details: { needed: 9.5 } }],
      ],
    },
    job_requeued: {
      given: ({ shoot }) => shoot(['createJob', 'claim', 'retry', 'claim']),
      request: ({ job }) => ['POST', `/api/jobs/${job}/fail`, { error_message: 'again', retry: true }],
      told: (job) => [['job_requeued', { ...ofJob(job), reason: 'retry', attempt: 2 }]],
    },
    job_cancelled: {
      given: ({ shoot }) => shoot(['createJob']),
      request: ({ job }) => ['DELETE', `/api/jobs/${job}`],
      told: (job) => [['job_cancelled', ofJob(job)]],
    },
  },
  photos: {
    photo_imported: {
      given: async ({ shoot }) => await shoot(),
      request: () => [
        'POST',
        '/api/photos',
        [
          { session_id: 1, file_path: '/photos/zwei/DSC_0002.NEF', file_size: 24_117_248 },
          { file_path: 'C:\\photos\\3.jpg' },
        ],
      ],
      told: () => [
        [
          'photo_imported',
          {
            photo_id: 2,
            session_id: 1,
            file_name: 'DSC_0002.NEF',
            file_path: '/photos/zwei/DSC_0002.NEF',
          },
        ],
        [
          'photo_imported',
          { photo_id: 3, session_id: null, file_name: '3.jpg', file_path: 'C:\\photos\\3.jpg' },
        ],
      ],
    },
    photo_analyzed: {
      given: ({ shoot }) => shoot(),
      request: () => ['PATCH', '/api/photos/1', { ai_score: 4.25, analysis_results: { faces: [1, 2] } }],
      told: () => [['photo_analyzed', { ...photo, ai_score: 4.25, analysis_results: { faces: [1, 2] } }]],
    },
    photo_selected: {
      given: ({ shoot }) => shoot(['analyze']),
      request: () => ['PATCH', '/api/photos/1', { context_tag: 'portrait', selected_preset: 'Warm' }],
      told: () => [['photo_selected', { ...photo, context_tag: 'portrait', selected_preset: 'Warm' }]],
    },
    photo_approved: {
      given: ({ shoot }) => shoot(['createJob', 'claim', 'complete']),
      request: () => ['POST', '/api/approval/1/approve'],
      told: () => [['photo_approved', photo]],
    },
    photo_rejected: {
      given: ({ shoot }) => shoot(['createJob', 'claim', 'complete']),
      request: () => ['POST', '/api/approval/1/reject', { reason: 'blurred' }],
      told: () => [['photo_rejected', { ...photo, reason: 'blurred' }]],
    },
  },
  sessions: {
    session_created: {
      given: nothing,
      request: () => ['POST', '/api/sessions', { name: 'Hochzeit', import_folder: '/photos/mai' }],
      told: () => [
        ['session_created', { session_id: 1, session_name: 'Hochzeit', import_folder: '/photos/mai' }],
      ],
    },
    session_updated: {
      given: ({ shoot }) => shoot(),
      request: () => [
        'PATCH',
        '/api/sessions/1',
        { name: 'Wedding 2', status: 'developing', total_photos: 3, processed_photos: 1 },
      ],
      told: () => [
        [
          'session_updated',
          {
            session_id: 1,
            session_name: 'Wedding 2',
            total_photos: 3,
            processed_photos: 1,
            progress_percent: 33.33,
            status: 'developing',
          },
        ],
      ],
    },
    session_completed: {
      async given(studio) {
        const shot = await studio.shoot(['createJob', 'claim', 'complete', 'approve'])
        for (let n = 0; n < 2; n += 1) await studio.importInto(shot.session)
        return shot
      },
      request: () => ['PATCH', '/api/sessions/1', { status: 'completed' }],
      told: () => [
        ['session_completed', { ...ofSession, total_photos: 3, approved_photos: 1, approval_rate: 33.33 }],
        [
          'session_updated',
          {
            ...ofSession,
            total_photos: 3,
            processed_photos: 1,
            progress_percent: 33.33,
            status: 'completed',
          },
        ],
      ],
    },
    session_deleted: {
      given: ({ shoot }) => shoot(['createJob']),
      request: () => ['DELETE', '/api/sessions/1'],
      told: () => [['session_deleted', ofSession]],
    },
  },
  system: {
    system_status: {
      given: nothing,
      request: () => ['POST', '/api/system/status', { status: 'paused', details: { by: 'studio' } }],
      told: () => [['system_status', { status: 'paused', details: { by: 'studio' } }]],
    },
    resource_warning: {
      given: nothing,
      request: () => [
        'POST',
        '/api/events',
        {
          type: 'resource_warning',
          resource_type: 'gpu',
          current_value: 97.5,
          threshold: 90,
          message: 'hot',
        },
      ],
      told: () => [
        ['resource_warning', { resource_type: 'gpu', current_value: 97.5, threshold: 90, message: 'hot' }],
      ],
    },
    error_occurred: {
      given: ({ shoot }) => shoot(['createJob']),
      request: ({ job }) => [
        'POST',
        '/api/system/errors',
        { error_type: 'gpu', error_message: 'lost', error_details: { bus: 3 }, job_id: job, photo_id: 1 },
      ],
      told: (job) => [
        [
          'error_occurred',
          { error_type: 'gpu', error_message: 'lost', error_details: { bus: 3 }, job_id: job, photo_id: 1 },
        ],
      ],
    },
  },
  queue: {
    queue_status: {
      async given(studio) {
        await studio.shoot(['createJob', 'claim', 'complete'])
        await studio.shoot(['createJob', 'claim', 'fail'])
        await studio.shoot(['createJob', 'claim'])
        return await studio.shoot(['createJob', 'cancel'])
      },
      request: () => ['POST', '/api/jobs', { photo_id: 4 }],
      told: () => [['queue_status', { pending: 1, processing: 1, completed: 1, failed: 1, total: 4 }]],
    },
    priority_changed: {
      given: ({ shoot }) => shoot(['createJob']),
      request: ({ job }) => ['PATCH', `/api/jobs/${job}`, { priority: 1, reason: 'rush' }],
      told: (job) => [
        ['priority_changed', { ...ofJob(job), old_priority: 5, new_priority: 1, reason: 'rush' }],
      ],
    },
  },
  approval: {
    approval_queue_updated: {
      async given(studio) {
        await studio.shoot(['createJob', 'claim', 'complete'])
        return await studio.shoot(['createJob', 'claim'])
      },
      request: ({ job }) => ['POST', `/api/jobs/${job}/complete`, { result: {} }],
      told: () => [['approval_queue_updated', { queue_count: 2, session_id: 2 }]],
    },
  },
  export: {
    export_started: {
      given: ({ shoot }) => shoot(),
      request: () => ['POST', '/api/exports', { photo_id: 1, preset_name: 'Print', destination: '/exports' }],
      told: () => [['export_started', { ...photo, preset_name: 'Print', destination: '/exports' }]],
    },
    export_completed: {
      given: ({ shoot }) => shoot(['startExport']),
      request: () => [
        'POST',
        '/api/exports/1/complete',
        { output_path: '/exports/1.jpg', file_size: 6_000_000_000 },
      ],
      told: () => [
        [
          'export_completed',
          { ...photo, preset_name: 'Print', output_path: '/exports/1.jpg', file_size: 6_000_000_000 },
        ],
      ],
    },
    export_failed: {
      given: ({ shoot }) => shoot(['startExport']),
      request: () => ['POST', '/api/exports/1/fail', { error_message: 'the disk is full' }],
      told: () => [['export_failed', { ...photo, preset_name: 'Print', error_message: 'the disk is full' }]],
    },
  },
}
