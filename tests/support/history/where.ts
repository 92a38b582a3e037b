/** Filters and state keys as PROTOCOL §3 and §4 say, written a second time: the server's own are what is judged. */
import type { Row } from './record.ts'

export type Where = Readonly<Record<string, unknown>>

/** Whether an event passes a flat AND of conditions; without one everything does. */
export function passes(event: Row, where: Where | undefined): boolean {
  for (const field in where) {
    const wanted = where[field]
    const conditions =
      typeof wanted === 'object' && wanted !== null ? Object.entries(wanted) : [['eq', wanted]]
    for (const [operator, value] of conditions)
      if (!holds(event, field, String(operator), value)) return false
  }
  return true
}

function holds(event: Row, field: string, operator: string, value: unknown): boolean {
  const own = event[field]
  if (operator === 'exists') return (own !== undefined) === value
  if (own === undefined) return false
  if (operator === 'eq') return own === value
  if (operator === 'ne') return own !== value
  if (operator === 'in') return (value as unknown[]).some((one) => one === own)
  const order = orderOf(own, value)
  if (order === undefined) return false
  if (operator === 'gt') return order > 0
  if (operator === 'gte') return order >= 0
  return operator === 'lt' ? order < 0 : order <= 0
}

/** Numbers among numbers, texts among texts; else there is no order. */
function orderOf(own: unknown, value: unknown): number | undefined {
  if (typeof own === 'number' && typeof value === 'number') return own - value
  if (typeof own !== 'string' || typeof value !== 'string') return undefined
  return own === value ? 0 : own > value ? 1 : -1
}

/** Of which field's value each state event says the newest; '' where there is one for all. */
const stateOf: Readonly<Record<string, string>> = {
  job_progress: 'job_id',
  session_updated: 'session_id',
  system_status: '',
  queue_status: '',
  approval_queue_updated: '',
}

/** The same for events of which the newest says all; undefined for a fact. */
export function stateKeyOf(event: Row): string | undefined {
  const type = String(event['type'])
  const field = stateOf[type]
  return field === undefined ? undefined : `${type} ${String(event[field])}`
}
