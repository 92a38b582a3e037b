/** Events from systems that keep their rows elsewhere: about ids that no row here ever has. */
import type { Random } from '../random.ts'
import type { Expected, JournalEvent } from './record.ts'

/** Ids from here on are never given by the server of a run. */
const OUTSIDE_ID = 1_000_000_000_000
const OUTSIDE_JOB = 'outside-'

/** Whether an event says nothing about the rows held here. */
export function isOutside({ job_id, photo_id, session_id }: JournalEvent): boolean {
  return (
    (typeof job_id === 'string' && job_id.startsWith(OUTSIDE_JOB)) ||
    Number(photo_id ?? 0) >= OUTSIDE_ID ||
    Number(session_id ?? 0) >= OUTSIDE_ID
  )
}

/** One event of any type but those that the server derives by itself; `n` tells it from all others. */
export function drawEvent(random: Random, n: number): Expected {
  const job_id = `${OUTSIDE_JOB}${n}`
  const photo_id = OUTSIDE_ID + n
  const session = { session_id: OUTSIDE_ID + n, session_name: `elsewhere ${n}` }
  return random.pick<Expected>([
    { type: 'job_created', job_id, photo_id, priority: 3 },
    { type: 'job_started', job_id, worker: 'elsewhere', attempt: 2 },
    { type: 'job_progress', job_id, stage: 'upload', progress: 12.5, message: 'eins, zwei – drei ✓' },
    { type: 'job_completed', job_id, result: { n } },
    { type: 'job_failed', job_id, error_message: `outside ${n}`, error_details: {} },
    { type: 'job_requeued', job_id, reason: 'lease_expired', attempt: 1 },
    { type: 'job_cancelled', job_id },
    {
      type: 'photo_imported',
      photo_id,
      session_id: null,
      file_name: `${n}.dng`,
      file_path: `/elsewhere/${n}.dng`,
    },
    { type: 'photo_analyzed', photo_id, ai_score: 4.5, analysis_results: { n } },
    { type: 'photo_selected', photo_id, context_tag: `t${n}`, selected_preset: '' },
    { type: 'photo_approved', photo_id },
    { type: 'photo_rejected', photo_id, reason: '' },
    { type: 'session_created', ...session, import_folder: '/elsewhere' },
    {
      type: 'session_updated',
      ...session,
      total_photos: 4,
      processed_photos: 1,
      progress_percent: 25,
      status: 'developing',
    },
    { type: 'session_completed', ...session, total_photos: 4, approved_photos: 3, approval_rate: 75 },
    { type: 'session_deleted', ...session },
    { type: 'system_status', status: 'paused', details: { n } },
    // The server itself never warns of a GPU.
    { type: 'resource_warning', resource_type: 'gpu', current_value: 91, threshold: 90, message: `gpu ${n}` },
    { type: 'error_occurred', error_type: 'outside', error_message: `outside ${n}`, error_details: {} },
    { type: 'priority_changed', job_id, old_priority: 5, new_priority: 1, reason: '' },
    { type: 'export_started', photo_id, preset_name: 'Web', destination: '/elsewhere' },
    { type: 'export_completed', photo_id, preset_name: 'Web', output_path: `/elsewhere/${n}`, file_size: n },
    { type: 'export_failed', photo_id, preset_name: 'Web', error_message: 'elsewhere' },
  ])
}
