/** The shapes of jobs: what the routes take and answer. */
import * as z from 'zod'
import { timestamp } from '../protocol/server-messages.ts'
import { jobStatuses } from './counters.ts'
import { pageQuery } from './paging.ts'
import { numberParam, objectField, rowId, rowIdParam, text } from './values.ts'

/** 1 is first. */
export const priority = z.int().min(1).max(9)
const PRIORITY_DEFAULT = 5
export const LEASE_SECONDS_DEFAULT = 60
/** An hour: a worker that is silent for longer is gone. */
export const LEASE_SECONDS_MAX = 3600

export const jobId = z.string().regex(/^[0-9a-f]{32}$/, 'expected 32 hexadecimal digits')
const object = z.record(z.string(), z.unknown())
/** The claim's number; an older one is refused, so that a worker that lost its lease changes nothing. */
const attempt = z.int().min(1).optional()

export const jobSchema = z
  .object({
    id: jobId,
    photo_id: rowId,
    session_id: rowId.nullable(),
    priority,
    config: object,
    status: z.enum(jobStatuses),
    stage: z.string(),
    progress: z.number(),
    message: z.string(),
    result: object,
    error_message: z.string(),
    error_details: object,
    attempts: z.int(),
    worker: z.string(),
    lease_expires_at: timestamp.nullable(),
    created_at: timestamp,
    started_at: timestamp.nullable(),
    completed_at: timestamp.nullable(),
  })
  .meta({ id: 'Job' })

export const jobInput = z
  .object({ photo_id: rowId, config: objectField.default({}), priority: priority.default(PRIORITY_DEFAULT) })
  .meta({ id: 'JobInput' })

export const claimInput = z
  .object({
    worker: text(200).min(1),
    lease_seconds: z.int().min(1).max(LEASE_SECONDS_MAX).default(LEASE_SECONDS_DEFAULT),
  })
  .meta({ id: 'ClaimInput' })

export const progressInput = z
  .object({
    stage: text(200),
    progress: z.number().min(0).max(100),
    message: text(2000).default(''),
    attempt,
  })
  .meta({ id: 'ProgressInput' })

export const completeInput = z
  .object({ result: objectField.default({}), attempt })
  .meta({ id: 'CompleteInput' })

export const failInput = z
  .object({
    error_message: text(4000),
    error_details: objectField.default({}),
    retry: z.boolean().default(false),
    attempt,
  })
  .meta({ id: 'FailInput' })

export const jobPatch = z.object({ priority, reason: text(500).default('') }).meta({ id: 'JobPatch' })

export const jobQuery = z.strictObject({
  ...pageQuery(['created_at', 'completed_at', 'priority']),
  status: z.enum(jobStatuses).optional(),
  photo_id: rowIdParam.optional(),
  priority: numberParam(priority).optional(),
})

export type Job = z.output<typeof jobSchema>
