/** The newest events, and among them what should be seen by somebody. */
import { stateKeys, type Channel, type LightwireEvent } from '../../../typescript/src/events.ts'
import { isAfter, nowhere, type Places } from './slice.ts'

const KEPT_MAX = 2000
/** Taken away at once when there are too many, so that taking away costs next to nothing per event. */
const SLACK = 500

export type Level = 'error' | 'warning' | 'good' | 'plain'

export function levelOf(event: LightwireEvent): Level {
  switch (event.type) {
    case 'error_occurred':
    case 'job_failed':
    case 'export_failed':
      return 'error'
    case 'resource_warning':
      return 'warning'
    case 'job_requeued':
      return event.reason === 'lease_expired' ? 'warning' : 'plain'
    case 'photo_approved':
    case 'session_completed':
    case 'export_completed':
      return 'good'
    default:
      return 'plain'
  }
}

/** With its time: a backup that was restored counts on from an older place. */
export const keyOf = ({ channel, seq, timestamp }: LightwireEvent) => `${channel}:${seq}:${timestamp}`

/** A state says the newest value of something that other panels show; a fact is told once. */
const isFact = ({ type }: LightwireEvent) => !Object.hasOwn(stateKeys, type)

export interface FeedFilter {
  readonly channels: ReadonlySet<Channel>
  /** Every step of the way too, not only what happened. */
  readonly withStates: boolean
  /** Looked for in whatever the event says, and in the photo's name; in lower case. */
  readonly words: string
}

/** @param nameOf '' for a photo whose name is not known */
export function createFeed(nameOf: (id: number) => string) {
  const facts = createRing()
  const all = createRing()
  let places = nowhere
  return {
    reset(read: readonly LightwireEvent[], at: Places) {
      places = at
      all.reset(read)
      facts.reset(read.filter(isFact))
    },
    apply(event: LightwireEvent): boolean {
      if (!isAfter(places, event)) return false
      all.add(event)
      if (isFact(event)) facts.add(event)
      return true
    },
    /** How many there were since the page was opened. */
    count: (withStates: boolean) => (withStates ? all : facts).count(),
    /** Newest first. */
    list: ({ channels, withStates, words }: FeedFilter): LightwireEvent[] =>
      (withStates ? all : facts).list(
        (event) => channels.has(event.channel) && matches(event, words, nameOf),
      ),
  }
}

function createRing() {
  let events: LightwireEvent[] = []
  let count = 0
  return {
    reset(read: readonly LightwireEvent[]) {
      events = [...read]
      count = events.length
    },
    add(event: LightwireEvent) {
      events.push(event)
      count += 1
      if (events.length > KEPT_MAX + SLACK) events = events.slice(-KEPT_MAX)
    },
    count: () => count,
    list(isWanted: (event: LightwireEvent) => boolean): LightwireEvent[] {
      const found: LightwireEvent[] = []
      for (let index = events.length - 1; index >= 0 && found.length < KEPT_MAX; index -= 1) {
        const event = events[index]
        if (event && isWanted(event)) found.push(event)
      }
      return found
    },
  }
}

function matches(event: LightwireEvent, words: string, nameOf: (id: number) => string): boolean {
  if (words === '') return true
  if (
    'photo_id' in event &&
    typeof event.photo_id === 'number' &&
    nameOf(event.photo_id).toLowerCase().includes(words)
  )
    return true
  return Object.values(event).some((value) => String(value).toLowerCase().includes(words))
}
