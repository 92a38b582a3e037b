/** All routes, in the order of openapi.yaml. */
import { approvalRoutes } from './approval.ts'
import { eventRoutes } from './events.ts'
import { exportRoutes } from './exports.ts'
import { jobRoutes, type JobSignal } from './jobs.ts'
import { managementRoutes, type ManagementServices } from './management.ts'
import { photoRoutes } from './photos.ts'
import type { Route } from './route.ts'
import { sessionRoutes } from './sessions.ts'
import { systemRoutes, type SystemServices } from './system.ts'

export interface RouteServices {
  readonly pendingJobs: JobSignal
  readonly monotonicMs: () => number
  readonly system: SystemServices
  readonly management: ManagementServices
}

export function allRoutes(services: RouteServices): readonly Route[] {
  const { pendingJobs, monotonicMs, system, management } = services
  return [
    ...sessionRoutes,
    ...photoRoutes,
    ...jobRoutes(pendingJobs, monotonicMs),
    ...approvalRoutes,
    ...exportRoutes,
    ...systemRoutes(system),
    ...eventRoutes,
    ...managementRoutes(management),
  ]
}
