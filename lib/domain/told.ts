/** What the events that are kept tell of each row; a column that they do not tell is left out. */
import { isDeepStrictEqual } from 'node:util'
import type { StoredEvent } from '../protocol/events.ts'

type Fields = Readonly<Record<string, unknown>>
type Columns = Record<string, unknown>

export type Told = ReturnType<typeof createTold>

/** Give it every event that is kept, each channel's in order. */
export function createTold() {
  const sessions = new Map<unknown, Columns>()
  const photos = new Map<unknown, Columns>()
  const jobs = new Map<unknown, Columns>()
  const priorities = new Map<unknown, unknown>()
  const exports = new Set<string>()
  let queue: Fields | undefined
  let approval: Fields | undefined

  return {
    sessions,
    photos,
    jobs,
    /** By job the newest priority that a change of it told. */
    priorities,
    exports,
    queue: () => queue,
    approval: () => approval,
    add({ type, timestamp }: StoredEvent, data: Fields): void {
      if (type === 'queue_status') queue = data
      else if (type === 'approval_queue_updated') approval = data
      else if (type === 'priority_changed') priorities.set(data['job_id'], data['new_priority'])
      else if (type.startsWith('session_'))
        addTo(sessions, data['session_id'], ofSession(type, timestamp, data))
      else if (type.startsWith('photo_')) addTo(photos, data['photo_id'], ofPhoto(type, timestamp, data))
      else if (type.startsWith('job_')) addJob(jobs, type, timestamp, data)
      else if (type.startsWith('export_')) exports.add(exportKey(type, timestamp, data))
    },
  }
}

/** Exports have no number in events: an event is about every export of that photo, preset and moment alike. */
export function exportKey(type: string, timestamp: string | null, data: Fields): string {
  const names = [
    'photo_id',
    'session_id',
    'preset_name',
    'destination',
    'output_path',
    'file_size',
    'error_message',
  ]
  return JSON.stringify([type, timestamp, ...names.map((name) => data[name] ?? null)])
}

/** Columns of a row that are not as told. */
export function differences(row: Fields, told: Fields): string[] {
  return Object.keys(told).filter(
    (name) => told[name] !== undefined && !isDeepStrictEqual(row[name], told[name]),
  )
}

interface News {
  readonly columns: Columns
  /** The row began with it: what was told under the same number before was about something else. */
  readonly created: boolean
}

function addTo(rows: Map<unknown, Columns>, id: unknown, { columns, created }: News): void {
  rows.set(id, created ? columns : { ...rows.get(id), ...columns })
}

function ofSession(type: string, timestamp: string, data: Fields): News {
  const { session_name: name, import_folder, total_photos, processed_photos, progress_percent, status } = data
  if (type === 'session_created') {
    const zero = { total_photos: 0, processed_photos: 0, progress_percent: 0, status: 'importing' }
    return { columns: { name, import_folder, created_at: timestamp, ...zero }, created: true }
  }
  if (type !== 'session_updated') return { columns: {}, created: false }
  return { columns: { name, total_photos, processed_photos, progress_percent, status }, created: false }
}

function ofPhoto(type: string, timestamp: string, data: Fields): News {
  const { session_id, file_name, file_path, ai_score, analysis_results, context_tag, selected_preset } = data
  switch (type) {
    case 'photo_imported': {
      const empty = {
        ai_score: null,
        analysis_results: {},
        context_tag: '',
        selected_preset: '',
        rejection_reason: '',
      }
      return {
        columns: { session_id, file_name, file_path, imported_at: timestamp, ...empty },
        created: true,
      }
    }
    case 'photo_analyzed':
      return { columns: { session_id, ai_score, analysis_results }, created: false }
    case 'photo_selected':
      return { columns: { session_id, context_tag, selected_preset }, created: false }
    case 'photo_approved':
      return { columns: { session_id, status: 'approved' }, created: false }
    default:
      return { columns: { session_id, status: 'rejected', rejection_reason: data['reason'] }, created: false }
  }
}

function addJob(jobs: Map<unknown, Columns>, type: string, timestamp: string, data: Fields): void {
  const id = data['job_id']
  const before = jobs.get(id) ?? {}
  const { photo_id, session_id } = data
  jobs.set(id, { ...before, photo_id, session_id, ...ofJob(type, timestamp, data, before) })
}

function ofJob(type: string, timestamp: string, data: Fields, before: Columns): Columns {
  const { worker, attempt: attempts, stage, progress, message, result, error_message, error_details } = data
  switch (type) {
    case 'job_created': {
      const blank = { stage: '', progress: 0, message: '', result: {}, error_message: '', error_details: {} }
      const fresh = { attempts: 0, worker: '', started_at: null, completed_at: null }
      return { status: 'pending', created_at: timestamp, priority: data['priority'], ...blank, ...fresh }
    }
    case 'job_started':
      // Only the first start counts; whether this is the first is known when the whole life of the job is.
      return {
        status: 'processing',
        worker,
        attempts,
        started_at: before['started_at'] === null ? timestamp : before['started_at'],
      }
    case 'job_progress':
      return { status: 'processing', stage, progress, message }
    case 'job_completed':
      return { status: 'completed', progress: 100, result, completed_at: timestamp }
    case 'job_failed':
      return { status: 'failed', error_message, error_details, completed_at: timestamp }
    case 'job_requeued':
      // The error that it is requeued for is in the row alone.
      return {
        status: 'pending',
        attempts,
        worker: '',
        stage: '',
        progress: 0,
        message: '',
        error_message: undefined,
        error_details: undefined,
      }
    default:
      return { status: 'cancelled', completed_at: timestamp }
  }
}
