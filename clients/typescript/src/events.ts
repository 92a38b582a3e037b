/** The events of Lightwire, by type. Written by `npm run docs` from the catalogue: do not edit. */

export type Channel = 'approval' | 'export' | 'jobs' | 'photos' | 'queue' | 'sessions' | 'system'

/** What every event has beside its own fields. */
export interface Envelope<T extends string, C extends Channel> {
  readonly type: T
  readonly channel: C
  /** Counts the channel's events from 1 without a gap. */
  readonly seq: number
  /** UTC, ISO 8601 with milliseconds and Z. */
  readonly timestamp: string
}

export interface JobCreated extends Envelope<'job_created', 'jobs'> {
  readonly job_id: string
  readonly photo_id: number | null
  readonly session_id: number | null
  readonly priority: number
}

export interface JobCreatedDraft {
  readonly type: 'job_created'
  readonly job_id: string
  readonly photo_id?: number | null
  readonly session_id?: number | null
  readonly priority: number
}

export interface JobStarted extends Envelope<'job_started', 'jobs'> {
  readonly job_id: string
  readonly photo_id: number | null
  readonly session_id: number | null
  readonly worker: string
  readonly attempt: number
}

export interface JobStartedDraft {
  readonly type: 'job_started'
  readonly job_id: string
  readonly photo_id?: number | null
  readonly session_id?: number | null
  readonly worker?: string
  readonly attempt?: number
}

export interface JobProgress extends Envelope<'job_progress', 'jobs'> {
  readonly job_id: string
  readonly photo_id: number | null
  readonly session_id: number | null
  readonly stage: string
  readonly progress: number
  readonly message: string
}

export interface JobProgressDraft {
  readonly type: 'job_progress'
  readonly job_id: string
  readonly photo_id?: number | null
  readonly session_id?: number | null
  readonly stage: string
  readonly progress: number
  readonly message?: string
}

export interface JobCompleted extends Envelope<'job_completed', 'jobs'> {
  readonly job_id: string
  readonly photo_id: number | null
  readonly session_id: number | null
  readonly result: Readonly<Record<string, unknown>>
}

export interface JobCompletedDraft {
  readonly type: 'job_completed'
  readonly job_id: string
  readonly photo_id?: number | null
  readonly session_id?: number | null
  readonly result?: Readonly<Record<string, unknown>>
}

export interface JobFailed extends Envelope<'job_failed', 'jobs'> {
  readonly job_id: string
  readonly photo_id: number | null
  readonly session_id: number | null
  readonly error_message: string
  readonly error_details: Readonly<Record<string, unknown>>
}

export interface JobFailedDraft {
  readonly type: 'job_failed'
  readonly job_id: string
  readonly photo_id?: number | null
  readonly session_id?: number | null
  readonly error_message: string
  readonly error_details?: Readonly<Record<string, unknown>>
}

export interface JobRequeued extends Envelope<'job_requeued', 'jobs'> {
  readonly job_id: string
  readonly photo_id: number | null
  readonly session_id: number | null
  readonly reason: 'retry' | 'lease_expired'
  readonly attempt: number
}

export interface JobRequeuedDraft {
  readonly type: 'job_requeued'
  readonly job_id: string
  readonly photo_id?: number | null
  readonly session_id?: number | null
  readonly reason: 'retry' | 'lease_expired'
  readonly attempt: number
}

export interface JobCancelled extends Envelope<'job_cancelled', 'jobs'> {
  readonly job_id: string
  readonly photo_id: number | null
  readonly session_id: number | null
}

export interface JobCancelledDraft {
  readonly type: 'job_cancelled'
  readonly job_id: string
  readonly photo_id?: number | null
  readonly session_id?: number | null
}

export interface PhotoImported extends Envelope<'photo_imported', 'photos'> {
  readonly photo_id: number
  readonly session_id: number | null
  readonly file_name: string
  readonly file_path: string
}

export interface PhotoImportedDraft {
  readonly type: 'photo_imported'
  readonly photo_id: number
  readonly session_id?: number | null
  readonly file_name: string
  readonly file_path: string
}

export interface PhotoAnalyzed extends Envelope<'photo_analyzed', 'photos'> {
  readonly photo_id: number
  readonly session_id: number | null
  readonly ai_score: unknown
  readonly analysis_results: Readonly<Record<string, unknown>>
}

export interface PhotoAnalyzedDraft {
  readonly type: 'photo_analyzed'
  readonly photo_id: number
  readonly session_id?: number | null
  readonly ai_score?: unknown
  readonly analysis_results?: Readonly<Record<string, unknown>>
}

export interface PhotoSelected extends Envelope<'photo_selected', 'photos'> {
  readonly photo_id: number
  readonly session_id: number | null
  readonly context_tag: string
  readonly selected_preset: string
}

