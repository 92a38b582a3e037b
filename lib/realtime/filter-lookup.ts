/** The filters of one channel, found by the values that an event has, so that most of them are never looked at. */
import type { Condition, Fields, Filter, Scalar } from '../protocol/filter.ts'

/** Fields that tell events apart best come first; by any other field, or none of these operators, filters are tried in turn. */
const SELECTIVE = ['job_id', 'photo_id', 'session_id', 'stage', 'worker', 'preset_name', 'type']

export interface Filtered {
  readonly filter: Filter
}

export class FilterLookup<T extends Filtered> {
  private readonly byField = new Map<string, Map<unknown, Set<T>>>()
  private readonly others = new Set<T>()

  add(entry: T): void {
    const place = placeOf(entry.filter)
    if (!place) return void this.others.add(entry)
    const byValue = this.byField.get(place.field) ?? new Map<unknown, Set<T>>()
    this.byField.set(place.field, byValue)
    for (const value of place.values) byValue.set(value, (byValue.get(value) ?? new Set<T>()).add(entry))
  }

  delete(entry: T): void {
    const place = placeOf(entry.filter)
    if (!place) return void this.others.delete(entry)
    const byValue = this.byField.get(place.field)
    for (const value of place.values) {
      const entries = byValue?.get(value)
      entries?.delete(entry)
      if (entries?.size === 0) byValue?.delete(value)
    }
    if (byValue?.size === 0) this.byField.delete(place.field)
  }

  get isEmpty(): boolean {
    return this.byField.size === 0 && this.others.size === 0
  }

  /** The entries whose filter an event passes, each evaluated at most once. */
  *matching(fields: Fields): Generator<T> {
    for (const [field, byValue] of this.byField) {
      for (const entry of byValue.get(fields[field]) ?? []) if (entry.filter.matches(fields)) yield entry
    }
    for (const entry of this.others) if (entry.filter.matches(fields)) yield entry
  }
}

/** Where a filter is kept: under each value of one field that it wants equal, or nowhere. */
function placeOf({ conditions }: Filter): { field: string; values: readonly Scalar[] } | undefined {
  const equal = conditions.filter(({ op }) => op === 'eq' || op === 'in')
  for (const field of SELECTIVE) {
    const found = equal.find((condition) => condition.field === field)
    if (found) return { field, values: valuesOf(found) }
  }
  return undefined
}

function valuesOf({ value }: Condition): readonly Scalar[] {
  return typeof value === 'object' && value !== null ? value : [value]
}
