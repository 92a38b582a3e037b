/** The doctor's subscriptions in batches: filtered, conflated, and without a hole. */
import type { Positions } from '../lib/protocol/cursor.ts'
import { catalogue, isEventType, type Channel } from '../lib/protocol/events.ts'
import { openLiveSocket, type Message } from './demo-client.ts'
import type { Context } from './doctor-context.ts'
import { cursorOf, titleOf, TRANSPORT_LOOK as look, type Reference } from './doctor-reference.ts'
import { Fault, within } from './doctor-report.ts'
import { REPLY_MS_MAX, requestReply } from './doctor-watcher.ts'

/** The events up to the reference's end, batch by batch; a batch that leaves a hole is a fault. */
export async function readBatches(
  { socketUrl: url, token }: Context,
  { since, upto }: Reference,
  options: { readonly channels: readonly Channel[] } & Message,
): Promise<Message[][]> {
  const positions: Positions = {}
  const batches: Message[][] = []
  const faults: Fault[] = []
  const done = Promise.withResolvers<void>()
  const onMessage = (message: Message) => {
    if (message['type'] === 'batch') {
      const { channel, after, upto: to, events } = message as unknown as Batch
      if (after > (positions[channel] ?? 0))
        faults.push(
          new Fault({
            expected: `a ${channel} batch after ${positions[channel]}`,
            seen: `one after ${after}`,
            look,
          }),
        )
      positions[channel] = to
      batches.push([...events])
    } else if (isEventType(String(message['type']))) {
      faults.push(
        new Fault({ expected: 'events in batches', seen: `a bare ${String(message['type'])}`, look }),
      )
    } else if (message['type'] === 'pong') {
      for (const [channel, seq] of Object.entries(cursorOf(String(message['cursor'])).positions))
        positions[channel as Channel] = Math.max(positions[channel as Channel] ?? 0, seq)
    }
    if (options.channels.every((channel) => (positions[channel] ?? 0) >= (upto[channel] ?? 0))) done.resolve()
  }
  const name = 'batched'
  using socket = await openLiveSocket({
    url,
    token,
    framing: 'json',
    name,
    onMessage,
    replyMsMax: REPLY_MS_MAX,
  })
  const confirmed = await requestReply(socket, 'subscription_confirmed', {
    type: 'subscribe',
    since,
    ...options,
  })
  Object.assign(positions, cursorOf(String(confirmed['cursor'])).positions)
  await requestReply(socket, 'pong', { type: 'ping' })
  await within(done.promise, REPLY_MS_MAX, { expected: 'batches up to where the others are', look })
  if (faults[0]) throw faults[0]
  return batches
}

interface Batch {
  readonly channel: Channel
  readonly after: number
  readonly upto: number
  readonly events: readonly Message[]
}

/** @throws {Fault} where two events of one batch say the state of one thing */
export function requireNewest(batch: readonly Message[]): void {
  const keys = batch.flatMap((event) => stateKeyOf(event) ?? [])
  const twice = keys.find((key, index) => keys.indexOf(key) !== index)
  if (twice !== undefined)
    throw new Fault({ expected: 'the newest state alone in a batch', seen: `two of ${twice}`, look })
}

/** What a state event is the state of; undefined for a fact. */
export function stateKeyOf(event: Message): string | undefined {
  const type = String(event['type'])
  if (!isEventType(type) || catalogue[type].class === 'fact') return undefined
  return [type, ...catalogue[type].key.map((field) => String(event[field]))].join(' ')
}

/** The newest state of each thing, or one that came after it since. @throws {Fault} */
export function requireLatest(got: readonly Message[], wanted: readonly Message[]): void {
  const newest = (events: readonly Message[]) =>
    new Map(events.flatMap((event) => [[stateKeyOf(event), event] as const]))
  const held = newest(got)
  for (const [key, event] of newest(wanted)) {
    const mine = held.get(key)
    if (key === undefined || Number(mine?.['seq'] ?? 0) >= Number(event['seq'])) continue
    throw new Fault({ expected: `${titleOf(event)}, conflated or not`, seen: titleOf(mine), look })
  }
}
