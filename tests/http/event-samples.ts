/** Events about rows that are kept elsewhere, as other systems publish them. */
import { eventTypes, type EventType } from '../../lib/protocol/events.ts'

const ofJobOutside = { job_id: 'their-7', photo_id: null, session_id: null }
const photoOutside = { photo_id: 901, session_id: null }

/** Each type about rows that are kept elsewhere: the least that is accepted, and what it becomes. */
export const outsideCases: Readonly<Record<EventType, { readonly sent: object; readonly told: object }>> = {
  job_created: both(ofJobOutside, { priority: 5 }),
  job_started: { sent: { job_id: 'their-7' }, told: { ...ofJobOutside, worker: '', attempt: 1 } },
  job_progress: {
    sent: { job_id: 'their-7', stage: 'tone', progress: 0.5 },
    told: { ...ofJobOutside, stage: 'tone', progress: 0.5, message: '' },
  },
  job_completed: { sent: { job_id: 'their-7' }, told: { ...ofJobOutside, result: {} } },
  job_failed: {
    sent: { job_id: 'their-7', error_message: 'lost' },
    told: { ...ofJobOutside, error_message: 'lost', error_details: {} },
  },
  job_requeued: both(ofJobOutside, { reason: 'lease_expired', attempt: 2 }),
  job_cancelled: both(ofJobOutside, {}),
  photo_imported: both(photoOutside, { file_name: '1.jpg', file_path: '/1.jpg' }),
  photo_analyzed: {
    sent: { photo_id: 901 },
    told: { ...photoOutside, ai_score: null, analysis_results: {} },
  },
  photo_selected: both(photoOutside, { context_tag: '', selected_preset: 'Warm' }),
  photo_approved: both(photoOutside, {}),
  photo_rejected: { sent: { photo_id: 901 }, told: { ...photoOutside, reason: '' } },
  session_created: same({ session_id: 801, session_name: 'Theirs', import_folder: '/t' }),
  session_updated: same({
    session_id: 801,
    session_name: 'Theirs',
    total_photos: 3,
    processed_photos: 2,
    progress_percent: 66.67,
    status: 'culling',
  }),
  session_completed: same({
    session_id: 801,
    session_name: 'Theirs',
    total_photos: 3,
    approved_photos: 1,
    approval_rate: 33.33,
  }),
  session_deleted: same({ session_id: 801, session_name: 'Theirs' }),
  system_status: { sent: { status: 'paused' }, told: { status: 'paused', details: {} } },
  resource_warning: {
    sent: { resource_type: 'disk', current_value: 91, threshold: 90 },
    told: { resource_type: 'disk', current_value: 91, threshold: 90, message: '' },
  },
  error_occurred: {
    sent: { error_type: 'gpu', error_message: 'lost' },
    told: { error_type: 'gpu', error_message: 'lost', error_details: {} },
  },
  queue_status: same({ pending: 1, processing: 2, completed: 3, failed: 4, total: 10 }),
  priority_changed: {
    sent: { job_id: 'their-7', old_priority: 5, new_priority: 1 },
    told: { ...ofJobOutside, old_priority: 5, new_priority: 1, reason: '' },
  },
  approval_queue_updated: same({ queue_count: 3 }),
  export_started: both(photoOutside, { preset_name: 'Print', destination: '/exports' }),
  export_completed: both(photoOutside, { preset_name: 'Print', output_path: '/1.jpg', file_size: 2 ** 40 }),
  export_failed: both(photoOutside, { preset_name: 'Print', error_message: 'full' }),
}

/** One of each type. */
export const outside = eventTypes.map((type) => ({ type, ...outsideCases[type].sent }))

/** Sent without its nulls. */
function both(names: object, data: object) {
  const known = Object.fromEntries(Object.entries(names).filter(([, value]) => value !== null))
  return { sent: { ...known, ...data }, told: { ...names, ...data } }
}

function same(data: object) {
  return { sent: data, told: data }
}
