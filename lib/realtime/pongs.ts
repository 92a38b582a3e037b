/** Pongs that are owed: each waits until everything committed when its ping was read has been sent. */
import type { Positions } from '../protocol/cursor.ts'
import { Refusal } from '../protocol/refusals.ts'

/** Pings that wait for their pong at once. */
const PONGS_MAX = 32

export type MessageId = string | number | undefined

export class Pongs {
  private readonly owed: { readonly id: MessageId; readonly target: Positions }[] = []

  get isEmpty(): boolean {
    return this.owed.length === 0
  }

  /** @throws {Refusal} `rate_limited` */
  add(id: MessageId, target: Positions, retryAfterMs: number): void {
    if (this.owed.length >= PONGS_MAX)
      throw new Refusal('rate_limited', `${PONGS_MAX} pings wait for their pong`, { retryAfterMs })
    this.owed.push({ id, target })
  }

  /** Answers those whose target is reached, in their order. */
  settle(isReached: (target: Positions) => boolean, answer: (id: MessageId) => void): void {
    for (let first = this.owed[0]; first && isReached(first.target); first = this.owed[0]) {
      this.owed.shift()
      answer(first.id)
    }
  }
}
