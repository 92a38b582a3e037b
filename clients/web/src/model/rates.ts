/** Numbers over time: what the server samples of itself and its machine, and the rate of now by the journal's positions. */
import { placesOf } from './slice.ts'

/** An hour, at five seconds each. */
const SAMPLES_MAX = 720

/** As `resource_sample` and `GET /api/system/load` give it. */
export interface SampleRead {
  readonly timestamp: string
  readonly cpu: number | null
  readonly memory: number | null
  readonly disk: number | null
  readonly events_per_second: Readonly<Record<string, number>>
}

export interface Sample {
  /** Seconds since the epoch. */
  readonly time: number
  /** Events per second, of all channels. */
  readonly rate: number
  readonly cpu: number | null
  readonly memory: number | null
  readonly disk: number | null
}

export function createRates() {
  let samples: Sample[] = []
  let before: { readonly total: number; readonly timeMs: number; readonly epoch: string } | undefined
  let rate = 0

  return {
    /** Looks how far the page is; what batches left out counts too. */
    tick(cursor: string | null, timeMs: number) {
      if (cursor === null) return
      const epoch = cursor.split(':', 1)[0] ?? ''
      const total = sum(placesOf(cursor).values())
      // Another journal, or a snapshot that begins elsewhere, counts nothing.
      if (before?.epoch === epoch && timeMs > before.timeMs)
        rate = Math.max(0, ((total - before.total) * 1000) / (timeMs - before.timeMs))
      before = { total, timeMs, epoch }
    },
    /** Nothing is known of now. */
    pause() {
      before = undefined
      rate = 0
    },
    reset: (read: readonly SampleRead[]) => void (samples = read.slice(-SAMPLES_MAX).map(sampleOf)),
    add(read: SampleRead) {
      const sample = sampleOf(read)
      // One that was read already may come again.
      if (sample.time <= (samples.at(-1)?.time ?? 0)) return
      samples = [...samples.slice(1 - SAMPLES_MAX), sample]
    },
    get rate() {
      return rate
    },
    get last() {
      return samples.at(-1)
    },
    samples: (): readonly Sample[] => samples,
  }
}

function sampleOf({ timestamp, cpu, memory, disk, events_per_second }: SampleRead): Sample {
  return {
    time: Date.parse(timestamp) / 1000,
    rate: sum(Object.values(events_per_second)),
    cpu,
    memory,
    disk,
  }
}

function sum(numbers: Iterable<number>): number {
  let total = 0
  for (const number of numbers) total += number
  return total
}
