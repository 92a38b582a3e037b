/** How many events each channel had in the last minute, in sixty buckets of a second. */
import type { Channel } from '../protocol/events.ts'

const SECONDS = 60

interface Ring {
  readonly buckets: Uint32Array
  /** Second that the newest bucket counts. */
  second: number
  total: number
}

export function createRates(monotonicMs: () => number) {
  const rings = new Map<Channel, Ring>()

  /** Empties the buckets of the seconds that have passed without an event. */
  function advance(ring: Ring): void {
    const second = Math.floor(monotonicMs() / 1000)
    const passed = Math.min(SECONDS, second - ring.second)
    for (let step = 1; step <= passed; step += 1) {
      const index = (ring.second + step) % SECONDS
      ring.total -= ring.buckets[index] ?? 0
      ring.buckets[index] = 0
    }
    ring.second = second
  }

  return {
    count(channel: Channel): void {
      let ring = rings.get(channel)
      if (!ring) {
        ring = { buckets: new Uint32Array(SECONDS), second: Math.floor(monotonicMs() / 1000), total: 0 }
        rings.set(channel, ring)
      }
      advance(ring)
      const index = ring.second % SECONDS
      ring.buckets[index] = (ring.buckets[index] ?? 0) + 1
      ring.total += 1
    },

    /** Events of the last 60 seconds, to the second. */
    lastMinute(channel: Channel): number {
      const ring = rings.get(channel)
      if (!ring) return 0
      advance(ring)
      return ring.total
    },
  }
}
