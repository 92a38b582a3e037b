/** Shapes that several routes share. */
import * as z from 'zod'
import { rowIdParam } from '../domain/values.ts'

export const idParams = z.object({ id: rowIdParam })

/** `{<plural>: […], count, total, offset, limit}`; `count` is this page's. */
export function pageOf<S extends z.ZodType>(plural: string, item: S) {
  const whole = z.int().min(0)
  return z.object({ [plural]: z.array(item), count: whole, total: whole, offset: whole, limit: whole })
}
