/** What is subscribed: wished for by the application, confirmed by the server, repaired after a gap, made anew on each line. */
import type { Call, Entry, SubscriptionsOptions } from './entries.ts'
import type { Channel, LightwireEvent } from './events.ts'
import { sendable } from './frames.ts'
import { matches } from './matches.ts'
import { parseCursor } from './positions.ts'
import { passing } from './replies.ts'
import { createRetries } from './retries.ts'
import {
  LightwireError,
  type Message,
  type Recovery,
  type SubscribeOptions,
  type Subscribed,
} from './types.ts'
import { isPlain, keyOf } from './wishes.ts'

/** An answer may be behind much that a slow line has to carry first. */
const ANSWER_MS = 60_000
/** Repairs of a channel in a row that brought nothing: something on the line eats events. */
const REPAIRS_MAX = 5

export type Subscriptions = ReturnType<typeof createSubscriptions>

export function createSubscriptions(options: SubscriptionsOptions) {
  const { positions, replies, isUp } = options
  const retries = createRetries(options.environment)
  const entries = new Map<Channel, Entry>()
  const calls = new Set<Call>()
  /** Channels of which a subscription is under way, so that what arrives may be of the old one. */
  const underWay = new Map<Channel, number>()
  const repairs = new Map<Channel, number>()
  let versions = 0

  const send = (channels: readonly Channel[], asked: SubscribeOptions) => {
    const { where, batchMs, conflate } = asked
    const message = {
      type: 'subscribe',
      ...(where ? { where } : {}),
      ...(batchMs === undefined ? {} : { batch_ms: batchMs }),
      ...(conflate ? { conflate } : {}),
    }
    for (const part of positions.since(channels)) {
      const own = part.channels as readonly Channel[]
      const unplaced = new Set(own.filter((channel) => !positions.has(channel)))
      const sent = new Map(own.map((channel) => [channel, entries.get(channel)]))
      for (const channel of own) underWay.set(channel, (underWay.get(channel) ?? 0) + 1)
      replies.ask({ ...message, ...part }, ANSWER_MS, (outcome) => {
        for (const channel of own) underWay.set(channel, (underWay.get(channel) ?? 1) - 1)
        if (outcome instanceof LightwireError) refused(outcome, sent, asked)
        else confirmed(outcome, sent, unplaced)
      })
    }
  }

  /** One message for those that are asked for alike. */
  const sendAll = (channels: readonly Channel[]) => {
    const groups = new Map<string, { channels: Channel[]; options: SubscribeOptions }>()
    for (const channel of channels) {
      const asked = entries.get(channel)?.options ?? {}
      const group = groups.get(keyOf(asked)) ?? { channels: [], options: asked }
      group.channels.push(channel)
      groups.set(keyOf(asked), group)
    }
    for (const group of groups.values()) send(group.channels, group.options)
  }

  const confirmed = (
    reply: Message,
    sent: ReadonlyMap<Channel, Entry | undefined>,
    unplaced: ReadonlySet<Channel>,
  ) => {
    const cursor = parseCursor(String(reply['cursor']))
    const recovery = reply['recovery'] as Partial<Record<Channel, Recovery>>
    const lost: Channel[] = []
    for (const [channel, entry] of sent) {
      if (!entry || !entries.has(channel) || !cursor) continue
      const { status } = (entry.recovery = recovery[channel] ?? entry.recovery)
      const seq = cursor.positions.get(channel) ?? 0
      if (status === 'snapshot_required') lost.push(channel)
      entry.isConfirmed = true
      entry.before = undefined
      // Meanwhile a state was read further back: what lies between is asked for.
      if (unplaced.has(channel) && positions.has(channel) && positions.seqOf(channel) < seq) {
        send([channel], entry.options)
        continue
      }
      // Meanwhile events may have come from the subscription that this one follows.
      const from = status === 'recovered' ? Math.max(seq, positions.seqOf(channel)) : seq
      positions.place(channel, cursor.epoch, from)
    }
    options.onMoved()
    if (lost.length > 0) options.onLost(lost)
    settle()
  }

  const settle = () => {
    for (const call of calls) {
      const isDone = call.channels.every((channel) => {
        const entry = entries.get(channel)
        return !entry || (entry.isConfirmed && entry.version >= call.version)
      })
      if (!isDone) continue
      calls.delete(call)
      const recovery = call.channels.map((channel) => [channel, entries.get(channel)?.recovery])
      call.resolve({
        channels: [...entries.keys()].sort(),
        cursor: positions.cursor ?? '',
        recovery: Object.fromEntries(recovery),
      })
    }
  }

  const refused = (
    error: LightwireError,
    sent: ReadonlyMap<Channel, Entry | undefined>,
    asked: SubscribeOptions,
  ) => {
    if (!isUp()) return
    if (error.code === 'timeout') return options.dropLine('a subscription was not answered')
    // What the application has changed since is none of this.
    const channels = [...sent.keys()].filter((channel) => entries.get(channel) === sent.get(channel))
    const [first] = [...sent.values()].flatMap((entry) => entry ?? [])
    if (!first) return
    const { version } = first
    if (passing.has(error.code)) {
      retries.later(error, () => {
        const left = channels.filter((channel) => entries.get(channel) === sent.get(channel))
        if (isUp() && left.length > 0) send(left, asked)
      })
      return
    }
    // A filter that is good for channels together need not be for some of them alone, where no event has a field of it.
    if (error.code === 'invalid_message' && asked.where && sent.size < first.among) {
      for (const entry of sent.values()) if (entry) entry.isWide = true
      const { batchMs = 0, conflate = false } = asked
      if (channels.length > 0) send(channels, { batchMs, conflate })
      return
    }
    const call = [...calls].find((one) => one.version === version)
    // Several calls in one, or an earlier life's: each channel for itself, so that only what is refused ends.
    const isOneCall = call && [...sent.values()].every((entry) => entry?.version === version)
    if (!isOneCall && sent.size > 1) {
      for (const channel of channels) send([channel], asked)
      return
    }
    for (const entry of sent.values()) if (entry) entry.isRefused = true
    for (const channel of call?.channels ?? channels) {
      const entry = entries.get(channel)
      if (entry?.version === version) restore(channel, entry)
    }
    if (call) {
      calls.delete(call)
      call.reject(error)
    } else if (channels.length > 0) options.onError(error)
    settle()
  }

  /** As before the refused call; the server never left that, unless part of the call was confirmed, or it never had it. */
  const restore = (channel: Channel, { before, isConfirmed }: Entry) => {
    while (before?.isRefused) before = before.before
    // What is on its way still may be confirmed.
    const isTaken = isConfirmed || (underWay.get(channel) ?? 0) > 0
    if (before) {
      entries.set(channel, before)
      if ((isTaken || !before.isConfirmed) && isUp()) send([channel], before.options)
      return
    }
    drop(channel)
    if (isTaken) end([channel], () => undefined)
  }

  /** Also another time, where it is refused for now; a line that is gone has ended them itself. */
  const end = (channels: readonly Channel[], done: () => void): void => {
    const left = channels.filter((channel) => !entries.has(channel))
    if (!isUp() || left.length === 0) return done()
    replies.ask({ type: 'unsubscribe', channels: left }, ANSWER_MS, (outcome) => {
      const isPassing = outcome instanceof LightwireError && passing.has(outcome.code)
      if (isPassing && isUp()) retries.later(outcome, () => end(left, done))
      else done()
    })
  }

  const drop = (channel: Channel) => {
    entries.delete(channel)
    positions.forget(channel)
    repairs.delete(channel)
  }

  return {
    get channels(): readonly Channel[] {
      return [...entries.keys()].sort()
    },
    optionsOf: (channel: Channel) => entries.get(channel)?.options,

    /** All of them, or none. @param asked of each channel, or of all @param among how many it was asked for */
    subscribe(
      channels: readonly Channel[],
      asked: SubscribeOptions | ((channel: Channel) => SubscribeOptions) = {},
      among = channels.length,
    ): Promise<Subscribed> {
      return new Promise((resolve, reject) => {
        const each = channels.map(
          (channel) => [channel, typeof asked === 'function' ? asked(channel) : asked] as const,
        )
        for (const [, { where }] of each) sendable({ type: 'subscribe', channels, where })
        versions += 1
        const version = versions
        for (const [channel, wanted] of each) {
          entries.set(channel, {
            options: wanted,
            among,
            version,
            before: entries.get(channel),
            isConfirmed: false,
            isRefused: false,
            isWide: false,
            inBatches: !isPlain(wanted),
            recovery: { status: 'live' },
          })
        }
        calls.add({ channels, version, resolve, reject })
        if (isUp()) sendAll(channels)
        // Of no channels there is nothing to wait for.
        if (channels.length === 0) settle()
      })
    },

    unsubscribe(channels: readonly Channel[]): Promise<readonly Channel[]> {
      for (const channel of channels) drop(channel)
      settle()
      const left = () => [...entries.keys()].sort()
      return new Promise((resolve) => end(channels, () => resolve(left())))
    },

    /** A new line: everything on it, since where it stands. */
    resume(): void {
      underWay.clear()
      repairs.clear()
      for (const entry of entries.values())
        for (let old: Entry | undefined = entry; old; old = old.before) {
          old.isConfirmed = false
          // Another line may have brought batches where this one brings bare events.
          old.inBatches = !isPlain(old.options)
        }
      sendAll([...entries.keys()])
    },

    /** Something is missing before what came: it is asked for once, from where the channel stands. */
    repair(channel: Channel): void {
      const entry = entries.get(channel)
      if (!entry || (underWay.get(channel) ?? 0) > 0) return
      const times = (repairs.get(channel) ?? 0) + 1
      repairs.set(channel, times)
      if (times > REPAIRS_MAX) return options.dropLine('events are missing again and again')
      send([channel], entry.options)
    },
    applied: (channel: Channel) => void repairs.delete(channel),

    /** Whether it was asked for: of what the server could not filter too. */
    isAsked(event: LightwireEvent): boolean {
      const entry = entries.get(event.channel)
      return !entry?.isWide || matches(entry.options.where, event)
    },

    cameInBatches(channel: Channel): void {
      const entry = entries.get(channel)
      if (entry) entry.inBatches = true
    },

    /** Everything up to there was sent. Returns channels of which something is missing. */
    reached(cursor: string): void {
      for (const [channel, seq] of parseCursor(cursor)?.positions ?? []) {
        const entry = entries.get(channel as Channel)
        if (!entry?.isConfirmed || (underWay.get(channel as Channel) ?? 0) > 0) continue
        if (positions.reached(channel, seq, entry.inBatches) === 'gap') this.repair(channel as Channel)
      }
    },

    /** What the token of now does not grant has ended. */
    limit(granted: readonly string[]): void {
      const ended = [...entries].filter(
        ([channel, { isConfirmed }]) => isConfirmed && !granted.includes(channel),
      )
      for (const [channel] of ended) {
        drop(channel)
        options.onError(
          new LightwireError('forbidden', `the token does not grant channel ${channel} any more`),
        )
      }
    },

    close(error: LightwireError): void {
      retries.end()
      for (const { reject } of calls) reject(error)
      calls.clear()
    },
  }
}
