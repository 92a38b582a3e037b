/** State rebuilt from events alone, as a client would: what the database must equal at every position. */
import type { JournalEvent } from './record.ts'

export interface RebuiltJob {
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

export interface RebuiltSession {
  id: unknown
  name: unknown
  import_folder: unknown
  status: unknown
  total_photos: unknown
  processed_photos: unknown
  progress_percent: unknown
}

export class Rebuilt {
  readonly jobs = new Map<string, RebuiltJob>()
  readonly sessions = new Map<unknown, RebuiltSession>()
  /** Photos that a job has touched: their status follows from the jobs channel alone. */
  readonly jobPhotos = new Map<unknown, string>()
  readonly photos = new Map<unknown, JournalEvent>()
  private readonly before = new Map<string, string | undefined>()
  queue: JournalEvent | undefined
  approval: JournalEvent | undefined

  apply(event: JournalEvent): void {
    const job = this.jobs.get(String(event['job_id']))
    switch (event.type) {
      case 'job_created':
        return this.created(event)
      case 'job_started':
        this.move(
          job,
          { status: 'processing', worker: event['worker'], attempts: event['attempt'] },
          'processing',
        )
        return
      case 'job_progress':
        this.move(job, { stage: event['stage'], progress: event['progress'], message: event['message'] })
        return
      case 'job_completed':
        this.move(job, { status: 'completed', progress: 100, result: event['result'] }, 'completed')
        return
      case 'job_failed':
        this.move(job, { status: 'failed' }, 'failed')
        return
      case 'job_requeued':
        this.move(job, { status: 'pending', worker: '', stage: '', progress: 0, message: '' }, 'queued')
        return
      case 'job_cancelled':
        return this.cancelled(job)
      case 'priority_changed':
        this.move(job, { priority: event['new_priority'] })
        return
      case 'photo_imported':
        this.photos.set(event['photo_id'], event)
        return
      case 'session_created':
      case 'session_updated':
        return this.session(event)
      case 'session_deleted':
        this.sessions.delete(event['session_id'])
        return
      case 'queue_status':
        this.queue = event
        return
      case 'approval_queue_updated':
        this.approval = event
        return
    }
  }

  /** Jobs by status, as `queue_status` counts them. */
  counts(): Record<string, number> {
    const counts = { pending: 0, processing: 0, completed: 0, failed: 0 }
    for (const { status } of this.jobs.values())
      if (status in counts) counts[status as keyof typeof counts] += 1
    return { ...counts, total: counts.pending + counts.processing + counts.completed + counts.failed }
  }

  awaitingApproval(): number {
    return [...this.jobPhotos.values()].filter((status) => status === 'completed').length
  }

  private created(event: JournalEvent): void {
    const id = String(event['job_id'])
    const { photo_id, session_id, priority } = event
    const fresh = {
      status: 'pending',
      stage: '',
      progress: 0,
      message: '',
      worker: '',
      attempts: 0,
      result: {},
    }
    this.jobs.set(id, { id, photo_id, session_id, priority, ...fresh })
    this.before.set(id, this.jobPhotos.get(photo_id))
    this.jobPhotos.set(photo_id, 'queued')
  }

  private cancelled(job: RebuiltJob | undefined): void {
    this.move(job, { status: 'cancelled' })
    if (!job) return
    const earlier = this.before.get(job.id)
    if (earlier === undefined) this.jobPhotos.delete(job.photo_id)
    else this.jobPhotos.set(job.photo_id, earlier)
  }

  private move(job: RebuiltJob | undefined, change: Partial<RebuiltJob>, photoStatus?: string): void {
    if (!job) throw new Error('an event about a job that no event created')
    Object.assign(job, change)
    if (photoStatus !== undefined) this.jobPhotos.set(job.photo_id, photoStatus)
  }

  private session(event: JournalEvent): void {
    const { session_id: id, session_name: name } = event
    const known = this.sessions.get(id)
    if (!known && event.type !== 'session_created')
      throw new Error('an event about a session that no event created')
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
}
