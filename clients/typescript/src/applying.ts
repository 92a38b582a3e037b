/** Events as they arrive, in order to whoever handles them: each once, and what is missing is asked for. */
import type { Channel, LightwireEvent } from './events.ts'
import type { Batch, Positions, Verdict } from './positions.ts'
import type { Message } from './types.ts'

interface ApplyingOptions {
  readonly positions: Positions
  readonly subscriptions: {
    repair(channel: Channel): void
    applied(channel: Channel): void
    cameInBatches(channel: Channel): void
  }
  readonly isUp: () => boolean
  readonly onEvent: (event: LightwireEvent) => void
  readonly onMoved: () => void
}

/** Takes a message if it is an event or a batch, and says whether it was. */
export function createApplying({ positions, subscriptions, isUp, onEvent, onMoved }: ApplyingOptions) {
  /** Each event moves the position before it is handled, so that the cursor says what a handler has seen. */
  const apply = (channel: Channel, verdict: Verdict, upto: number) => {
    if (verdict === 'gap') return subscriptions.repair(channel)
    for (const event of verdict) {
      // A handler may close, or unsubscribe.
      if (!isUp() || !positions.move(channel, event.seq)) return
      onEvent(event)
    }
    positions.move(channel, upto)
    subscriptions.applied(channel)
    onMoved()
  }

  return (message: Message): boolean => {
    const { type, id, seq, channel } = message
    if (type === 'batch') {
      const batch = message as unknown as Batch
      subscriptions.cameInBatches(batch.channel)
      apply(batch.channel, positions.judgeBatch(batch), batch.upto)
      return true
    }
    // A reply to `publish` has both too, and an id.
    if (typeof seq !== 'number' || typeof channel !== 'string' || id !== undefined) return false
    // The server checks what it sends against the catalogue.
    const event = message as unknown as LightwireEvent
    apply(event.channel, positions.judgeEvent(event), event.seq)
    return true
  }
}