export interface PhotoSelectedDraft {
  readonly type: 'photo_selected'
  readonly photo_id: number
  readonly session_id?: number | null
  readonly context_tag: string
  readonly selected_preset: string
}

export interface PhotoApproved extends Envelope<'photo_approved', 'photos'> {
  readonly photo_id: number
  readonly session_id: number | null
}

export interface PhotoApprovedDraft {
  readonly type: 'photo_approved'
  readonly photo_id: number
  readonly session_id?: number | null
}

export interface PhotoRejected extends Envelope<'photo_rejected', 'photos'> {
  readonly photo_id: number
  readonly session_id: number | null
  readonly reason: string
}

export interface PhotoRejectedDraft {
  readonly type: 'photo_rejected'
  readonly photo_id: number
  readonly session_id?: number | null
  readonly reason?: string
}

export interface SessionCreated extends Envelope<'session_created', 'sessions'> {
  readonly session_id: number
  readonly session_name: string
  readonly import_folder: string
}

export interface SessionCreatedDraft {
  readonly type: 'session_created'
  readonly session_id: number
  readonly session_name: string
  readonly import_folder: string
}

export interface SessionUpdated extends Envelope<'session_updated', 'sessions'> {
  readonly session_id: number
  readonly session_name: string
  readonly total_photos: number
  readonly processed_photos: number
  readonly progress_percent: number
  readonly status: string
}

export interface SessionUpdatedDraft {
  readonly type: 'session_updated'
  readonly session_id: number
  readonly session_name: string
  readonly total_photos: number
  readonly processed_photos: number
  readonly progress_percent: number
  readonly status: string
}

export interface SessionCompleted extends Envelope<'session_completed', 'sessions'> {
  readonly session_id: number
  readonly session_name: string
  readonly total_photos: number
  readonly approved_photos: number
  readonly approval_rate: number
}

export interface SessionCompletedDraft {
  readonly type: 'session_completed'
  readonly session_id: number
  readonly session_name: string
  readonly total_photos: number
  readonly approved_photos: number
  readonly approval_rate: number
}

export interface SessionDeleted extends Envelope<'session_deleted', 'sessions'> {
  readonly session_id: number
  readonly session_name: string
}

export interface SessionDeletedDraft {
  readonly type: 'session_deleted'
  readonly session_id: number
  readonly session_name: string
}

export interface SystemStatus extends Envelope<'system_status', 'system'> {
  readonly status: string
  readonly details: Readonly<Record<string, unknown>>
}

export interface SystemStatusDraft {
  readonly type: 'system_status'
  readonly status: string
  readonly details?: Readonly<Record<string, unknown>>
}

export interface ResourceWarning extends Envelope<'resource_warning', 'system'> {
  readonly resource_type: 'cpu' | 'memory' | 'disk' | 'gpu'
  readonly current_value: number
  readonly threshold: number
  readonly message: string
}

export interface ResourceWarningDraft {
  readonly type: 'resource_warning'
  readonly resource_type: 'cpu' | 'memory' | 'disk' | 'gpu'
  readonly current_value: number
  readonly threshold: number
  readonly message?: string
}

export interface ErrorOccurred extends Envelope<'error_occurred', 'system'> {
  readonly error_type: string
  readonly error_message: string
  readonly error_details: Readonly<Record<string, unknown>>
  readonly job_id?: string
  readonly photo_id?: number
}

export interface ErrorOccurredDraft {
  readonly type: 'error_occurred'
  readonly error_type: string
  readonly error_message: string
  readonly error_details?: Readonly<Record<string, unknown>>
  readonly job_id?: string
  readonly photo_id?: number
}

export interface QueueStatus extends Envelope<'queue_status', 'queue'> {
  readonly pending: number
  readonly processing: number
  readonly completed: number
  readonly failed: number
  readonly total: number
}

export interface QueueStatusDraft {
  readonly type: 'queue_status'
  readonly pending: number
  readonly processing: number
  readonly completed: number
  readonly failed: number
  readonly total: number
}

export interface PriorityChanged extends Envelope<'priority_changed', 'queue'> {
  readonly job_id: string
  readonly photo_id: number | null
  readonly session_id: number | null
  readonly old_priority: number
  readonly new_priority: number
  readonly reason: string
}

export interface PriorityChangedDraft {
  readonly type: 'priority_changed'
  readonly job_id: string
  readonly photo_id?: number | null
  readonly session_id?: number | null
  readonly old_priority: number
  readonly new_priority: number
  readonly reason?: string
}

export interface ApprovalQueueUpdated extends Envelope<'approval_queue_updated', 'approval'> {
  readonly queue_count: number
  readonly session_id?: number
}

export interface ApprovalQueueUpdatedDraft {
  readonly type: 'approval_queue_updated'
  readonly queue_count: number
  readonly session_id?: number
}

export interface ExportStarted extends Envelope<'export_started', 'export'> {
  readonly photo_id: number
  readonly session_id: number | null
  readonly preset_name: string
  readonly destination: string
}

