/** What a subscription must show: on a plain stream every event, in batches what passes, states replaced by newer ones. */
import { catalogue, type Channel, type EventType } from '../../lib/protocol/events.ts'
import type { Fields } from './frames.ts'
import { Violation, type TrueEvent, type Truth } from './truth.ts'

/** How a subscription narrows and gathers; none of them is a plain one. */
export interface Options {
  readonly where?: Readonly<Record<string, unknown>>
  readonly batch_ms?: number
  readonly conflate?: boolean
}

/** What a stream has shown on this connection: the next event is `at` + 1. */
export interface Stream {
  at: number
  readonly options: Options
  /** States left out for a newer one that is still to come, by key: the seq of what was left out. */
  readonly owed: Map<string, number>
}

export type StreamChecks = ReturnType<typeof createStreamChecks>

/** @param name whose streams they are */
export function createStreamChecks(name: string, truth: Truth) {
  function matching(channel: Channel, { at, options }: Stream, upto: number): TrueEvent[] {
    const { where } = options
    const events = truth.after(channel, at, upto)
    return where ? events.filter(({ fields }) => matches(where, fields)) : [...events]
  }

  function requireTrue(channel: Channel, seq: number, text: string): TrueEvent {
    const event = truth.event(channel, seq)
    if (!event || event.text !== text)
      throw new Violation(`${name} got ${text}, the journal has ${event?.text ?? 'nothing'}`)
    return event
  }

  /** Every fact, and every state but for those that a newer one took the place of; in order, as they are in the journal. */
  function requireContent(channel: Channel, stream: Stream, upto: number, events: readonly Fields[]): void {
    const wrong = (what: string) => {
      const seqs = events.map(({ seq }) => String(seq)).join(',')
      throw new Violation(`${name} got a batch of ${channel} (${stream.at}, ${upto}] with ${seqs}: ${what}`)
    }
    const missing = new Map(matching(channel, stream, upto).map((event) => [event.seq, event]))
    let before = stream.at
    for (const event of events) {
      const seq = Number(event['seq'])
      if (seq <= before || !missing.has(seq)) wrong(`${seq} is out of place`)
      before = seq
      const { type, fields } = requireTrue(channel, seq, JSON.stringify(event))
      const key = stateKey(type, fields)
      if (key !== undefined) stream.owed.delete(key)
      missing.delete(seq)
    }
    for (const [seq, { type, fields }] of missing) {
      const key = stream.options.conflate ? stateKey(type, fields) : undefined
      if (key === undefined) return wrong(`${seq} is missing`)
      const newer = matching(channel, { ...stream, at: seq }, Infinity).some(
        (other) => stateKey(other.type, other.fields) === key,
      )
      if (!newer) wrong(`${seq} is the newest of its key and missing`)
      const shown = events.some(
        (other) => Number(other['seq']) > seq && stateKey(other['type'] as EventType, other) === key,
      )
      if (!shown) stream.owed.set(key, seq)
    }
  }

  /** A pong says how far its client is, and that is at least what was committed when the ping was read. */
  function requirePong(
    channel: Channel,
    stream: Stream,
    { told, mustReach }: { told: number | undefined; mustReach: number },
  ): void {
    if (told === undefined) throw new Violation(`a pong to ${name} says nothing of ${channel}`)
    if (told < stream.at) throw new Violation(`a pong to ${name} goes back to ${channel}=${told}`)
    const missed = isPlain(stream.options) ? told - stream.at : matching(channel, stream, told).length
    if (missed > 0)
      throw new Violation(`a pong to ${name} covers ${channel}=${told}, it got up to ${stream.at}`)
    // What `batch_ms` holds back is the one thing that it need not wait for.
    if (!stream.options.batch_ms && told < mustReach)
      throw new Violation(`a pong to ${name} at ${channel}=${told} hides ${mustReach}`)
  }

  return {
    /** Events after the stream's place that its filter lets pass. */
    matching,
    event: requireTrue,
    batch: requireContent,
    pong: requirePong,
  }
}

/** What two states have in common when the newer one takes the place of the other; facts have none. */
function stateKey(type: EventType, fields: Fields): string | undefined {
  const kind = catalogue[type]
  if (kind.class === 'fact') return undefined
  return JSON.stringify([type, ...kind.key.map((name) => fields[name])])
}

function isPlain({ where, batch_ms, conflate }: Options): boolean {
  return where === undefined && batch_ms === undefined && conflate === undefined
}

/** The filters that the simulation uses (PROTOCOL §4): `in`, `ne`, `gte`, on fields that every event has. */
function matches(
  where: Readonly<Record<string, unknown>>,
  fields: Readonly<Record<string, unknown>>,
): boolean {
  return Object.entries(where).every(([name, condition]) => {
    const value = fields[name]
    const { in: list, gte, ne } = condition as { in?: unknown[]; gte?: number; ne?: string }
    if (list) return list.includes(value)
    if (ne !== undefined) return value !== ne
    return gte === undefined || (typeof value === 'number' && value >= gte)
  })
}
