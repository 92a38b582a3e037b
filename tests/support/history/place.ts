/** One channel as one subscriber was given it, against the journal: what it wanted of it, in order, whole, once. */
import { isDeepStrictEqual } from 'node:util'
import type { Channel } from '../../../lib/protocol/events.ts'
import type { Message } from '../client.ts'
import { isOwnWarning } from './check-journal.ts'
import { checkConflated, checkWhole, isTooLarge } from './given.ts'
import { isBatched, type Options } from './options.ts'
import type { JournalEvent } from './record.ts'
import { opened, shows, type Right } from './rights.ts'
import { passes, stateKeyOf } from './where.ts'

interface Batch {
  readonly after: number
  readonly upto: number
  readonly events: readonly JournalEvent[]
}

interface PlaceOptions {
  readonly options: Options
  /** Whether batches come where they are asked for. */
  readonly batches: boolean
  /** What its subscriber may see, as it was when this was subscribed. */
  readonly right: Right
  /** Where it began to be followed like this. */
  readonly start: number
  /** Whether it is polled: what was put aside for it before its right changed comes after. */
  readonly polled: boolean
}

/** Every method says what is wrong, as sentences. */
export class Place {
  /** State events that a newer one in the same batch stands for. */
  conflated = 0
  /** Events that were in answers that never arrived. */
  lostInTransit = 0
  /** An answer was lost in transit: what comes next may lie further on, once. */
  mayJump = false
  position: number
  readonly options: Options
  /** Newest seq given, by state key. */
  private readonly newest = new Map<string, number>()
  /** State keys of which a batch left out an event that only the batches right behind it may make good. */
  private readonly owed = new Map<string, number>()
  /** From which position on the same is wanted. */
  private since: number
  /**
   * Those that it had since it was subscribed, the present one last. PROTOCOL §2 and §7: a refresh that narrows takes
   * effect before its reply, one that widens with the next `subscribe`. So what one of them does not open is not owed
   * any more, and what the present one does not open must not come. What lies between, opened by a refresh and not yet
   * asked for, may come or not: nobody was told a position from which it does.
   */
  private readonly rights: Right[]
  private form: 'bare' | 'batches' | 'either'

  constructor(
    private readonly channel: Channel,
    private readonly stored: readonly JournalEvent[],
    private readonly about: PlaceOptions,
  ) {
    const { batches, options, right, start } = about
    this.options = options
    this.rights = [right]
    // What grants alone open comes in batches, which can say what they leave out.
    this.form = batches && (isBatched(options) || opened(right, channel) === 'some') ? 'batches' : 'bare'
    this.since = start
    this.position = start
  }

  get isPolled(): boolean {
    return this.about.polled
  }

  /** A refresh changed what may be seen; nothing, where it does not open the channel at all. */
  refresh(right: Right): void {
    this.rights.push(right)
    this.since = this.position
    // Whoever is held to grants goes on with batches; bare events that wait to be polled may come before the first.
    if (this.form === 'bare' && this.about.batches && opened(right, this.channel) === 'some')
      this.form = this.about.polled ? 'either' : 'batches'
  }

  event(event: JournalEvent): string[] {
    const { position, channel } = this
    const { seq } = event
    if (this.form === 'batches') return [`${channel}/${seq} came bare, batches were asked for`]
    if (seq <= position) return [`${channel}/${seq} came again after ${position}`]
    const wrong = this.skip(seq - 1, `${channel} jumps from ${position} to ${seq}`)
    this.position = seq
    this.mayJump = false
    return [...wrong, ...this.content(event)]
  }

  batch(message: Message): string[] {
    const { after, upto, events } = message as unknown as Batch
    const { channel, position } = this
    const what = `a batch of ${channel} from ${after} to ${upto}`
    if (this.form === 'bare') return [`${what}, bare events were asked for`]
    this.form = 'batches'
    const wrong = after > position ? this.skip(after, `${what} comes at ${position}`) : []
    // Whatever it passes over, to its client it looks like a gap (PROTOCOL §5). Of bare events that waited to be polled
    // the last may have been kept back.
    const mayGap = this.mayJump || (this.about.polled && this.rights.length > 1)
    if (after > position && wrong.length === 0 && !mayGap)
      wrong.push(`${what} leaves a gap after ${position}`)
    this.mayJump = false
    // It says that it covers them, and has none of them: whoever begins with it would miss them.
    const [untold] = this.meant(after, Math.min(position, upto))
    if (untold) wrong.push(`${what} leaves out ${channel}/${untold.seq}`)
    if (upto < position) return [...wrong, `${what} ends before ${position}`]
    const given = new Set<number>()
    let previous = Math.max(after, position)
    for (const event of events) {
      if (event.channel !== channel || event.seq > upto)
        wrong.push(`${what} holds ${event.channel}/${event.seq}`)
      if (event.seq <= previous) wrong.push(`${channel}/${event.seq} came again after ${previous}`)
      previous = event.seq
      given.add(event.seq)
    }
    wrong.push(...events.flatMap((event) => this.content(event)))
    wrong.push(
      ...(this.options.conflate
        ? this.conflation(upto, given)
        : checkWhole(this.meant(this.position, upto), given)),
    )
    if (isTooLarge(events)) wrong.push(`${what} is too large`)
    this.position = upto
    return wrong
  }

