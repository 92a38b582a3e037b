/** What is written down of the passes that a connection goes by: when it was heard and seen standing under each. */
import { closeCodeOf } from '../../../lib/protocol/refusals.ts'
import type { Message } from '../client.ts'
import type { Arrivals } from './arrivals.ts'
import type { Pass } from './operator-record.ts'
import type { Held } from './record.ts'

export const EXPIRED_CODE = closeCodeOf('unauthenticated')

/** A connection begins to go by a pass, if it has one. */
export function heldFrom(pass: Pass | undefined): Held[] {
  return pass ? [{ pass, heardMs: 0, stoodMs: 0 }] : []
}

/** Something came, under the pass that it went by last. */
export function noteHeard(held: readonly Held[], { earliestMs }: Arrivals, message?: Message): void {
  const last = held.at(-1)
  if (!last) return
  if (message?.type !== 'disconnect') last.heardMs = earliestMs
  else {
    last.isOver = true
    if (message['code'] === EXPIRED_CODE) last.expiredMs = Date.now()
  }
}

/** It has just ended: until now it stood, unless it had been told. */
export function noteStood(held: readonly Held[], { earliestMs }: Arrivals): void {
  const last = held.at(-1)
  if (last && !last.isOver) last.stoodMs = earliestMs
}
