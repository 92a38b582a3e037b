/** The catalogue: every event type with its channel, class and schema, the one source of types and validation. */
import * as z from 'zod'

/** The channels, in alphabetic order, as cursors name them. */
export const channels = ['approval', 'export', 'jobs', 'photos', 'queue', 'sessions', 'system'] as const

export type Channel = (typeof channels)[number]

export function isChannel(name: string): name is Channel {
  return (channels as readonly string[]).includes(name)
}

const text = z.string()
/** A Lua client writes an empty object as `[]`; where an object is meant, that is one. */
export const jsonObject = z.preprocess(
  (value) => (Array.isArray(value) && value.length === 0 ? {} : value),
  z.record(z.string(), z.unknown()),
)
const rowId = z.int().positive()
const ofPhoto = { photo_id: rowId, session_id: rowId.nullable().default(null) }
/** U+0000 cannot be stored by every database. */
// oxlint-disable-next-line no-control-regex -- it is the one that is refused
export const NO_NUL = /^[^\u0000]*$/
/** Names that stand on a line of their own, as in a stream of server-sent events, may not end it. */
// oxlint-disable-next-line no-control-regex -- those are refused
export const NO_CONTROL = /^[^\u0000-\u001f\u007f]*$/
const jobId = z.string().min(1).max(64).regex(NO_NUL, 'must not contain U+0000')
const ofJob = {
  job_id: jobId,
  photo_id: rowId.nullable().default(null),
  session_id: rowId.nullable().default(null),
}
const ofSession = { session_id: rowId, session_name: text }
const count = z.int().min(0)
const percent = z.number().min(0).max(100)

/** A state event says the newest value of its key; the key's fields are named here, none means one for all. */
interface EventKind<S extends z.ZodObject = z.ZodObject> {
  readonly channel: Channel
  readonly class: 'fact' | 'state'
  readonly key: readonly string[]
  readonly data: S
}

function fact<S extends z.ZodRawShape>(channel: Channel, shape: S) {
  return { channel, class: 'fact', key: [], data: z.object(shape) } as const satisfies EventKind
}

function state<S extends z.ZodRawShape>(channel: Channel, key: readonly string[], shape: S) {
  return { channel, class: 'state', key, data: z.object(shape) } as const satisfies EventKind
}

/** All event types (PROTOCOL §3). The fields beside the envelope are `data`. */
export const catalogue = {
  job_created: fact('jobs', { ...ofJob, priority: z.int() }),
  job_started: fact('jobs', { ...ofJob, worker: text.default(''), attempt: z.int().min(1).default(1) }),
  job_progress: state('jobs', ['job_id'], {
    ...ofJob,
    stage: text,
    progress: percent,
    message: text.default(''),
  }),
  job_completed: fact('jobs', { ...ofJob, result: jsonObject.default({}) }),
  job_failed: fact('jobs', { ...ofJob, error_message: text, error_details: jsonObject.default({}) }),
  job_requeued: fact('jobs', { ...ofJob, reason: z.enum(['retry', 'lease_expired']), attempt: z.int() }),
  job_cancelled: fact('jobs', ofJob),

  photo_imported: fact('photos', { ...ofPhoto, file_name: text, file_path: text }),
  photo_analyzed: fact('photos', {
    ...ofPhoto,
    ai_score: z.number().nullable().default(null),
    analysis_results: jsonObject.default({}),
  }),
  photo_selected: fact('photos', { ...ofPhoto, context_tag: text, selected_preset: text }),
  photo_approved: fact('photos', ofPhoto),
  photo_rejected: fact('photos', { ...ofPhoto, reason: text.default('') }),

  session_created: fact('sessions', { ...ofSession, import_folder: text }),
  session_updated: state('sessions', ['session_id'], {
    ...ofSession,
    total_photos: count,
    processed_photos: count,
    progress_percent: z.number().min(0),
    status: text,
  }),
  session_completed: fact('sessions', {
    ...ofSession,
    total_photos: count,
    approved_photos: count,
    approval_rate: z.number().min(0),
  }),
  session_deleted: fact('sessions', ofSession),

  system_status: state('system', [], { status: text, details: jsonObject.default({}) }),
  resource_warning: fact('system', {
    resource_type: z.enum(['cpu', 'memory', 'disk', 'gpu']),
    current_value: z.number(),
    threshold: z.number(),
    message: text.default(''),
  }),
  error_occurred: fact('system', {
    error_type: text,
    error_message: text,
    error_details: jsonObject.default({}),
    job_id: jobId.optional(),
    photo_id: rowId.optional(),
  }),

  queue_status: state('queue', [], {
    pending: count,
    processing: count,
    completed: count,
    failed: count,
    total: count,
  }),
  priority_changed: fact('queue', {
    ...ofJob,
    old_priority: z.int(),
    new_priority: z.int(),
    reason: text.default(''),
  }),

  approval_queue_updated: state('approval', [], { queue_count: count, session_id: rowId.optional() }),

  export_started: fact('export', { ...ofPhoto, preset_name: text, destination: text }),
  export_completed: fact('export', { ...ofPhoto, preset_name: text, output_path: text, file_size: count }),
  export_failed: fact('export', { ...ofPhoto, preset_name: text, error_message: text }),
} as const satisfies Record<string, EventKind>

export type EventType = keyof typeof catalogue
export const eventTypes = Object.keys(catalogue) as readonly EventType[]

export function isEventType(name: string): name is EventType {
  return Object.hasOwn(catalogue, name)
}

/** The fields of an event beside its envelope, as they are stored and sent. */
export type EventData<T extends EventType> = z.output<(typeof catalogue)[T]['data']>
/** What a caller hands in: fields with a default may be left out. */
export type EventInput<T extends EventType> = z.input<(typeof catalogue)[T]['data']>

/** An event before the journal numbered it. */
export type Draft = { [T in EventType]: { readonly type: T; readonly data: EventData<T> } }[EventType]

/** A numbered event; `data` is its fields as one JSON object text, never parsed on the path to a socket. */
export interface StoredEvent {
  readonly channel: Channel
  /** Counts the channel's events from 1 without a gap. */
  readonly seq: number
  readonly type: EventType
  /** UTC, ISO 8601 with milliseconds and `Z`. */
  readonly timestamp: string
  readonly data: string
}

/** Fields that data may never overwrite. */
export const envelopeFields = ['type', 'timestamp', 'channel', 'seq', 'id'] as const

/** The event as one flat JSON object (PROTOCOL §3). */
export function eventJson({ type, timestamp, channel, seq, data }: StoredEvent): string {
  const rest = data === '{}' ? '}' : `,${data.slice(1)}`
  return `{"type":"${type}","timestamp":"${timestamp}","channel":"${channel}","seq":${seq}${rest}`
}
