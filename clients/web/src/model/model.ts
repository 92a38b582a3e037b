/** Everything the page knows, and the one place where events change it: constant work for each. */
import type { LightwireEvent } from '../../../typescript/src/events.ts'
import type { Api } from '../api.ts'
import type { Part, Store } from '../store.ts'
import { createAlerts } from './alerts.ts'
import { createApproval, type PhotoRead } from './approval.ts'
import { createCounts } from './counts.ts'
import { createFeed } from './feed.ts'
import { createJobs } from './jobs.ts'
import type { Loaded } from './load.ts'
import { createNames } from './names.ts'
import { createNextJobs } from './next-jobs.ts'
import { createRates } from './rates.ts'
import { createSessions } from './sessions.ts'

export type Model = ReturnType<typeof createModel>

/** @param ended of the life of the page that this is for */
export function createModel(api: Api, touch: Store['touch'], ended: AbortSignal) {
  const sessions = createSessions()
  const jobs = createJobs()
  const nextJobs = createNextJobs({ jobs, read: api.get, onChange: () => touch('jobs'), ended })
  const counts = createCounts()
  const alerts = createAlerts(localStorage)
  const rates = createRates()
  const approval = createApproval({ read: api.get, onChange: () => touch('approval'), ended })
  const names = createNames({
    read: async (id) => (await api.get<PhotoRead>(`/api/photos/${id}`)).value.file_name,
    onChange: () => touch('names'),
    ended,
  })
  const feed = createFeed(names.of)
  const parts = Object.entries({
    sessions,
    jobs: nextJobs,
    counts,
    feed,
    alerts,
    approval,
    names,
  }) as [Part, { apply(event: LightwireEvent): boolean }][]
  let isLoaded = false

  return {
    sessions,
    jobs,
    counts,
    feed,
    alerts,
    rates,
    approval,
    names,
    get isLoaded() {
      return isLoaded
    },
    reset(loaded: Loaded) {
      isLoaded = true
      if (loaded.sessions) sessions.reset(loaded.sessions.value, loaded.sessions.places)
      nextJobs.reset(loaded.jobs)
      const told = loaded.history.value.findLast(({ type }) => type === 'system_status')
      const status = told?.type === 'system_status' ? told.status : undefined
      // What was not read is known from events alone, those after the history.
      const { history, queue, approval: waiting } = loaded
      counts.reset(queue?.value, (queue ?? history).places, status)
      approval.reset(waiting?.value, (waiting ?? history).places)
      for (const [id, name] of loaded.names) names.put(id, name)
      feed.reset(loaded.history.value, loaded.history.places)
      alerts.reset(loaded.alerts.value, loaded.alerts.places)
      rates.pause()
      rates.reset(loaded.samples)
      for (const [part] of parts) touch(part)
      touch('link')
    },
    apply(event: LightwireEvent) {
      for (const [part, { apply }] of parts) if (apply(event)) touch(part)
    },
  }
}
