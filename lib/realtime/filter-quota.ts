/** How many distinct filters each subject uses: a bound, so that one client cannot take the evaluation of all. */
import { Refusal } from '../protocol/refusals.ts'

/** PROTOCOL §4. */
const FILTERS_PER_SUBJECT_MAX = 32

export type FilterQuota = ReturnType<typeof createFilterQuota>

export function createFilterQuota() {
  /** Per subject and filter the subscriptions that use it. */
  const uses = new Map<string, Map<string, number>>()
  return {
    /** @throws {Refusal} `too_many_subscriptions` */
    require(subject: string, key: string): void {
      const own = uses.get(subject)
      if (!own || own.has(key) || own.size < FILTERS_PER_SUBJECT_MAX) return
      const sentence = `${FILTERS_PER_SUBJECT_MAX} different filters are in use by this subject already`
      throw new Refusal('too_many_subscriptions', sentence)
    },

    /** A subscription with this filter began (1) or ended (−1). */
    count(subject: string, key: string, by: 1 | -1): void {
      const own = uses.get(subject) ?? new Map<string, number>()
      const now = (own.get(key) ?? 0) + by
      if (now > 0) own.set(key, now)
      else own.delete(key)
      if (own.size > 0) uses.set(subject, own)
      else uses.delete(subject)
    },
  }
}
