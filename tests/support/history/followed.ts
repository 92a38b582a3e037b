/** All channels that one subscriber follows, as it was told: the client rule of PROTOCOL §5, without its forgiveness. */
import { isDeepStrictEqual } from 'node:util'
import { parseCursor } from '../../../lib/protocol/cursor.ts'
import type { Channel } from '../../../lib/protocol/events.ts'
import type { Message } from '../client.ts'
import type { Options } from './options.ts'
import { Place } from './place.ts'
import type { History, JournalEvent } from './record.ts'
import { opened, type Right } from './rights.ts'

const NOT_FOLLOWED = 'which it does not follow'

export interface Beginning {
  readonly start: number | undefined
  readonly options: Options
  /** Whether batches come where the options ask for them. */
  readonly batches: boolean
  readonly right: Right
  /** Whether what was put aside before is polled after. */
  readonly polled: boolean
  /** Position of the cursor that was asked with. */
  readonly asked: number | undefined
  readonly status: string | undefined
}

/** Every method says what is wrong, as sentences. */
export class Followed {
  conflated = 0
  lostInTransit = 0
  private readonly places = new Map<Channel, Place>()
  /** Where it left a channel. */
  private readonly left = new Map<Channel, number>()
  /** Of a session that subscribed anew: what still waits to be polled, up to where it begins anew. */
  private readonly earlier = new Map<Channel, { readonly place: Place; readonly upto: number }>()

  constructor(private readonly journal: History['journal']) {}

  get channels(): Channel[] {
    return [...this.places.keys()].sort()
  }

  optionsOf(channel: Channel): Options | undefined {
    return this.places.get(channel)?.options
  }

  begin(channel: Channel, { start, asked, status, ...about }: Beginning): string[] {
    if (start === undefined) return [`${channel} has no position`]
    const wrong: string[] = []
    if (status !== (asked === undefined ? 'live' : 'recovered')) wrong.push(`${channel} was told ${status}`)
    if (asked !== undefined && asked !== start) wrong.push(`${channel} asked ${asked}, begins at ${start}`)
    if (asked === undefined) {
      // Nobody asked for another place: what is followed goes on where it is.
      const place = this.places.get(channel)
      const waiting = this.earlier.get(channel)
      if (place?.isPolled) wrong.push(...this.putAside(channel, place, start))
      else if (place) wrong.push(...place.move(start, 'a confirmation'))
      else if (waiting) this.earlier.set(channel, { ...waiting, upto: start })
      const before = this.left.get(channel) ?? 0
      if (start < before) wrong.push(`${channel} begins at ${start}, before ${before}`)
    }
    this.leave(channel)
    // Where a session was told to begin anew, and what waited was never polled, it has not been: it asks for what it has.
    if (asked !== undefined) this.left.set(channel, start)
    const stored = this.journal.get(channel) ?? []
    this.places.set(channel, new Place(channel, stored, { ...about, start }))
    return wrong
  }

  /** Another right from now on; channels that it does not open are left. */
  refresh(right: Right): void {
    for (const { place } of this.earlier.values()) place.refresh(right)
    for (const [channel, place] of this.places) {
      place.refresh(right)
      if (opened(right, channel) !== 'none') continue
      // What waits to be polled is shown again, or not, by a right that opens the channel again.
      if (place.isPolled) this.putAside(channel, place, Infinity)
      else this.drop(channel)
    }
  }

  private putAside(channel: Channel, place: Place, upto: number): string[] {
    const wrong = this.finish(channel)
    this.earlier.set(channel, { place, upto })
    this.places.delete(channel)
    return wrong
  }

  /** What was put aside has come. */
  private finish(channel: Channel): string[] {
    const before = this.earlier.get(channel)
    if (!before) return []
    this.earlier.delete(channel)
    this.tally(before.place)
    if (before.upto === Infinity) return []
    return [...before.place.settled(), ...before.place.move(before.upto, 'the end of what waited')]
  }

  drop(channel: Channel): void {
    this.earlier.delete(channel)
    this.leave(channel)
  }

  private leave(channel: Channel): void {
    const place = this.places.get(channel)
    if (!place) return
    this.left.set(channel, Math.max(this.left.get(channel) ?? 0, place.position))
    this.tally(place)
    this.places.delete(channel)
  }

  /** The connection ended. */
  dropAll(): void {
    this.earlier.clear()
    for (const channel of this.channels) this.drop(channel)
  }

  /** An answer never arrived. */
  lose(): void {
    for (const place of this.places.values()) place.mayJump = true
    for (const { place } of this.earlier.values()) place.mayJump = true
  }

  /** A bare event. */
  event(event: JournalEvent): string[] {
    const { channel, seq } = event
    return (
      this.give(channel, seq, (place) => place.event(event)) ?? [`an event of ${channel}, ${NOT_FOLLOWED}`]
    )
  }

  batch(message: Message): string[] {
    const channel = message['channel'] as Channel
    const upto = Number(message['upto'])
    return (
      this.give(channel, upto, (place) => place.batch(message)) ?? [`a batch of ${channel}, ${NOT_FOLLOWED}`]
    )
  }

  /** Gives it to what was followed then. */
  private give(channel: Channel, seq: number, to: (place: Place) => string[]): string[] | undefined {
    const before = this.earlier.get(channel)
    if (before && seq <= before.upto) return to(before.place)
    const place = this.places.get(channel)
    return place && [...this.finish(channel), ...to(place)]
  }

  /** The server says how far this subscriber is, on all its channels. */
  claim(cursor: string, by: string, { mayLag = false } = {}): string[] {
    const { positions } = parseCursor(cursor)
    const named = Object.keys(positions).sort()
    if (!isDeepStrictEqual(named, this.channels))
      return [`${by} names ${named.join()}, not ${this.channels.join()}`]
    return [...this.places].flatMap(([channel, place]) => [
      ...this.finish(channel),
      ...place.move(positions[channel] ?? 0, by, mayLag),
    ])
  }

  /** Something else came than a further batch of this channel. */
  settled(channel?: unknown): string[] {
    return [...this.places].flatMap(([own, place]) => (own === channel ? [] : place.settled()))
  }

  /** The run is over. */
  end(): string[] {
    const wrong = [...this.places.values()].flatMap((place) => place.end())
    for (const place of this.places.values()) this.tally(place)
    return wrong
  }

  private tally(place: Place): void {
    this.conflated += place.conflated
    this.lostInTransit += place.lostInTransit
  }
}
