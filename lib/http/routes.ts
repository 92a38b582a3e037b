/** All routes, in the order of openapi.yaml. */
import { approvalRoutes } from './approval.ts'
import { eventRoutes, type EventServices } from './events.ts'
import { exportRoutes } from './exports.ts'
import { jobRoutes, type JobSignal } from './jobs.ts'
import { managementRoutes, type ManagementServices } from './management.ts'
import { photoRoutes, thumbnailRoutes, type ThumbnailServices } from './photos.ts'
import { pollingRoutes, type PollingServices } from './polling.ts'
import type { Route } from './route.ts'
import { sessionRoutes } from './sessions.ts'
import { systemRoutes, type SystemServices } from './system.ts'
import { traceRoutes, type TraceServices } from './traces.ts'

export interface RouteServices {
  readonly photos: ThumbnailServices
  readonly pendingJobs: JobSignal
  readonly monotonicMs: () => number
  readonly system: SystemServices
  readonly events: EventServices
  readonly polling: PollingServices
  readonly management: ManagementServices & TraceServices
}

export function allRoutes(services: RouteServices): readonly Route[] {
  const { photos, pendingJobs, monotonicMs, system, events, polling, management } = services
  return [
    ...sessionRoutes,
    ...photoRoutes,
    ...thumbnailRoutes(photos),
    ...jobRoutes(pendingJobs, monotonicMs),
    ...approvalRoutes,
    ...exportRoutes,
    ...systemRoutes(system),
    ...eventRoutes(events),
    ...pollingRoutes(polling),
    ...managementRoutes(management),
    ...traceRoutes(management),
  ]
}
