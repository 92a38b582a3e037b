/** What a check of stored data found: sentences, of which only the first are kept. */

const KEPT_MAX = 10

export interface Findings {
  add(sentence: string): void
  /** The first sentences, and how many more there are. */
  faults(): readonly string[]
}

export function createFindings(): Findings {
  const kept: string[] = []
  let more = 0
  return {
    add(sentence) {
      if (kept.length < KEPT_MAX) kept.push(sentence)
      else more += 1
    },
    faults: () => (more === 0 ? kept : [...kept, `and ${more} more`]),
  }
}
