/** Sliding windows: in no span of a window's length are more events admitted than its limit. */
import type { Rate } from '../setting-values.ts'

/** Up to this limit every event is remembered by itself. */
const EXACT_MAX = 256
/** With a larger limit the events of up to a 64th of the window share a run, which ages as its last event does. */
const RUNS = 64
/** Events of one key that wait in its first piece of memory; it doubles as needed. */
const FIRST_RUNS = 4
/** Keys of one limiter; beyond it those not heard of for longest are forgotten. */
const KEYS_MAX = 100_000

/** Where a key stands. */
export interface Standing {
  readonly admitted: boolean
  /** How many more would be admitted now. */
  readonly remaining: number
  /** Milliseconds until what is counted becomes less: where nothing remains, until another is admitted. */
  readonly waitMs: number
}

/**
 * The log of one key: times, and how many events each stands for, in a ring. Never admits too many; with a limit over
 * 256 an event may count for up to a 64th of the window longer than it has to. Times are monotonic milliseconds.
 */
export class SlidingWindow {
  private times = new Float64Array(FIRST_RUNS)
  private counts = new Uint32Array(FIRST_RUNS)
  private head = 0
  private length = 0
  private used = 0
  private runStartMs = 0
  private readonly runMs: number

  constructor(private readonly rate: Rate) {
    this.runMs = rate.limit <= EXACT_MAX ? 0 : rate.windowMs / RUNS
  }

  /** Counts an event, unless that would be one too many: whether it is admitted. */
  take(nowMs: number): boolean {
    this.age(nowMs)
    if (this.used >= this.rate.limit) return false
    this.used += 1
    if (this.length === 0 || nowMs - this.runStartMs > this.runMs) this.beginRun(nowMs)
    const last = (this.head + this.length - 1) % this.times.length
    this.times[last] = nowMs
    this.counts[last] = (this.counts[last] ?? 0) + 1
    return true
  }

  standing(nowMs: number, admitted = true): Standing {
    this.age(nowMs)
    const { limit, windowMs } = this.rate
    const waitMs = this.length === 0 ? windowMs : (this.times[this.head] ?? 0) + windowMs - nowMs
    return { admitted, remaining: limit - this.used, waitMs }
  }

  /** Whether nothing is counted any more: then it need not be kept. */
  isIdle(nowMs: number): boolean {
    this.age(nowMs)
    return this.length === 0
  }

  private age(nowMs: number): void {
    const gone = nowMs - this.rate.windowMs
    while (this.length > 0 && (this.times[this.head] ?? 0) <= gone) {
      this.used -= this.counts[this.head] ?? 0
      this.counts[this.head] = 0
      this.head = (this.head + 1) % this.times.length
      this.length -= 1
    }
  }

  private beginRun(nowMs: number): void {
    this.runStartMs = nowMs
    if (this.length === this.times.length) this.grow()
    this.length += 1
  }

  private grow(): void {
    const times = new Float64Array(this.length * 2)
    const counts = new Uint32Array(this.length * 2)
    for (let index = 0; index < this.length; index += 1) {
      const from = (this.head + index) % this.length
      times[index] = this.times[from] ?? 0
      counts[index] = this.counts[from] ?? 0
    }
    this.times = times
    this.counts = counts
    this.head = 0
  }
}

interface LimiterOptions {
  readonly rate: Rate
  readonly monotonicMs: () => number
  readonly keysMax?: number
}

export type Limiter = ReturnType<typeof createLimiter>

/** A window per key, made when it is needed and forgotten when it is idle. */
export function createLimiter({ rate, monotonicMs, keysMax = KEYS_MAX }: LimiterOptions) {
  // Two generations: what was not touched for a whole one is idle and goes at once, without a look at each. (Taking the
  // oldest out of one Map costs 50 µs at 100,000 keys: the places of those that went before it are walked again.)
  let young = new Map<string, SlidingWindow>()
  let old = new Map<string, SlidingWindow>()
  let bornMs = monotonicMs()

  function nextGeneration(nowMs: number): void {
    old = young
    young = new Map()
    bornMs = nowMs
  }

  function forgetIdle(nowMs: number): void {
    if (nowMs - bornMs >= rate.windowMs) nextGeneration(nowMs)
  }

  /** The window of a key about to be counted. */
  function keep(key: string, nowMs: number): SlidingWindow {
    const found = young.get(key)
    if (found) return found
    const window = old.get(key) ?? new SlidingWindow(rate)
    old.delete(key)
    if (young.size >= keysMax / 2) nextGeneration(nowMs)
    young.set(key, window)
    return window
  }

  return {
    rate,

    /** Counts an event of the key, unless that would be one too many. */
    take(key: string): Standing {
      const nowMs = monotonicMs()
      forgetIdle(nowMs)
      const refused = (young.get(key) ?? old.get(key))?.standing(nowMs, false)
      // What is refused leaves no trace, or a flood would keep its key alive.
      if (refused?.remaining === 0) return refused
      const window = keep(key, nowMs)
      window.take(nowMs)
      return window.standing(nowMs)
    },

    /** Where the key stands, without counting anything. */
    standing(key: string): Standing {
      const found = (young.get(key) ?? old.get(key))?.standing(monotonicMs())
      return found ?? { admitted: true, remaining: rate.limit, waitMs: rate.windowMs }
    },

    /** Forgets keys that count nothing any more, at the latest after two windows; for now and then. */
    forgetIdle: () => forgetIdle(monotonicMs()),

    size: () => young.size + old.size,
  }
}
