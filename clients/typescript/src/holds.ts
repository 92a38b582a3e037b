/** Channels that several parts of an application share: the first to hold one subscribes it, the last to let go ends it. */
import type { Environment } from './environment.ts'
import type { Channel } from './events.ts'
import type { Subscriptions } from './subscriptions.ts'
import type { Holding, SubscribeOptions, Subscribed } from './types.ts'
import { keyOf, unique } from './wishes.ts'

export function createHolds({ after }: Environment, subscriptions: Subscriptions) {
  const holders = new Map<Channel, Set<SubscribeOptions>>()
  /** Subscribed by name, until it is unsubscribed by name. */
  const owned = new Map<Channel, SubscribeOptions>()
  /** What is under way, so that whoever wants the same waits for the same. */
  const pending = new Map<Channel, Promise<Subscribed>>()

  /** What all of them want of a channel: where they differ everything, and each looks at its own. */
  const wanted = (channel: Channel): SubscribeOptions => {
    const own = owned.get(channel)
    const all = [...(holders.get(channel) ?? []), ...(own ? [own] : [])]
    const [first = {}] = all
    return all.every((one) => keyOf(one) === keyOf(first)) ? first : {}
  }
  const isOtherwise = (channel: Channel, options: SubscribeOptions) => {
    const present = subscriptions.optionsOf(channel)
    return present !== undefined && keyOf(present) !== keyOf(options)
  }
  const isHeld = (channel: Channel) => (holders.get(channel)?.size ?? 0) > 0

  /** @param among of how many they are */
  const subscribe = (channels: readonly Channel[], among: number): Promise<Subscribed> => {
    const subscribed = subscriptions.subscribe(channels, wanted, among)
    const over = () => {
      for (const channel of channels) if (pending.get(channel) === subscribed) pending.delete(channel)
    }
    for (const channel of channels) pending.set(channel, subscribed)
    subscribed.then(over, over)
    return subscribed
  }

  return {
    /** Whether one of them is subscribed, but not with these. */
    differ: (channels: readonly Channel[], options: SubscribeOptions): boolean =>
      channels.some((channel) => isOtherwise(channel, options)),

    /** By name: with what its holders want too. */
    async subscribe(channels: readonly Channel[], options: SubscribeOptions = {}): Promise<Subscribed> {
      const own = unique(channels)
      const mine = { ...options }
      const before = own.map((channel) => [channel, owned.get(channel)] as const)
      for (const channel of own) owned.set(channel, mine)
      try {
        return await subscribe(own, own.length)
      } catch (error) {
        for (const [channel, old] of before) {
          if (owned.get(channel) !== mine) continue
          if (old && subscriptions.optionsOf(channel)) owned.set(channel, old)
          else owned.delete(channel)
        }
        throw error
      }
    },

    /** By name: what somebody holds goes on. */
    async unsubscribe(channels: readonly Channel[]): Promise<readonly Channel[]> {
      for (const channel of channels) owned.delete(channel)
      const free = unique(channels).filter((channel) => !isHeld(channel))
      return free.length > 0 ? await subscriptions.unsubscribe(free) : subscriptions.channels
    },

    hold(channels: readonly Channel[], options: SubscribeOptions = {}): Holding {
      // Of its own, for the same options may come twice.
      const mine = { ...options }
      const own = unique(channels)
      for (const channel of own) holders.set(channel, (holders.get(channel) ?? new Set()).add(mine))
      const changed = own.filter(
        (channel) => !subscriptions.optionsOf(channel) || isOtherwise(channel, wanted(channel)),
      )
      if (changed.length > 0) void subscribe(changed, own.length)
      const ready = Promise.all(
        own.map((channel) =>
          pending.get(channel)?.catch((error: unknown) => {
            holders.get(channel)?.delete(mine)
            throw error
          }),
        ),
      )
      ready.catch(() => undefined)
      let isMine = true
      return {
        ready,
        release() {
          if (!isMine) return
          isMine = false
          for (const channel of own) holders.get(channel)?.delete(mine)
          // In a moment: whoever lets go to take it up again at once keeps the subscription.
          after(0, () => {
            const isFree = (channel: Channel) => !isHeld(channel) && !owned.has(channel)
            const free = own.filter((channel) => isFree(channel) && subscriptions.optionsOf(channel))
            if (free.length > 0) void subscriptions.unsubscribe(free)
          })
        },
      }
    },
  }
}
