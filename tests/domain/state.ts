/** State folded from events alone, by what the catalogue says each type means: REST must say the same at its position. */
import { catalogue, isEventType, type Draft } from '../../lib/protocol/events.ts'
import type { Message } from '../support/client.ts'

export interface Session {
  readonly id: number
  name: string
  readonly import_folder: string
  status: string
  total_photos: number
  processed_photos: number
  progress_percent: number
}

export interface Photo {
  readonly id: number
  readonly session_id: number | null
  readonly file_name: string
  readonly file_path: string
  status: string
  ai_score: number | null
  analysis_results: Readonly<Record<string, unknown>>
  context_tag: string
  selected_preset: string
  rejection_reason: string
}

export interface Job {
  readonly id: string
  readonly photo_id: number
  readonly session_id: number | null
  priority: number
  status: string
  stage: string
  progress: number
  message: string
  result: Readonly<Record<string, unknown>>
  attempts: number
  worker: string
}

/** Events do not name an export; they name its photo and preset. */
export interface StartedExport {
  readonly photo_id: number
  readonly session_id: number | null
  readonly preset_name: string
  status: string
}

/** Ids from here on, and job ids that begin like this, belong to a system that keeps its rows elsewhere. */
export const FOREIGN_ID = 1_000_000_000
export const FOREIGN_JOB = 'elsewhere'

export const isDecided = (status: string) => status === 'approved' || status === 'rejected'
export const isOpen = ({ status }: { status: string }) => status === 'pending' || status === 'processing'

/** An event without its envelope. @throws when it is not as the catalogue says */
export function draftOf({ type, ...fields }: Message): Draft {
  const envelope = ['timestamp', 'channel', 'seq']
  const data = Object.fromEntries(Object.entries(fields).filter(([name]) => !envelope.includes(name)))
  if (!isEventType(type)) throw new Error(`${type} is not in the catalogue`)
  // The type and its schema go together; the compiler does not follow that through a lookup.
  return { type, data: catalogue[type].data.strict().parse(data) } as Draft
}

export class State {
  readonly sessions = new Map<number, Session>()
  readonly photos = new Map<number, Photo>()
  readonly jobs = new Map<string, Job>()
  exports: StartedExport[] = []
  queue: Readonly<Record<string, number>> = { pending: 0, processing: 0, completed: 0, failed: 0, total: 0 }
  queueCount = 0
  /** What a photo goes back to when its last open job is cancelled. */
  private readonly settled = new Map<number, string>()

  /** Rows that went with their session: an event about them is passed on, as one about rows of others. */
  private readonly gone = new Set<unknown>()

  apply(event: Draft): void {
    if (this.isForeign(event)) return
    switch (event.type) {
      case 'queue_status':
        this.queue = event.data
        return
      case 'approval_queue_updated':
        this.queueCount = event.data.queue_count
        return
      case 'priority_changed':
        this.job(event.data.job_id).priority = event.data.new_priority
        return
      default:
        this.applySession(event)
        this.applyPhoto(event)
        this.applyJob(event)
        this.applyExport(event)
    }
  }

  /** Jobs by status as `queue_status` counts them. */
  counts() {
    const of = (status: string) => [...this.jobs.values()].filter((job) => job.status === status).length
    const [pending, processing] = [of('pending'), of('processing')]
    const [completed, failed] = [of('completed'), of('failed')]
    return { pending, processing, completed, failed, total: pending + processing + completed + failed }
  }

  /** Photos that wait for approval. */
  waiting(): Photo[] {
    return [...this.photos.values()].filter(({ status }) => status === 'completed')
  }

  photosOf(sessionId: number): Photo[] {
    return [...this.photos.values()].filter(({ session_id }) => session_id === sessionId)
  }

  openJobsOf(photoId: number): Job[] {
    return [...this.jobs.values()].filter((job) => job.photo_id === photoId && isOpen(job))
  }

  /** Whether nothing held here is meant. */
  isForeign({ type, data }: Draft): boolean {
    // It names the session whose photos went with it.
    if (type === 'approval_queue_updated') return false
    const { job_id, photo_id, session_id } = data as Readonly<Record<string, unknown>>
    if (job_id !== undefined) return String(job_id).startsWith(FOREIGN_JOB) || this.gone.has(job_id)
    if (photo_id !== undefined)
      return Number(photo_id) >= FOREIGN_ID || this.gone.has(`photo ${String(photo_id)}`)
    return Number(session_id) >= FOREIGN_ID || this.gone.has(`session ${String(session_id)}`)
  }

  private applySession(event: Draft): void {
    if (event.type === 'session_created') {
      const { session_id: id, session_name: name, import_folder } = event.data
      if (this.sessions.has(id)) throw new Error(`session ${id} was created twice`)
      const totals = { total_photos: 0, processed_photos: 0, progress_percent: 0 }
      this.sessions.set(id, { id, name, import_folder, status: 'importing', ...totals })
    } else if (event.type === 'session_updated') {
      const { session_id, session_name: name, ...rest } = event.data
      Object.assign(known(this.sessions, session_id), { name, ...rest })
    } else if (event.type === 'session_deleted') {
      const id = event.data.session_id
      known(this.sessions, id)
      const photos = this.photosOf(id)
      const jobs = [...this.jobs.values()].filter(({ session_id }) => session_id === id)
      for (const photo of photos) this.photos.delete(photo.id)
      for (const job of jobs) this.jobs.delete(job.id)
      this.sessions.delete(id)
      this.gone.add(`session ${id}`)
      for (const photo of photos) this.gone.add(`photo ${photo.id}`)
      for (const job of jobs) this.gone.add(job.id)
      this.exports = this.exports.filter(({ session_id }) => session_id !== id)
    }
  }