  /** The server says how far it is: of nothing it wanted up to there may anything be missing. */
  move(to: number, by: string, mayLag = false): string[] {
    const sentence = `${by} says ${this.channel}=${to}, received was ${this.position}`
    if (mayLag && to <= this.position) return []
    if (to < this.position) return [sentence]
    const wrong = this.skip(to, sentence)
    this.mayJump = false
    return wrong
  }

  /** Something else than a further batch came: what a batch left out must have been made good. */
  settled(): string[] {
    const [first] = this.owed
    if (first === undefined) return []
    this.owed.clear()
    return [`${first[0]} of ${this.channel}/${first[1]} was conflated away, and nothing newer came`]
  }

  /** Up to the journal's end nothing is missing, and of every state the newest came. */
  end(): string[] {
    const { channel, position, stored } = this
    const missed = this.meant(position, stored.length)
    // What the server said by itself after the subscriber left is nobody's loss.
    const short = position > stored.length || !missed.every(isOwnWarning)
    const newest = new Map<string, number>()
    for (const event of this.meant(this.since, stored.length)) {
      const key = stateKeyOf(event)
      if (key !== undefined) newest.set(key, event.seq)
    }
    // What was lost in transit was perhaps the last of its key.
    const old =
      this.lostInTransit > 0 ? [] : [...newest].filter(([key, seq]) => (this.newest.get(key) ?? 0) < seq)
    return [
      ...(short ? [`ended at ${channel}=${position}, the journal at ${stored.length}`] : []),
      ...old.slice(0, 1).map(([key, seq]) => `the last ${key} is ${channel}/${seq}, it never came`),
    ]
  }

  private skip(to: number, sentence: string): string[] {
    const [first, ...more] = this.meant(this.position, to)
    this.position = Math.max(this.position, to)
    if (!first) return []
    if (!this.mayJump) return [`${sentence}: ${this.channel}/${first.seq} is missing`]
    this.lostInTransit += 1 + more.length
    return []
  }

  /** What it is owed of the positions after `from` up to `to`. */
  private meant(from: number, to: number): JournalEvent[] {
    if (to <= from) return []
    return this.stored
      .slice(from, to)
      .filter(
        (event) => passes(event, this.options.where) && this.rights.every((right) => shows(right, event)),
      )
  }

  private content(event: JournalEvent): string[] {
    const { channel, stored, options, rights } = this
    const name = `${channel}/${event.seq}`
    const key = stateKeyOf(event)
    if (key !== undefined) this.newest.set(key, event.seq)
    const own = stored[event.seq - 1]
    if (!own) return [`${name} is a phantom`]
    if (!isDeepStrictEqual(own, event)) return [`${name} differs from the journal`]
    const wrong = passes(own, options.where) ? [] : [`${name} does not pass its filter`]
    if (!rights.slice(-1).every((right) => shows(right, own))) wrong.push(`${name} is outside its right`)
    return wrong
  }

  private conflation(upto: number, given: ReadonlySet<number>): string[] {
    const { about, options, position, rights, stored } = this
    const meant = new Set(this.meant(position, upto))
    // A newer state stands for what is owed where it came, be it owed itself or not. So it does where it was put aside
    // for a poll under a right that showed it, and the right of the poll keeps it back.
    const keptBack = (event: JournalEvent) =>
      about.polled &&
      rights.length > 1 &&
      stateKeyOf(event) !== undefined &&
      passes(event, options.where) &&
      rights.some((right) => shows(right, event))
    const events = stored
      .slice(position, upto)
      .filter((event) => meant.has(event) || given.has(event.seq) || keptBack(event))
    const { wrong, conflated } = checkConflated(events, meant, given, this.owed)
    this.conflated += conflated
    return wrong
  }
}
