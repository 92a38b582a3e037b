/** Channels that several parts of an application share: the first to hold one subscribes it, the last to let go ends it. */
import type { Environment } from './environment.ts'
import type { Channel } from './events.ts'
import type { Subscriptions } from './subscriptions.ts'
import type { Holding, SubscribeOptions } from './types.ts'

const keyOf = ({ where, batchMs, conflate }: SubscribeOptions) => JSON.stringify([where, batchMs, conflate])

export function createHolds({ after }: Environment, subscriptions: Subscriptions) {
  const holders = new Map<Channel, Set<SubscribeOptions>>()
  /** Subscribed by name, until it is unsubscribed by name. */
  const owned = new Map<Channel, SubscribeOptions>()

  /** What all of them want of a channel: where they differ everything, and each looks at its own. */
  const wanted = (channel: Channel): SubscribeOptions => {
    const own = owned.get(channel)
    const all = [...(holders.get(channel) ?? []), ...(own ? [own] : [])]
    const [first = {}] = all
    return all.every((one) => keyOf(one) === keyOf(first)) ? first : {}
  }

  return {
    own(channels: readonly Channel[], options: SubscribeOptions): void {
      for (const channel of channels) owned.set(channel, options)
    },
    disown(channels: readonly Channel[]): void {
      for (const channel of channels) owned.delete(channel)
    },

    hold(channels: readonly Channel[], options: SubscribeOptions = {}): Holding {
      // Of its own, for the same options may come twice.
      const mine = { ...options }
      const changed = new Map<string, { channels: Channel[]; options: SubscribeOptions }>()
      for (const channel of channels) {
        holders.set(channel, (holders.get(channel) ?? new Set()).add(mine))
        const present = subscriptions.optionsOf(channel)
        const next = wanted(channel)
        if (present && keyOf(present) === keyOf(next)) continue
        const group = changed.get(keyOf(next)) ?? { channels: [], options: next }
        group.channels.push(channel)
        changed.set(keyOf(next), group)
      }
      const ready = Promise.all(
        Array.from(changed.values(), (group) => subscriptions.subscribe(group.channels, group.options)),
      )
      ready.catch(() => undefined)
      let isHeld = true
      return {
        ready,
        release() {
          if (!isHeld) return
          isHeld = false
          for (const channel of channels) holders.get(channel)?.delete(mine)
          // In a moment: whoever lets go to take it up again at once keeps the subscription.
          after(0, () => {
            const isFree = (channel: Channel) => !holders.get(channel)?.size && !owned.has(channel)
            const free = channels.filter((channel) => isFree(channel) && subscriptions.optionsOf(channel))
            if (free.length > 0) void subscriptions.unsubscribe(free)
          })
        },
      }
    },
  }
}
