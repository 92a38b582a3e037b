/** Routes about the server itself: is it healthy, is it ready, what is it. */
import * as z from 'zod'
import { queueState } from '../domain/counters.ts'
import { announceStatus, errorInput, reportError, statusInput } from '../domain/system.ts'
import { serverMessages } from '../protocol/server-messages.ts'
import type { LoadSample } from '../realtime/load.ts'
import { route, type Route } from './route.ts'

const tag = 'system'
const checkSchema = z.enum(['ok', 'failing'])
const healthSchema = z.object({
  status: z.enum(['healthy', 'degraded', 'unhealthy']),
  checks: z.object({ database: checkSchema, writer: checkSchema }),
})
const count = z.int().min(0)
const queueSchema = z
  .object({ pending: count, processing: count, completed: count, failed: count, total: count })
  .meta({ id: 'Queue', description: 'total counts all but the cancelled' })
const infoSchema = z.object({
  version: z.string(),
  uptime_seconds: z.number(),
  node_id: z.string(),
  limits: z.record(z.string(), z.number()),
  features: z.array(z.string()),
})

const loadSchema = z.object({
  interval_ms: count.meta({ description: '0: none are taken' }),
  samples: z
    .array(serverMessages.resource_sample.omit({ type: true }).meta({ id: 'ResourceSample' }))
    .readonly()
    .meta({ description: 'of the last hour, at five seconds each; oldest first' }),
})

export interface SystemServices {
  /** Rejects when the database does not answer. */
  readonly probeDatabase: () => Promise<unknown>
  /** Whether the last group of writes was stored. */
  readonly writerWorks: () => boolean
  readonly isReady: () => boolean
  readonly version: string
  readonly nodeId: string
  readonly uptimeMs: () => number
  /** Bounds that a client can meet, by name. */
  readonly limits: Readonly<Record<string, number>>
  readonly features: readonly string[]
  readonly sampleIntervalMs: number
  readonly loadSamples: () => readonly LoadSample[]
}

export function systemRoutes(services: SystemServices): readonly Route[] {
  return [
    route({
      method: 'get',
      path: '/api/system/health',
      summary: 'Whether database and writer work; 503 when unhealthy',
      tag,
      right: 'open',
      status: 200,
      answer: healthSchema,
      act: { probe: () => health(services) },
    }),
    route({
      method: 'get',
      path: '/api/system/ready',
      summary: 'Whether the server takes requests; 503 while it starts or stops',
      tag,
      right: 'open',
      status: 200,
      answer: z.object({ ready: z.boolean() }),
      act: {
        probe: () => {
          const ready = services.isReady()
          return Promise.resolve({ status: ready ? 200 : 503, body: { ready } })
        },
      },
    }),
    route({
      method: 'get',
      path: '/api/system/info',
      summary: 'Version, uptime, limits and features',
      tag,
      right: 'apiRead',
      status: 200,
      answer: infoSchema,
      act: { read: () => Promise.resolve(info(services)) },
    }),
    route({
      method: 'get',
      path: '/api/system/load',
      summary: 'What this node and its machine had in use; each new sample comes as a `resource_sample`',
      tag,
      right: 'apiRead',
      status: 200,
      answer: loadSchema,
      act: {
        run: (answering) =>
          answering.made({ interval_ms: services.sampleIntervalMs, samples: services.loadSamples() }),
      },
    }),
    route({
      method: 'post',
      path: '/api/system/status',
      summary: 'Announces a state of the system: paused, running, …',
      tag,
      right: 'apiWrite',
      body: statusInput,
      status: 200,
      answer: statusInput.meta({ id: 'SystemStatusAnnounced' }),
      act: {
        write(write, { body }) {
          announceStatus(write, body)
          return Promise.resolve(body)
        },
      },
    }),
    route({
      method: 'post',
      path: '/api/system/errors',
      summary: 'Reports an error that happened outside',
      tag,
      right: 'apiWrite',
      body: errorInput,
      status: 201,
      answer: errorInput.meta({ id: 'SystemErrorReported' }),
      act: {
        write(write, { body }) {
          reportError(write, body)
          return Promise.resolve(body)
        },
      },
    }),
    route({
      method: 'get',
      path: '/api/queue',
      summary: 'Jobs counted by status',
      tag: 'queue',
      right: 'apiRead',
      status: 200,
      answer: queueSchema,
      act: { read: (queries) => queueState(queries) },
    }),
  ]
}

type Health = z.output<typeof healthSchema>

/** Reads without writes are degraded; without the database nothing works. */
async function health({ probeDatabase, writerWorks }: SystemServices): Promise<{
  status: number
  body: Health
}> {
  const database = await probeDatabase().then(
    () => 'ok' as const,
    () => 'failing' as const,
  )
  const writer = writerWorks() ? ('ok' as const) : ('failing' as const)
  const status = database === 'failing' ? 'unhealthy' : writer === 'failing' ? 'degraded' : 'healthy'
  return { status: status === 'unhealthy' ? 503 : 200, body: { status, checks: { database, writer } } }
}

function info({ version, nodeId, uptimeMs, limits, features }: SystemServices): z.output<typeof infoSchema> {
  const uptime_seconds = Math.floor(uptimeMs() / 1000)
  return { version, uptime_seconds, node_id: nodeId, limits: { ...limits }, features: [...features] }
}
