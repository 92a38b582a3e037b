/** State rebuilt from events alone, as a client would: what the database must equal at every position. */
import { parseCursor, type Positions } from '../../../lib/protocol/cursor.ts'
import { isOutside } from './outside.ts'
import { RebuiltExports } from './rebuild-exports.ts'
import { RebuiltPhotos } from './rebuild-photos.ts'
import type { History, JournalEvent } from './record.ts'

interface RebuiltJob {
  id: string
  photo_id: unknown
  session_id: unknown
  status: string
  priority: unknown
  stage: unknown
  progress: unknown
  message: unknown
  worker: unknown
  attempts: unknown
  result: unknown
}

interface RebuiltSession {
  id: unknown
  name: unknown
  import_folder: unknown
  status: unknown
  total_photos: unknown
  processed_photos: unknown
  progress_percent: unknown
}

/** Order is promised within a channel; between two commits, this order of the channels gives the same state. */
const order = ['sessions', 'photos', 'jobs', 'queue', 'approval', 'export', 'system'] as const

export class Rebuilt {
  /** Events that cannot follow upon those before. */
  readonly wrong: string[] = []
  readonly jobs = new Map<string, RebuiltJob>()
  readonly sessions = new Map<unknown, RebuiltSession>()
  readonly photos = new RebuiltPhotos(this.wrong)
  readonly exports = new RebuiltExports(this.wrong)
  /** The newest of their type. */
  queue: JournalEvent | undefined
  approval: JournalEvent | undefined
  /** When each session ended. */
  private readonly ended = new Map<unknown, string>()
  private readonly applied: Positions = {}

  constructor(private readonly journal: History['journal']) {}

  /** Applies everything up to a cursor. */
  advance(cursor: string): void {
    const { positions } = parseCursor(cursor)
    for (const channel of order) {
      const from = this.applied[channel] ?? 0
      const to = Math.max(from, positions[channel] ?? 0)
      for (const event of (this.journal.get(channel) ?? []).slice(from, to)) this.apply(event)
      this.applied[channel] = to
    }
  }

  /** Jobs by status, as `queue_status` counts them. */
  counts(): Record<string, number> {
    const counts = { pending: 0, processing: 0, completed: 0, failed: 0 }
    for (const { status } of this.jobs.values())
      if (status in counts) counts[status as keyof typeof counts] += 1
    return { ...counts, total: counts.pending + counts.processing + counts.completed + counts.failed }
  }

  private apply(event: JournalEvent): void {
    if (isOutside(event)) return
    const ended = this.ended.get(event['session_id'])
    // The approval queue goes on, and its event may name the session that left it.
    if (ended !== undefined && event.channel !== 'approval') {
      // What comes in another channel and from before is gone with its session.
      if (event.channel === 'sessions' || event.timestamp > ended)
        this.wrong.push(`journal: ${event.channel}/${event.seq} is about a session that was deleted`)
      return
    }
    switch (event.type) {
      case 'session_created':
      case 'session_updated':
        return this.session(event)
      case 'session_deleted':
        return this.forget(event)
      case 'photo_imported':
        return this.photos.imported(event)
      case 'photo_analyzed':
        return this.photos.analyzed(event)
      case 'photo_selected':
        return this.photos.selected(event)
      case 'photo_approved':
        return this.photos.decided(event, 'approved')
      case 'photo_rejected':
        return this.photos.decided(event, 'rejected')
      case 'export_started':
        return this.exports.started(event)
      case 'export_completed':
      case 'export_failed':
        return this.exports.ended(event)
      case 'queue_status':
        this.queue = event
        return
      case 'approval_queue_updated':
        this.approval = event
        return
      default:
        if (event['job_id'] !== undefined && event.channel !== 'system') this.job(event)
    }
  }

  private job(event: JournalEvent): void {
    if (event.type === 'job_created') this.created(event)
    const job = this.jobs.get(String(event['job_id']))
    if (!job) return void this.wrong.push(`journal: ${event.type} about a job that no event created`)
    Object.assign(job, changeOf(event))
    if (event.channel === 'jobs') this.photos.worked(event)
  }

  private created(event: JournalEvent): void {
    const id = String(event['job_id'])
    const { photo_id, session_id, priority } = event
    const said = { stage: '', progress: 0, message: '', worker: '' }
    this.jobs.set(id, {
      id,
      photo_id,
      session_id,
      priority,
      status: 'pending',
      ...said,
      attempts: 0,
      result: {},
    })
  }

  private session(event: JournalEvent): void {
    const { session_id: id, session_name: name } = event
    const known = this.sessions.get(id)
    if (!known && event.type !== 'session_created')
      return void this.wrong.push('journal: session_updated about a session that no event created')
    this.sessions.set(id, {
      id,
      name,
      import_folder: known?.import_folder ?? event['import_folder'],
      status: event['status'] ?? 'importing',
      total_photos: event['total_photos'] ?? 0,
      processed_photos: event['processed_photos'] ?? 0,
      progress_percent: event['progress_percent'] ?? 0,
    })
  }

  /** A session goes with its photos, jobs and exports. */
  private forget({ session_id, timestamp }: JournalEvent): void {
    this.ended.set(session_id, timestamp)
    this.sessions.delete(session_id)
    this.photos.forget(session_id)
    this.exports.forget(session_id)
    for (const [id, job] of this.jobs) if (job.session_id === session_id) this.jobs.delete(id)
  }
}

function changeOf(event: JournalEvent): Partial<RebuiltJob> {
  switch (event.type) {
    case 'job_started':
      return { status: 'processing', worker: event['worker'], attempts: event['attempt'] }
    case 'job_progress':
      return { stage: event['stage'], progress: event['progress'], message: event['message'] }
    case 'job_completed':
      return { status: 'completed', progress: 100, result: event['result'] }
    case 'job_failed':
      return { status: 'failed' }
    case 'job_requeued':
      return { status: 'pending', worker: '', stage: '', progress: 0, message: '' }
    case 'job_cancelled':
      return { status: 'cancelled' }
    case 'priority_changed':
      return { priority: event['new_priority'] }
    default:
      return {}
  }
}
