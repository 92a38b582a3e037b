/** Filters put together, one of several or both of two; what can be one plain filter becomes one. */
import { createFilter, type Filter, type Scalar } from './filter.ts'

/** What any of these matches; at least one is given. */
export function anyOf(filters: readonly Filter[]): Filter {
  const distinct = [...new Map(filters.map((filter) => [filter.key, filter])).values()]
  const [only, ...more] = distinct
  if (!only) throw new Error('any of no filters would be nothing')
  if (more.length === 0) return only
  const list = asOneList(distinct)
  if (list) return list
  const alternatives = distinct.toSorted((a, b) => (a.key < b.key ? -1 : 1))
  return {
    key: `any(${alternatives.map(({ key }) => key).join(' ')})`,
    conditions: [],
    isPlain: false,
    matches: (fields) => alternatives.some((filter) => filter.matches(fields)),
  }
}

/** What both match. */
export function bothOf(a: Filter, b: Filter): Filter {
  if (a.isPlain && b.isPlain) return createFilter([...a.conditions, ...b.conditions])
  const [first, second] = a.key < b.key ? [a, b] : [b, a]
  return {
    key: `both(${first.key} ${second.key})`,
    // Necessary, if not enough: an event is found by them.
    conditions: [...a.conditions, ...b.conditions],
    isPlain: false,
    matches: (fields) => first.matches(fields) && second.matches(fields),
  }
}

/** Filters that each want one field equal to something are one that wants it in a list. */
function asOneList(filters: readonly Filter[]): Filter | undefined {
  const conditions = filters.flatMap((filter) => (filter.isPlain ? filter.conditions : []))
  const [first] = conditions
  const alike = conditions.every(({ field, op }) => field === first?.field && (op === 'eq' || op === 'in'))
  if (!first || !alike || conditions.length !== filters.length) return undefined
  const values = new Map<string, Scalar>()
  for (const { value } of conditions) {
    for (const item of typeof value === 'object' && value !== null ? value : [value])
      values.set(JSON.stringify(item), item)
  }
  const sorted = [...values.keys()].sort().map((text) => values.get(text) ?? null)
  return createFilter([{ field: first.field, op: 'in', value: sorted }])
}
