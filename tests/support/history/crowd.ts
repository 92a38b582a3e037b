/** The crowd of a run: subscribers over every transport, each with its own wishes, half of them behind the proxy. */
import { framings } from '../../../lib/protocol/codec.ts'
import { channels } from '../../../lib/protocol/events.ts'
import type { Random } from '../random.ts'
import type { Arrivals } from './arrivals.ts'
import type { Follower, FollowerOptions } from './follower.ts'
import type { Gate } from './gate.ts'
import { clientTypes } from './operator-acts.ts'
import { drawChannels, drawWhere } from './options.ts'
import type { Passes } from './passes.ts'
import { Poller } from './polls.ts'
import { Puller } from './pulls.ts'
import type { History } from './record.ts'
import { StreamFollower } from './streams.ts'
import { Subscriber } from './subscribers.ts'

interface CrowdOptions {
  readonly sockets: number
  /** Of each other transport. */
  readonly others: number
  readonly gate: Gate
  readonly token: string
  readonly passes: Passes
  readonly arrivals: Arrivals
  readonly history: History
  readonly random: Random
  readonly proxyPort: number
}

export function startCrowd({
  sockets,
  others,
  passes,
  proxyPort,
  random,
  ...shared
}: CrowdOptions): Follower[] {
  const common = (name: string, index: number): FollowerOptions => ({
    ...shared,
    name,
    clientType: random.pick(clientTypes),
    channels: index % 4 === 3 ? drawChannels(random) : channels,
    random: random.fork(),
    ...(index % 4 < 2 ? { passes } : {}),
    ...(index % 2 === 1 ? { proxyPort } : {}),
  })
  const each = <T>(count: number, make: (index: number) => T) =>
    Array.from({ length: count }, (_, index) => make(index))
  const crowd: Follower[] = [
    ...each(sockets, (index) => {
      const framing = framings[index % framings.length] ?? 'json'
      // Two of three ask for more than bare events; each framing has both kinds.
      return new Subscriber({
        ...common(`s${index}`, index),
        framing,
        choosy: Math.floor(index / 3) % 3 !== 0,
      })
    }),
    ...each(others, (index) => {
      const options = common(`e${index}`, index)
      return new StreamFollower(options, index % 2 === 0 ? undefined : drawWhere(random, options.channels))
    }),
    ...each(others, (index) => new Puller(common(`g${index}`, index))),
    ...each(others, (index) => new Poller(common(`p${index}`, index))),
  ]
  return crowd.map((follower) => follower.start())
}
