/** The jobs that wait: when few are left of those that were read, the next ones are read. */
import type { LightwireEvent } from '../../../typescript/src/events.ts'
import type { Api } from '../api.ts'
import type { Jobs, JobsRead, PendingRead } from './jobs.ts'
import { isAfter, placesOf } from './slice.ts'

/** Between two reads. */
const PAUSE_MS = 250
/** After reads that failed, each time twice as long up to here. */
const RETRY_MAX_MS = 4000
const RECENT_MAX = 5000

/** As the server hands them out: by priority, then age. */
export const PENDING_PATH = '/api/jobs?status=pending&limit=100&sort=priority'

interface NextJobsOptions {
  readonly jobs: Jobs
  readonly read: Api['get']
  readonly onChange: () => void
  /** The life of the page that this is for. */
  readonly ended?: AbortSignal
}

export function createNextJobs({ jobs, read, onChange, ended }: NextJobsOptions) {
  let isReading = false
  let pauseMs = PAUSE_MS
  /** What came while they were being read: the answer may be older. Undefined where that is too much to keep. */
  let recent: LightwireEvent[] | undefined = []
  /** Counts resets: what a read before one brings is old. */
  let life = 0

  const pump = async (): Promise<void> => {
    if (isReading || ended?.aborted || !jobs.isShort) return
    isReading = true
    recent = []
    const mine = life
    try {
      const { value, cursor } = await read<PendingRead>(PENDING_PATH)
      if (mine === life && recent) {
        const places = placesOf(cursor)
        jobs.readNext(value, places)
        for (const event of recent) if (isAfter(places, event)) jobs.apply(event)
        onChange()
      }
      pauseMs = PAUSE_MS
    } catch {
      pauseMs = Math.min(2 * pauseMs, RETRY_MAX_MS)
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs))
    isReading = false
    void pump()
  }
  return {
    reset(read: JobsRead) {
      life += 1
      jobs.reset(read)
    },
    apply(event: LightwireEvent): boolean {
      if (isReading) recent?.push(event)
      if (recent && recent.length > RECENT_MAX) recent = undefined
      const changed = jobs.apply(event)
      void pump()
      return changed
    },
  }
}