  private applyPhoto(event: Draft): void {
    if (event.type === 'photo_imported') {
      const { photo_id: id, ...rest } = event.data
      if (this.photos.has(id)) throw new Error(`photo ${id} was imported twice`)
      const empty = { analysis_results: {}, context_tag: '', selected_preset: '', rejection_reason: '' }
      this.photos.set(id, { id, ...rest, ...empty, status: 'imported', ai_score: null })
      this.settled.set(id, 'imported')
    } else if (event.type === 'photo_analyzed') {
      const { photo_id, ai_score, analysis_results } = event.data
      const photo = known(this.photos, photo_id)
      Object.assign(photo, { ai_score, analysis_results })
      if (photo.status === 'imported') this.move(photo_id, 'analyzed')
    } else if (event.type === 'photo_selected') {
      const { photo_id, context_tag, selected_preset } = event.data
      const photo = known(this.photos, photo_id)
      Object.assign(photo, { context_tag, selected_preset })
      if (photo.status === 'analyzed') this.move(photo_id, 'selected')
    } else if (event.type === 'photo_approved') {
      this.move(event.data.photo_id, 'approved')
    } else if (event.type === 'photo_rejected') {
      this.move(event.data.photo_id, 'rejected')
      known(this.photos, event.data.photo_id).rejection_reason = event.data.reason
    }
  }

  private applyJob(event: Draft): void {
    switch (event.type) {
      case 'job_created':
        return this.created(event.data)
      case 'job_started': {
        const { job_id, worker, attempt: attempts } = event.data
        return this.moveJob(job_id, { status: 'processing', worker, attempts }, 'processing')
      }
      case 'job_progress': {
        const { job_id, stage, progress, message } = event.data
        Object.assign(this.job(job_id), { stage, progress, message })
        return
      }
      case 'job_completed': {
        const { job_id, result } = event.data
        return this.moveJob(job_id, { status: 'completed', progress: 100, result }, 'completed')
      }
      case 'job_failed':
        return this.moveJob(event.data.job_id, { status: 'failed' }, 'failed')
      case 'job_requeued': {
        const freed = { worker: '', stage: '', progress: 0, message: '' }
        return this.moveJob(event.data.job_id, { status: 'pending', ...freed }, 'queued')
      }
      case 'job_cancelled':
        return this.cancelled(this.job(event.data.job_id))
    }
  }

  private created(data: Extract<Draft, { type: 'job_created' }>['data']): void {
    const { job_id: id, photo_id, session_id, priority } = data
    if (this.jobs.has(id)) throw new Error(`job ${id} was created twice`)
    if (photo_id === null) throw new Error(`job ${id} was created on no photo`)
    const fresh = { stage: '', progress: 0, message: '', result: {}, attempts: 0, worker: '' }
    this.jobs.set(id, { id, photo_id, session_id, priority, status: 'pending', ...fresh })
    this.move(photo_id, 'queued')
  }

  /** A photo without another open job goes back to what it was; else it shows what one of the others does. */
  private cancelled(job: Job): void {
    job.status = 'cancelled'
    const { photo_id } = job
    const others = this.openJobsOf(photo_id)
    const { status } = known(this.photos, photo_id)
    const atWork = others.some((other) => other.status === 'processing')
    if (others.length === 0) this.move(photo_id, this.settled.get(photo_id) ?? status)
    else if (status === 'queued' && atWork) this.move(photo_id, 'processing')
  }

  private applyExport(event: Draft): void {
    if (event.type === 'export_started') {
      const { photo_id, session_id, preset_name } = event.data
      this.exports.push({ photo_id, session_id, preset_name, status: 'running' })
    } else if (event.type === 'export_completed' || event.type === 'export_failed') {
      const { photo_id, preset_name } = event.data
      const running = this.exports.find(
        (row) => row.photo_id === photo_id && row.preset_name === preset_name && row.status === 'running',
      )
      if (!running) throw new Error(`an export of photo ${photo_id} ended that did not run`)
      running.status = event.type === 'export_completed' ? 'completed' : 'failed'
    }
  }

  private moveJob(id: string, change: Partial<Job>, photoStatus: string): void {
    const job = this.job(id)
    Object.assign(job, change)
    this.move(job.photo_id, photoStatus)
  }

  private move(photoId: number, status: string): void {
    const photo = known(this.photos, photoId)
    if (isDecided(photo.status)) return
    photo.status = status
    if (status !== 'queued' && status !== 'processing') this.settled.set(photoId, status)
  }

  private job(id: string): Job {
    return known(this.jobs, id)
  }
}

function known<K, V>(rows: ReadonlyMap<K, V>, id: K): V {
  const row = rows.get(id)
  if (row === undefined) throw new Error(`an event about ${String(id)}, which no event made`)
  return row
}
