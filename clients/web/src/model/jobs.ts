/** Jobs by what becomes of them: the next that wait, all that are worked on, the last that are over. */
import type { JobProgress, LightwireEvent } from '../../../typescript/src/events.ts'
import { bound, isAfter, least, nowhere, type Part, type Places } from './slice.ts'

const PENDING_MAX = 300
/** With fewer of them than this the next ones are read, while there are more. */
const PENDING_LOW = 50
const PROCESSING_MAX = 500
const OVER_MAX = 60

export interface JobRow {
  readonly id: string
  readonly photoId: number | null
  readonly sessionId: number | null
  readonly status: 'pending' | 'processing' | 'completed' | 'failed' | 'cancelled'
  readonly stage: string
  readonly progress: number
  readonly message: string
  readonly worker: string
  readonly priority: number
  /** Server time in milliseconds, 0 where unknown. */
  readonly createdAt: number
  readonly startedAt: number
  readonly heardAt: number
  /** The event of the channel `jobs` up to which this is known. */
  readonly seq: number
}

/** As `GET /api/jobs` gives it. */
export interface JobRead {
  readonly id: string
  readonly photo_id: number
  readonly session_id: number | null
  readonly status: JobRow['status']
  readonly stage: string
  readonly progress: number
  readonly message: string
  readonly worker: string
  readonly priority: number
  readonly created_at: string
  readonly started_at: string | null
}

/** The next that wait, and how many wait altogether. */
export interface PendingRead {
  readonly jobs: readonly JobRead[]
  readonly total: number
}

export interface JobsRead {
  readonly processing: Part<readonly JobRead[]> | undefined
  readonly pending: Part<PendingRead> | undefined
}

export type Jobs = ReturnType<typeof createJobs>

export function createJobs() {
  const groups = {
    pending: new Map<string, JobRow>(),
    processing: new Map<string, JobRow>(),
    over: new Map<string, JobRow>(),
  }
  /** Of those that wait all up to this one are here; what is behind it is left out. Undefined where that is nothing. */
  let edge: JobRow | undefined
  /** Whether one that was left out has come before the edge. */
  let isShort = false
  /** What all reads know of; they left out what they did not give. */
  let floor = nowhere
  const find = (id: string) => groups.processing.get(id) ?? groups.pending.get(id) ?? groups.over.get(id)
  const forget = (id: string) => Object.values(groups).some((group) => group.delete(id))

  const pending = () => [...groups.pending.values()].sort(byTurn)
  const put = (row: JobRow) => {
    const name = row.status === 'pending' || row.status === 'processing' ? row.status : 'over'
    // In place where it stays in its group: rows keep their order while they move on.
    if (!groups[name].has(row.id)) forget(row.id)
    groups[name].set(row.id, row)
    bound(groups.processing, PROCESSING_MAX)
    bound(groups.over, OVER_MAX)
    if (name !== 'pending') return
    if (edge && byTurn(edge, row) < 0) forget(row.id)
    if (groups.pending.size <= PENDING_MAX) return
    // The last to be worked on goes, not the oldest: that one is next.
    const [before, last] = pending().slice(-2)
    if (last) forget(last.id)
    edge = before
  }
  const progressed = (row: JobRow, { stage, progress, message }: JobProgress, heardAt: number): JobRow => ({
    ...row,
    status: 'processing',
    stage,
    progress,
    message,
    heardAt,
    startedAt: row.startedAt || heardAt,
  })
  const read = (rows: readonly JobRead[], places: Places) => {
    const seq = places.get('jobs') ?? 0
    for (const { photo_id, session_id, created_at, started_at, ...row } of rows) {
      if ((find(row.id)?.seq ?? -1) >= seq) continue
      const createdAt = Date.parse(created_at)
      const startedAt = started_at === null ? 0 : Date.parse(started_at)
      put({ ...row, photoId: photo_id, sessionId: session_id, createdAt, startedAt, heardAt: 0, seq })
    }
  }
  /** As many that wait as one page has, the first of them first. */
  const readNext = ({ jobs, total }: PendingRead, places: Places) => {
    const before = edge
    edge = undefined
    isShort = false
    read(jobs, places)
    if (total <= jobs.length) return
    const ends = [before, edge ?? pending().at(-1)].flatMap((row) => row ?? [])
    edge = ends.sort(byTurn).at(-1)
  }
  return {
    reset({ processing, pending: waiting }: JobsRead) {
      Object.values(groups).forEach((group) => group.clear())
      edge = undefined
      floor = least([processing, waiting].flatMap((part) => part?.places ?? []))
      if (processing) read(processing.value, processing.places)
      if (waiting) readNext(waiting.value, waiting.places)
    },
    /** Of two reads the later one knows better. */
    read,
    readNext,
    /** Whether it changed anything. */
    apply(event: LightwireEvent): boolean {
      if (event.type === 'session_deleted') {
        const gone = Object.values(groups).flatMap((group) =>
          [...group.values()].filter(({ sessionId }) => sessionId === event.session_id),
        )
        for (const { id } of gone) forget(id)
        return gone.length > 0
      }
      if (event.type === 'priority_changed') {
        const job = find(event.job_id)
        if (job) put({ ...job, priority: event.new_priority })
        else if (edge && event.new_priority <= edge.priority) isShort = true
        return job !== undefined
      }
      if (event.channel !== 'jobs') return false
      const before = find(event.job_id)
      if (before ? before.seq >= event.seq : !isAfter(floor, event)) return false
      const { job_id: id, photo_id: photoId, session_id: sessionId, seq } = event
      const row = { ...(before ?? unknownJob), id, photoId, sessionId, seq }
      const time = Date.parse(event.timestamp)
      switch (event.type) {
        case 'job_created':
          put({ ...row, status: 'pending', priority: event.priority, createdAt: time })
          break
        case 'job_started':
          put({
            ...row,
            status: 'processing',
            worker: event.worker,
            stage: '',
            progress: 0,
            startedAt: time,
            heardAt: time,
          })
          break
        case 'job_progress':
          put(progressed(row, event, time))
          break
        case 'job_completed':
          put({ ...row, status: 'completed', progress: 100, heardAt: time })
          break
        case 'job_failed':
          put({ ...row, status: 'failed', message: event.error_message, heardAt: time })
          break
        case 'job_cancelled':
          put({ ...row, status: 'cancelled', heardAt: time })
          break
        case 'job_requeued':
          put({ ...row, status: 'pending', worker: '', stage: '', progress: 0, startedAt: 0 })
          break
      }
      return true
    },
    processing: () => [...groups.processing.values()],
    /** The next one first. */
    pending,
    /** Whether more of those that wait should be read. */
    get isShort() {
      return isShort || (edge !== undefined && groups.pending.size < PENDING_LOW)
    },
    over: () => [...groups.over.values()].reverse(),
  }
}

const unknownJob = {
  status: 'pending',
  stage: '',
  progress: 0,
  message: '',
  worker: '',
  priority: 5,
  createdAt: 0,
  startedAt: 0,
  heardAt: 0,
} as const

/** As the server hands them out. */
function byTurn(a: JobRow, b: JobRow): number {
  return a.priority - b.priority || a.createdAt - b.createdAt
}

/** Milliseconds that are left when it goes on as it did so far; undefined while that is a guess. */
export function timeLeft({ progress, startedAt, heardAt }: JobRow): number | undefined {
  const elapsed = heardAt - startedAt
  if (startedAt === 0 || elapsed < 500 || progress < 1 || progress >= 100) return undefined
  return (elapsed * (100 - progress)) / progress
}
