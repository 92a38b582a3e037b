/** What subscribers received, raw: each connection goes on where the one before ended, and together they are the journal. */
import { isDeepStrictEqual } from 'node:util'
import { parseCursor } from '../../../lib/protocol/cursor.ts'
import type { Channel } from '../../../lib/protocol/events.ts'
import type { Message } from '../client.ts'
import { carries } from './check-journal.ts'
import { checkEnding, checkWord } from './check-operators.ts'
import { checkHeld } from './check-rights.ts'
import { Followed } from './followed.ts'
import { isJournalEvent, type History, type Segment, type SubscriberRecord } from './record.ts'
import { everything, opened, type Right } from './rights.ts'

/** What only the checker sees: how much of it really occurred. */
export interface Tally {
  /** State events that a newer one stood for. */
  conflated: number
  /** Events in answers of polls that never arrived. */
  lostInTransit: number
}

/** One connection on its way: what it follows, and what it may see just now. */
interface Course {
  readonly segment: Segment
  readonly followed: Followed
  right: Right
  /** What it followed at any time: to a session a word may have been said long before it polls. */
  readonly ever: Set<Channel>
}

export function checkSubscriber(history: History, subscriber: SubscriberRecord, tally: Tally): string[] {
  const { name, segments, endings, stopped } = subscriber
  const wrong: string[] = []
  const followed = new Followed(history.journal)
  for (const [index, segment] of segments.entries()) {
    const at = `${name}, connection ${index + 1}`
    const words = new Set<unknown>()
    const right = segment.held[0]?.pass.right ?? everything
    const course: Course = { segment, followed, right, ever: new Set() }
    for (const message of segment.received) {
      const audience = segment.transport === 'poll' ? [...course.ever] : followed.channels
      const faults =
        message.type === 'word'
          ? checkWord(history, segment, message, audience, words)
          : step(course, message)
      wrong.push(...faults.map((fault) => `${at}: ${fault}`))
    }
    wrong.push(...checkHeld(history, segment).map((fault) => `${at}: ${fault}`))
    if (index < segments.length - 1) followed.dropAll()
  }
  wrong.push(...endings.flatMap((ending) => checkEnding(history, ending)).map((fault) => `${name}: ${fault}`))
  if (!stopped) wrong.push(...followed.end().map((fault) => `${name}: ${fault}`))
  tally.conflated += followed.conflated
  tally.lostInTransit += followed.lostInTransit
  return wrong
}

function step(course: Course, message: Message): string[] {
  const { followed } = course
  const wrong = followed.settled(message.type === 'batch' ? message['channel'] : undefined)
  wrong.push(...take(course, message))
  for (const channel of followed.channels) course.ever.add(channel)
  return wrong
}

function take(course: Course, message: Message): string[] {
  const { segment, followed } = course
  const { transport, asked } = segment
  switch (message.type) {
    case 'subscription_confirmed':
      return confirmed(course, message)
    case 'stream_began':
      return began(course, message)
    case 'unsubscription_confirmed':
      for (const channel of asked.get(message['id'])?.channels ?? []) followed.drop(channel)
      return sameChannels(message, followed)
    case 'authenticated':
    case 'shown':
      return refreshed(course, message)
    case 'token_expiring':
      return hasPassUntil(segment, message['expires_at'])
        ? []
        : ['it was warned of the end of no token of its']
    case 'stream_id':
      return followed.claim(String(message['cursor']), 'an id')
    case 'pong':
      return [
        ...followed.claim(String(message['cursor']), 'a pong', { mayLag: transport === 'poll' }),
        ...staleness(segment, message, followed),
      ]
    case 'batch':
      return followed.batch(message)
    case 'lost':
      followed.lose()
      return []
    case 'error':
      return refused(course, message)
    case 'disconnect':
    case 'connection_established':
      return []
    default:
      return isJournalEvent(message) ? followed.event(message) : [`${message.type} came unasked`]
  }
}

