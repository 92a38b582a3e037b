/** Photos rebuilt from events: what was said of each, and the status that its jobs and its judges gave it. */
import type { JournalEvent } from './record.ts'

export interface RebuiltPhoto {
  readonly id: unknown
  readonly session_id: unknown
  readonly file_name: unknown
  readonly file_path: unknown
  status: string
  ai_score: unknown
  analysis_results: unknown
  context_tag: unknown
  selected_preset: unknown
  rejection_reason: unknown
}

interface OpenWork {
  /** The status that a cancelled job gives back. */
  settled: string
  /** Those that are not over, and whether a worker has them. */
  readonly jobs: Map<unknown, boolean>
}

/** The status of a photo after an event about its job; a cancelled one gives the settled status back. */
const statusAfter: Readonly<Record<string, string>> = {
  job_created: 'queued',
  job_started: 'processing',
  job_requeued: 'queued',
  job_completed: 'completed',
  job_failed: 'failed',
}

export class RebuiltPhotos {
  readonly rows = new Map<unknown, RebuiltPhoto>()
  private readonly work = new Map<unknown, OpenWork>()

  constructor(private readonly wrong: string[]) {}

  imported({ photo_id: id, session_id, file_name, file_path }: JournalEvent): void {
    const said = { ai_score: null, analysis_results: {}, context_tag: '', selected_preset: '' }
    const row = { id, session_id, file_name, file_path, status: 'imported', ...said, rejection_reason: '' }
    this.rows.set(id, row)
  }

  analyzed(event: JournalEvent): void {
    const photo = this.of(event)
    if (!photo) return
    photo.ai_score = event['ai_score']
    photo.analysis_results = event['analysis_results']
    if (photo.status === 'imported') photo.status = 'analyzed'
  }

  selected(event: JournalEvent): void {
    const photo = this.of(event)
    if (!photo) return
    photo.context_tag = event['context_tag']
    photo.selected_preset = event['selected_preset']
    if (photo.status === 'analyzed') photo.status = 'selected'
  }

  decided(event: JournalEvent, status: 'approved' | 'rejected'): void {
    const photo = this.of(event)
    if (!photo) return
    photo.status = status
    if (status === 'rejected') photo.rejection_reason = event['reason']
  }

  /** An event about a job of the photo. A decision stays, whatever its jobs do. */
  worked(event: JournalEvent): void {
    const photo = this.of(event)
    if (!photo) return
    const { type, job_id } = event
    const work = this.work.get(photo.id) ?? { settled: photo.status, jobs: new Map<unknown, boolean>() }
    this.work.set(photo.id, work)
    let status = statusAfter[type]
    if (type === 'job_created') {
      if (work.jobs.size === 0) work.settled = photo.status
      work.jobs.set(job_id, false)
    } else if (type === 'job_started' || type === 'job_requeued') {
      work.jobs.set(job_id, type === 'job_started')
    } else if (type === 'job_completed' || type === 'job_failed') {
      work.jobs.delete(job_id)
      work.settled = status ?? work.settled
    } else if (type === 'job_cancelled') {
      work.jobs.delete(job_id)
      if (work.jobs.size === 0) status = work.settled
      // Another open job keeps the photo, but does not leave it in the queue while it is at work.
      else if (photo.status === 'queued' && work.jobs.values().some(Boolean)) status = 'processing'
    }
    if (status !== undefined && photo.status !== 'approved' && photo.status !== 'rejected') {
      photo.status = status
    }
  }

  /** Photos of a session by status. */
  countsOf(session: unknown): Record<string, number> {
    const counts: Record<string, number> = {}
    for (const { session_id, status } of this.rows.values())
      if (session_id === session) counts[status] = (counts[status] ?? 0) + 1
    return counts
  }

  /** The approval queue, best first. */
  awaiting(): RebuiltPhoto[] {
    const score = ({ ai_score }: RebuiltPhoto) => (ai_score === null ? 0 : Number(ai_score))
    return [...this.rows.values()]
      .filter(({ status }) => status === 'completed')
      .toSorted((a, b) => score(b) - score(a))
  }

  forget(session: unknown): void {
    for (const [id, { session_id }] of this.rows) if (session_id === session) this.rows.delete(id)
  }

  private of(event: JournalEvent): RebuiltPhoto | undefined {
    const photo = this.rows.get(event['photo_id'])
    if (!photo) this.wrong.push(`journal: ${event.type} about a photo that no event imported`)
    return photo
  }
}
