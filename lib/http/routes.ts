/** All routes, in the order of openapi.yaml. */
import { jobRoutes, type JobSignal } from './jobs.ts'
import { photoRoutes } from './photos.ts'
import type { Route } from './route.ts'
import { sessionRoutes } from './sessions.ts'
import { systemRoutes, type SystemServices } from './system.ts'

interface RouteServices {
  readonly pendingJobs: JobSignal
  readonly monotonicMs: () => number
  readonly system: SystemServices
}

export function allRoutes({ pendingJobs, monotonicMs, system }: RouteServices): readonly Route[] {
  return [...sessionRoutes, ...photoRoutes, ...jobRoutes(pendingJobs, monotonicMs), ...systemRoutes(system)]
}