/** From here on another token counts: whatever it does not open has ended. */
function refreshed(course: Course, message: Message): string[] {
  const { segment, followed } = course
  const pass = segment.refreshes.get(message['id'])
  if (!pass) return [`${message.type} came unasked`]
  course.right = pass.right
  followed.refresh(pass.right)
  if (message.type === 'shown') return []
  const { subject, right, expiresAtMs } = pass
  const told = { subject, scope: right.scope, expires_at: new Date(expiresAtMs).toISOString() }
  return [
    ...(carries(message, told) ? [] : ['it was told of another token']),
    ...sameChannels(message, followed),
  ]
}

function hasPassUntil({ held }: Segment, expiresAt: unknown): boolean {
  return held.some(({ pass }) => new Date(pass.expiresAtMs).toISOString() === expiresAt)
}

/** Whether a refused token deserved it is known by the time it was shown. */
function refused({ segment, right }: Course, message: Message): string[] {
  const { code, id } = message
  if (segment.refreshes.has(id)) return []
  const channels = segment.asked.get(id)?.channels ?? []
  const barred = channels.some((channel) => opened(right, channel) === 'none')
  return code === 'forbidden' && barred
    ? []
    : [`it was refused as ${String(code)}: ${String(message['error'])}`]
}

function confirmed({ segment, followed, right }: Course, message: Message): string[] {
  const asked = segment.asked.get(message['id'])
  if (!asked) return ['a confirmation came unasked']
  const { channels, since, ...options } = asked
  const cursor = String(message['cursor'])
  const { positions } = parseCursor(cursor)
  const recovery = message['recovery'] as Record<string, { status: string }>
  const wanted = since === undefined ? {} : parseCursor(since).positions
  const polled = segment.transport === 'poll'
  const wrong = channels.flatMap((channel) =>
    followed.begin(channel, {
      start: positions[channel],
      options,
      batches: true,
      right,
      polled,
      asked: wanted[channel],
      status: recovery[channel]?.status,
    }),
  )
  if (!isDeepStrictEqual(Object.keys(recovery).sort(), [...channels].sort()))
    wrong.push(`the recovery of ${Object.keys(recovery).join()} was told, ${channels.join()} were asked for`)
  const barred = channels.find((channel) => opened(right, channel) === 'none')
  if (barred) wrong.push(`${barred} was confirmed, which is outside its right`)
  // What a session has not polled yet is told to it all the same.
  if (!polled) wrong.push(...followed.claim(cursor, 'a confirmation'))
  return [...wrong, ...sameChannels(message, followed)]
}

function began({ segment, followed, right }: Course, message: Message): string[] {
  const asked = segment.asked.get('stream')
  if (!asked) return ['a stream came unasked']
  const { channels, since, ...options } = asked
  const { positions } = parseCursor(String(message['cursor']))
  const wanted = since === undefined ? {} : parseCursor(since).positions
  return channels.flatMap((channel) => {
    const status = wanted[channel] === undefined ? 'live' : 'recovered'
    const start = positions[channel]
    const about = { options, batches: false, right, polled: false }
    return followed.begin(channel, { ...about, start, asked: wanted[channel], status })
  })
}

function sameChannels(message: Message, followed: Followed): string[] {
  const named = [...(message['channels'] as string[])].sort()
  return isDeepStrictEqual(named, followed.channels)
    ? []
    : [`${message.type} says ${named.join()}, followed are ${followed.channels.join()}`]
}

/** Whoever pings after a writer had its answer has what was written before the pong, save what `batch_ms` holds. */
function staleness({ pinged }: Segment, message: Message, followed: Followed): string[] {
  const known = pinged.get(message['id'])
  if (known === undefined) return []
  const [then, now] = [parseCursor(known).positions, parseCursor(String(message['cursor'])).positions]
  const late = followed.channels.find(
    (channel: Channel) =>
      !followed.optionsOf(channel)?.batch_ms && (now[channel] ?? 0) < (then[channel] ?? 0),
  )
  return late ? [`a pong says ${late}=${now[late]}, ${then[late]} was acknowledged before the ping`] : []
}
