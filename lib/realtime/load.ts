/** The load: what machine and server have in use, sampled now and then, kept for a while and told to who follows it. */
import type * as z from 'zod'
import { channels, type Channel } from '../protocol/events.ts'
import type { serverMessages } from '../protocol/server-messages.ts'

/** An hour, at five seconds each. */
const SAMPLES_MAX = 720

export type LoadSample = Omit<z.output<(typeof serverMessages)['resource_sample']>, 'type'>

interface LoadOptions {
  /** Percent in use; what could not be measured is left out. */
  readonly sample: () => Promise<{
    readonly cpu?: number
    readonly memory?: number
    readonly disk?: number
  }>
  readonly census: () => {
    readonly connections: readonly { readonly unsentBytes: number }[]
    readonly readers: number
    readonly published: ReadonlyMap<Channel, number>
    readonly delivered: ReadonlyMap<Channel, number>
  }
  readonly tell: (message: { readonly type: 'resource_sample' } & LoadSample) => void
  readonly node: string
  readonly now: () => Date
  readonly monotonicMs: () => number
}

/** Counts as they were at a time; rates are what was added since. */
interface Mark {
  readonly ms: number
  readonly published: ReadonlyMap<Channel, number>
  readonly delivered: number
}

export function createLoad({ sample, census, tell, node, now, monotonicMs }: LoadOptions) {
  const samples: LoadSample[] = []
  const mark = (): Mark => {
    const { published, delivered } = census()
    return { ms: monotonicMs(), published: new Map(published), delivered: sum(delivered.values()) }
  }
  let before = mark()

  return {
    /** Oldest first. */
    samples: (): readonly LoadSample[] => samples,

    /** To be called at even intervals. */
    async take(): Promise<void> {
      const { cpu, memory, disk } = await sample()
      const { connections, readers } = census()
      const after = mark()
      const seconds = Math.max(0.001, (after.ms - before.ms) / 1000)
      const rates = channels.flatMap((channel): [Channel, number][] => {
        const added = (after.published.get(channel) ?? 0) - (before.published.get(channel) ?? 0)
        return added === 0 ? [] : [[channel, rounded(added / seconds)]]
      })
      const taken = {
        timestamp: now().toISOString(),
        node,
        cpu: percent(cpu),
        memory: percent(memory),
        disk: percent(disk),
        rss_bytes: process.memoryUsage.rss(),
        connections: connections.length,
        readers,
        queued_bytes: sum(connections.values().map(({ unsentBytes }) => unsentBytes)),
        events_per_second: Object.fromEntries(rates),
        delivered_per_second: rounded((after.delivered - before.delivered) / seconds),
      }
      before = after
      samples.push(taken)
      if (samples.length > SAMPLES_MAX) samples.shift()
      tell({ type: 'resource_sample', ...taken })
    },
  }
}

function sum(numbers: Iterable<number>): number {
  let total = 0
  for (const number of numbers) total += number
  return total
}

const rounded = (value: number) => Math.round(value * 100) / 100
const percent = (value: number | undefined) => (value === undefined ? null : rounded(value))
