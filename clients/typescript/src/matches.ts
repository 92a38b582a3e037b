/** What a `where` means (PROTOCOL §4), for events that came because somebody else wanted more than this. */
import type { Condition, SubscribeOptions } from './types.ts'

type Operators = Exclude<Condition, string | number | boolean | null>

const comparisons: Readonly<Record<string, (own: never, limit: never) => boolean>> = {
  eq: (own, limit) => own === limit,
  ne: (own, limit) => own !== limit,
  in: (own, list: readonly unknown[]) => list.includes(own),
  gt: (own, limit) => typeof own === typeof limit && own > limit,
  gte: (own, limit) => typeof own === typeof limit && own >= limit,
  lt: (own, limit) => typeof own === typeof limit && own < limit,
  lte: (own, limit) => typeof own === typeof limit && own <= limit,
}

export function matches(where: SubscribeOptions['where'], event: object): boolean {
  return Object.entries(where ?? {}).every(([field, condition]) => {
    const isThere = Object.hasOwn(event, field)
    // The catalogue's fields, whatever they are.
    const own = (event as Readonly<Record<string, unknown>>)[field]
    if (typeof condition !== 'object' || condition === null) return isThere && own === condition
    return Object.entries(condition satisfies Operators).every(([operator, limit]) =>
      operator === 'exists'
        ? isThere === limit
        : isThere && (comparisons[operator]?.(own as never, limit as never) ?? false),
    )
  })
}
