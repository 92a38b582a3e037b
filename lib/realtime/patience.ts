/** Patience: how many messages a client may send, and how much of what is not acceptable, before its connection ends. */
import { Refusal, type RefusalCode } from '../protocol/refusals.ts'
import { SlidingWindow } from '../access/limits.ts'
import type { Rate } from '../setting-values.ts'

/** After this many unacceptable messages in a row the client is not speaking the protocol. */
const FAULTS_MAX = 20
/** After this many refusals within one window it does not slow down when it is told to (PROTOCOL §2). */
const RATE_REFUSALS_MAX = 3

export class Patience {
  private faults = 0
  private messages: SlidingWindow | undefined
  private refusals: SlidingWindow | undefined

  /** @param rate of messages; undefined is no limit */
  constructor(private readonly rate: Rate | undefined) {}

  /** Counts a message; `rate_limited` when it is one too many. */
  admit(nowMs: number): Refusal | undefined {
    if (!this.rate) return undefined
    this.messages ??= new SlidingWindow(this.rate)
    if (this.messages.take(nowMs)) return undefined
    const { limit, windowMs } = this.rate
    const sentence = `more than ${limit} messages within ${windowMs / 1000} s; this one was not acted on`
    const { waitMs } = this.messages.standing(nowMs)
    return new Refusal('rate_limited', sentence, { retryAfterMs: Math.ceil(waitMs) })
  }

  /** Something was acceptable. */
  regained(): void {
    this.faults = 0
  }

  /** Counts a refusal; where it was one too many, the reason why the connection ends. */
  lost(code: RefusalCode, nowMs: number): string | undefined {
    if (code === 'invalid_message') {
      this.faults += 1
      return this.faults >= FAULTS_MAX ? `${FAULTS_MAX} unacceptable messages in a row` : undefined
    }
    if (code !== 'rate_limited' || !this.rate) return undefined
    this.refusals ??= new SlidingWindow({ ...this.rate, limit: RATE_REFUSALS_MAX - 1 })
    if (this.refusals.take(nowMs)) return undefined
    return `${RATE_REFUSALS_MAX} messages over the limit of ${this.rate.limit} in ${this.rate.windowMs / 1000} s`
  }

  /** Forgets what counts no more: an idle connection costs nothing. */
  forgetIdle(nowMs: number): void {
    if (this.messages?.isIdle(nowMs)) this.messages = undefined
    if (this.refusals?.isIdle(nowMs)) this.refusals = undefined
  }
}
