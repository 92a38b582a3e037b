/** Warnings and errors that stay until somebody has seen them, over reloads too. */
import type { LightwireEvent } from '../../../typescript/src/events.ts'
import { keyOf, levelOf } from './feed.ts'
import { bound, isAfter, nowhere, type Places } from './slice.ts'

const KEPT_MAX = 200
const SEEN_MAX = 500
const STORED = 'lightwire-seen'

export const alarming = [
  'error_occurred',
  'resource_warning',
  'job_failed',
  'export_failed',
  'job_requeued',
] as const

export function createAlerts(storage: Pick<Storage, 'getItem' | 'setItem'>) {
  const unseen = new Map<string, LightwireEvent>()
  const seen = new Map<string, true>()
  for (const key of seenIn(storage)) seen.set(key, true)
  let places = nowhere

  const remember = () => {
    try {
      storage.setItem(STORED, JSON.stringify([...seen.keys()]))
    } catch {
      // A full or forbidden storage: they are shown again after a reload, which is the safe side.
    }
  }
  const add = (event: LightwireEvent): boolean => {
    const level = levelOf(event)
    if ((level !== 'error' && level !== 'warning') || seen.has(keyOf(event))) return false
    unseen.set(keyOf(event), event)
    bound(unseen, KEPT_MAX)
    return true
  }
  return {
    reset(read: readonly LightwireEvent[], at: Places) {
      places = at
      for (const event of read) add(event)
    },
    apply: (event: LightwireEvent): boolean => isAfter(places, event) && add(event),
    see(keys: readonly string[]) {
      for (const key of keys) {
        unseen.delete(key)
        seen.set(key, true)
      }
      bound(seen, SEEN_MAX)
      remember()
    },
    get count() {
      return unseen.size
    },
    list: (): LightwireEvent[] => [...unseen.values()].reverse(),
  }
}

function seenIn(storage: Pick<Storage, 'getItem'>): readonly string[] {
  try {
    const kept: unknown = JSON.parse(storage.getItem(STORED) ?? '[]')
    return Array.isArray(kept) ? kept.map(String) : []
  } catch {
    return []
  }
}
