/** The tables: their columns carry the names of the wire; times are ISO 8601 text, objects JSON text. */
import type { Generated, Kysely, Selectable } from 'kysely'
import type { Channel, EventType } from '../protocol/events.ts'

interface SessionTable {
  id: Generated<number>
  name: string
  import_folder: string
  status: string
  total_photos: number
  processed_photos: number
  progress_percent: number
  /** JSON: photos by status, kept with every change of a photo. */
  photo_counts: string
  /** A PATCHed total; while it is set the kept count does not show. */
  total_override: number | null
  processed_override: number | null
  created_at: string
  updated_at: string
}

interface PhotoTable {
  id: Generated<number>
  session_id: number | null
  file_name: string
  file_path: string
  file_size: number
  status: string
  ai_score: number | null
  analysis_results: string
  context_tag: string
  selected_preset: string
  rejection_reason: string
  imported_at: string
  updated_at: string
}

interface JobTable {
  id: string
  photo_id: number
  session_id: number | null
  priority: number
  config: string
  status: string
  stage: string
  progress: number
  message: string
  result: string
  error_message: string
  error_details: string
  attempts: number
  worker: string
  /** Subject of the claim: who may go on without naming the attempt. */
  claimed_by: string
  /** Status of the photo before the job, given back when it is cancelled. */
  photo_status: string
  /** Seconds that a claim or a progress report renews the lease by. */
  lease_seconds: number
  lease_expires_at: string | null
  created_at: string
  /** Orders jobs of one priority and one millisecond. */
  ordinal: Generated<number>
  started_at: string | null
  completed_at: string | null
}

interface ExportTable {
  id: Generated<number>
  photo_id: number
  session_id: number | null
  preset_name: string
  destination: string
  status: string
  output_path: string
  /** Bytes; null until the export is completed. */
  file_size: number | null
  error_message: string
  started_at: string
  completed_at: string | null
}

interface RevocationTable {
  /** Grows with every revocation, so that other nodes find the new ones. */
  ordinal: Generated<number>
  kind: 'jti' | 'subject'
  value: string
  revoked_at: string
}

interface AnswerTable {
  /** Digest of subject, method, path and key. */
  id: string
  /** Digest of what was asked. */
  fingerprint: string
  /** 0 within the transaction that makes the answer. */
  status: number
  body: string
  cursor: string
  expires_at: string
}

interface CounterTable {
  name: string
  value: number
}

interface HeadTable {
  channel: Channel
  /** Seq of the channel's newest event. */
  seq: number
  /** Seq of the newest event that retention took away. */
  trimmed: number
  /** Hash of the newest event, and of the newest that retention took away: both ends of the chain that is kept. */
  hash: Generated<string>
  trimmed_hash: Generated<string>
}

interface EventTable {
  channel: Channel
  seq: number
  type: EventType
  timestamp: string
  data: string
  /** Over this event and the hash of the one before it on its channel (lib/store/chain.ts). */
  hash: Generated<string>
}

interface EpochTable {
  ordinal: Generated<number>
  epoch: string
  started_at: string
  /** JSON: per channel the last seq before this epoch. */
  heads: string
  /** On Postgres system identifier and timeline; a new epoch begins when it changes. */
  origin: string | null
  /** Over this epoch and the hash of the one before it. */
  hash: Generated<string>
}

export interface Schema {
  sessions: SessionTable
  photos: PhotoTable
  jobs: JobTable
  exports: ExportTable
  revocations: RevocationTable
  idempotency: AnswerTable
  counters: CounterTable
  heads: HeadTable
  events: EventTable
  epochs: EpochTable
}

export type SessionRow = Selectable<SessionTable>
export type PhotoRow = Selectable<PhotoTable>
export type JobRow = Selectable<JobTable>
export type ExportRow = Selectable<ExportTable>

/** A connection inside a transaction or a read; what the domain queries. */
export type Queries = Kysely<Schema>

/** The database behind the store: SQLite in a folder, or Postgres. */
export interface Database extends AsyncDisposable {
  readonly dialect: 'sqlite' | 'postgres'
  readonly queries: Queries
  /** Opens the writer's transaction on a held connection; one writer at a time holds it, cluster-wide. */
  begin(queries: Queries): Promise<void>
  /** Whether the writer's transaction still stands after an error; SQLite may have rolled it back whole. */
  transactionStands(): boolean
  /** Makes everything committed before the call survive a power cut. A rejection is final. */
  sync(): Promise<void>
  /** Runs a read whose statements all see one state. */
  read<T>(read: (queries: Queries) => Promise<T>): Promise<T>
  /** Identity of the server's data where the database knows it, else null. */
  origin(queries: Queries): Promise<string | null>
  /** Moves the write-ahead log into the database off the event loop; the log's pages. */
  checkpoint?(): Promise<{ walPages: number }>
}