export interface ExportStartedDraft {
  readonly type: 'export_started'
  readonly photo_id: number
  readonly session_id?: number | null
  readonly preset_name: string
  readonly destination: string
}

export interface ExportCompleted extends Envelope<'export_completed', 'export'> {
  readonly photo_id: number
  readonly session_id: number | null
  readonly preset_name: string
  readonly output_path: string
  readonly file_size: number
}

export interface ExportCompletedDraft {
  readonly type: 'export_completed'
  readonly photo_id: number
  readonly session_id?: number | null
  readonly preset_name: string
  readonly output_path: string
  readonly file_size: number
}

export interface ExportFailed extends Envelope<'export_failed', 'export'> {
  readonly photo_id: number
  readonly session_id: number | null
  readonly preset_name: string
  readonly error_message: string
}

export interface ExportFailedDraft {
  readonly type: 'export_failed'
  readonly photo_id: number
  readonly session_id?: number | null
  readonly preset_name: string
  readonly error_message: string
}

export interface EventMap {
  readonly job_created: JobCreated
  readonly job_started: JobStarted
  readonly job_progress: JobProgress
  readonly job_completed: JobCompleted
  readonly job_failed: JobFailed
  readonly job_requeued: JobRequeued
  readonly job_cancelled: JobCancelled
  readonly photo_imported: PhotoImported
  readonly photo_analyzed: PhotoAnalyzed
  readonly photo_selected: PhotoSelected
  readonly photo_approved: PhotoApproved
  readonly photo_rejected: PhotoRejected
  readonly session_created: SessionCreated
  readonly session_updated: SessionUpdated
  readonly session_completed: SessionCompleted
  readonly session_deleted: SessionDeleted
  readonly system_status: SystemStatus
  readonly resource_warning: ResourceWarning
  readonly error_occurred: ErrorOccurred
  readonly queue_status: QueueStatus
  readonly priority_changed: PriorityChanged
  readonly approval_queue_updated: ApprovalQueueUpdated
  readonly export_started: ExportStarted
  readonly export_completed: ExportCompleted
  readonly export_failed: ExportFailed
}

/** What `publish` takes: fields that have a default may be left out. */
export interface DraftMap {
  readonly job_created: JobCreatedDraft
  readonly job_started: JobStartedDraft
  readonly job_progress: JobProgressDraft
  readonly job_completed: JobCompletedDraft
  readonly job_failed: JobFailedDraft
  readonly job_requeued: JobRequeuedDraft
  readonly job_cancelled: JobCancelledDraft
  readonly photo_imported: PhotoImportedDraft
  readonly photo_analyzed: PhotoAnalyzedDraft
  readonly photo_selected: PhotoSelectedDraft
  readonly photo_approved: PhotoApprovedDraft
  readonly photo_rejected: PhotoRejectedDraft
  readonly session_created: SessionCreatedDraft
  readonly session_updated: SessionUpdatedDraft
  readonly session_completed: SessionCompletedDraft
  readonly session_deleted: SessionDeletedDraft
  readonly system_status: SystemStatusDraft
  readonly resource_warning: ResourceWarningDraft
  readonly error_occurred: ErrorOccurredDraft
  readonly queue_status: QueueStatusDraft
  readonly priority_changed: PriorityChangedDraft
  readonly approval_queue_updated: ApprovalQueueUpdatedDraft
  readonly export_started: ExportStartedDraft
  readonly export_completed: ExportCompletedDraft
  readonly export_failed: ExportFailedDraft
}

export type EventType = keyof EventMap
export type LightwireEvent = EventMap[EventType]
export type Draft = DraftMap[EventType]

export const channelOf = {
  job_created: 'jobs',
  job_started: 'jobs',
  job_progress: 'jobs',
  job_completed: 'jobs',
  job_failed: 'jobs',
  job_requeued: 'jobs',
  job_cancelled: 'jobs',
  photo_imported: 'photos',
  photo_analyzed: 'photos',
  photo_selected: 'photos',
  photo_approved: 'photos',
  photo_rejected: 'photos',
  session_created: 'sessions',
  session_updated: 'sessions',
  session_completed: 'sessions',
  session_deleted: 'sessions',
  system_status: 'system',
  resource_warning: 'system',
  error_occurred: 'system',
  queue_status: 'queue',
  priority_changed: 'queue',
  approval_queue_updated: 'approval',
  export_started: 'export',
  export_completed: 'export',
  export_failed: 'export',
} as const satisfies Record<EventType, Channel>

/** The types that say the newest value of a key, with the fields of that key. */
export const stateKeys = {
  job_progress: ['job_id'],
  session_updated: ['session_id'],
  system_status: [],
  queue_status: [],
  approval_queue_updated: [],
} as const

export type StateType = keyof typeof stateKeys
