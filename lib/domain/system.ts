/** What happens to the system as a whole: announced states, reported errors, resources that run short. */
import * as z from 'zod'
import type { Draft } from '../protocol/events.ts'
import type { Write } from '../store/write.ts'
import { objectField, rowId, text } from './values.ts'

export const statusInput = z
  .object({ status: text(100).min(1), details: objectField.default({}) })
  .meta({ id: 'SystemStatus' })

export const errorInput = z
  .object({
    error_type: text(200).min(1),
    error_message: text(4000),
    error_details: objectField.default({}),
    job_id: text(64).min(1).optional(),
    photo_id: rowId.optional(),
  })
  .meta({ id: 'SystemError' })

/** Percent from which on a resource runs short. */
const thresholds = { cpu: 80, memory: 85, disk: 90 } as const
/** Percent that a resource must fall below its threshold before it is warned of again. */
const RELIEF = 5

type Resource = keyof typeof thresholds
/** Percent in use; what could not be measured is left out. */
export type ResourceUse = Readonly<Partial<Record<Resource, number>>>

export function announceStatus(write: Write, data: z.output<typeof statusInput>): void {
  write.emit({ type: 'system_status', data })
}

export function reportError(write: Write, data: z.output<typeof errorInput>): void {
  write.emit({ type: 'error_occurred', data })
}

/** A task that measures and commits a warning per crossing; the next only after some relief. */
export function createResourceWatch(
  sample: () => Promise<ResourceUse>,
  runWrite: (run: (write: Write) => Promise<void>) => Promise<unknown>,
): () => Promise<void> {
  const warned = new Set<Resource>()
  return async () => {
    const use = await sample()
    for (const resource of Object.keys(thresholds) as Resource[]) {
      const current = use[resource]
      const threshold = thresholds[resource]
      if (current === undefined) continue
      if (current < threshold - RELIEF) warned.delete(resource)
      if (current < threshold || warned.has(resource)) continue
      await runWrite(async (write) => write.emit(warning(resource, current, threshold)))
      // Only now: a warning that could not be stored is given again.
      warned.add(resource)
    }
  }
}

function warning(resource_type: Resource, current: number, threshold: number): Draft {
  const current_value = Math.round(current * 100) / 100
  const message = `${resource_type} is at ${current_value} %`
  return { type: 'resource_warning', data: { resource_type, current_value, threshold, message } }
}
