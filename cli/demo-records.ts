/** Compares what a client got with what the journal holds, channel by channel and event by event. */
import type { Positions } from '../lib/protocol/cursor.ts'
import { channels, type Channel } from '../lib/protocol/events.ts'
import type { Message } from './demo-client.ts'

export interface Comparison {
  /** Events that the journal holds up to the client's position. */
  readonly events: number
  /** The first one that differs, as a sentence; absent when the records are equal. */
  readonly difference?: string
}

/** Channel by channel, since order is promised within a channel only; events after `upto` are left out. */
export function compareRecords(
  record: readonly Message[],
  journal: readonly Message[],
  upto: Positions,
): Comparison {
  let events = 0
  for (const channel of channels) {
    const got = eventsOf(record, channel, upto)
    const held = eventsOf(journal, channel, upto)
    events += held.length
    const at = held.findIndex((event, index) => !Bun.deepEquals(event, got[index], true))
    if (at >= 0) {
      const place = `${channel}, event ${at + 1}`
      return { events, difference: `${place}: got ${show(got[at])}, the journal holds ${show(held[at])}` }
    }
    if (got.length > held.length) {
      return { events, difference: `${channel}: ${got.length} events, the journal holds ${held.length}` }
    }
  }
  return { events }
}

/** `jobs 120 · photos 88 …`, channels with none included. */
export function countByChannel(record: readonly Message[]): string {
  const counts = channels.map(
    (channel) => `${channel} ${record.filter((event) => event['channel'] === channel).length}`,
  )
  return counts.join(' · ')
}

function eventsOf(record: readonly Message[], channel: Channel, upto: Positions): Message[] {
  const last = upto[channel] ?? 0
  return record.filter((event) => event['channel'] === channel && Number(event['seq']) <= last)
}

function show(event: Message | undefined): string {
  return event === undefined ? 'nothing' : JSON.stringify(event).slice(0, 300)
}
