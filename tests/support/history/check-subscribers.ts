/** What subscribers received: each connection goes on where the one before ended, and together they are the journal. */
import { isDeepStrictEqual } from 'node:util'
import { parseCursor, type Positions } from '../../../lib/protocol/cursor.ts'
import { channels, type Channel } from '../../../lib/protocol/events.ts'
import type { Message } from '../client.ts'
import { isOwnWarning } from './check-journal.ts'
import {
  covers,
  isJournalEvent,
  type Ending,
  type History,
  type Segment,
  type SubscriberRecord,
} from './record.ts'

/** A revocation takes effect on live connections within this. */
const REVOKED_WITHIN_MS = 1000

export function checkSubscriber(history: History, subscriber: SubscriberRecord): string[] {
  const { name, segments, endings, stopped } = subscriber
  const { journal } = history
  const wrong: string[] = []
  const positions: Positions = {}
  for (const [index, segment] of segments.entries()) {
    const at = `${name}, connection ${index + 1}`
    wrong.push(...begin(segment, positions, at))
    const words = new Set<unknown>()
    for (const message of segment.received) {
      if (message.type === 'word') wrong.push(...checkWord(history, segment, message, words, at))
      else wrong.push(...step(message, positions, journal, at))
    }
    wrong.push(...checkRevoked(history, segment, at))
  }
  for (const ending of endings) wrong.push(...checkEnding(history, ending, name))
  if (stopped) return wrong
  for (const [channel, position] of Object.entries(positions) as [Channel, number][]) {
    const missing = (journal.get(channel) ?? []).slice(position)
    // What the server said by itself after the subscriber left is nobody's loss.
    if (!missing.every(isOwnWarning) || position > (journal.get(channel)?.length ?? 0))
      wrong.push(`${name}: ended at ${channel}=${position}, the journal at ${position + missing.length}`)
  }
  return wrong
}

function begin({ since, confirmation }: Segment, positions: Positions, at: string): string[] {
  const wrong: string[] = []
  const confirmed = parseCursor(String(confirmation['cursor'])).positions
  const recovery = confirmation['recovery'] as Record<string, { status: string }>
  for (const channel of channels) {
    const start = confirmed[channel]
    if (start === undefined) continue
    const status = recovery[channel]?.status
    const asked = since === undefined ? undefined : parseCursor(since).positions[channel]
    if (asked !== undefined && status !== 'recovered') wrong.push(`${at}: ${channel} was told ${status}`)
    if (status === 'recovered' && asked !== start)
      wrong.push(`${at}: ${channel} asked ${asked}, begins at ${start}`)
    positions[channel] = start
  }
  return wrong
}

function step(message: Message, positions: Positions, journal: History['journal'], at: string): string[] {
  if (message.type === 'pong') {
    const claimed = parseCursor(String(message['cursor'])).positions
    return (Object.entries(claimed) as [Channel, number][]).flatMap(([channel, seq]) =>
      seq === positions[channel]
        ? []
        : [`${at}: a pong says ${channel}=${seq}, received was ${positions[channel]}`],
    )
  }
  if (message.type === 'disconnect') return []
  if (!isJournalEvent(message)) return [`${at}: ${message.type} came unasked`]
  const { channel, seq } = message
  const position = positions[channel]
  if (position === undefined) return [`${at}: an event of ${channel}, which it does not follow`]
  positions[channel] = Math.max(position, seq)
  if (seq <= position) return [`${at}: ${channel}/${seq} came again after ${position}`]
  if (seq !== position + 1) return [`${at}: ${channel} jumps from ${position} to ${seq}`]
  const stored = journal.get(channel)?.[seq - 1]
  if (!stored) return [`${at}: ${channel}/${seq} is a phantom`]
  return isDeepStrictEqual(stored, message) ? [] : [`${at}: ${channel}/${seq} differs from the journal`]
}

/** An ephemeral message was said, to this audience, once, and has no place in the journal. */
function checkWord(
  { words }: History,
  { clientType, confirmation }: Segment,
  message: Message,
  seen: Set<unknown>,
  at: string,
): string[] {
  const { n } = message
  if ('seq' in message || 'channel' in message) return [`${at}: the ephemeral word ${String(n)} is numbered`]
  const word = words.get(Number(n))
  if (!word) return [`${at}: nobody said the word ${String(n)}`]
  if (seen.has(n)) return [`${at}: the word ${String(n)} came twice`]
  seen.add(n)
  const followed = confirmation['channels'] as readonly string[]
  const meant =
    (word.channel === undefined || followed.includes(word.channel)) &&
    (word.clientType === undefined || word.clientType === clientType)
  return meant ? [] : [`${at}: the word ${String(n)} was for others`]
}

/** No more than were told got it. */
export function checkWords({ words, subscribers }: History): string[] {
  const received = new Map<unknown, number>()
  for (const { segments } of subscribers)
    for (const { type, n } of segments.flatMap((segment) => segment.received))
      if (type === 'word') received.set(n, (received.get(n) ?? 0) + 1)
  return [...words].flatMap(([n, { recipients = Infinity }]) => {
    const count = received.get(n) ?? 0
    return count <= recipients ? [] : [`the word ${n} went to ${recipients} clients, ${count} got it`]
  })
}

/** A connection ends soon after its token was revoked: by the server's own clock. */
function checkRevoked({ revocations }: History, { pass, received }: Segment, at: string): string[] {
  if (!pass) return []
  const times = revocations.flatMap((revocation) =>
    revocation.revokedAtMs !== undefined && covers(revocation, pass) ? revocation.revokedAtMs : [],
  )
  const endMs = Math.min(...times) + REVOKED_WITHIN_MS
  const late = received.find(({ timestamp }) => Date.parse(String(timestamp)) > endMs)
  return late ? [`${at}: got ${late.type} of ${String(late['timestamp'])}, its token was revoked`] : []
}

/** Whoever was sent away was meant. */
function checkEnding({ revocations, disconnects }: History, ending: Ending, name: string): string[] {
  const { code, reason, pass, clientId } = ending
  const revoked = pass !== undefined && revocations.some((revocation) => covers(revocation, pass))
  const sentAway = (reconnect: boolean) =>
    disconnects.some((by) => by.clientId === clientId && by.reconnect === reconnect)
  const meant =
    code === 1006 || (code === 1012 ? sentAway(true) : code === 4503 ? sentAway(false) || revoked : revoked)
  return meant ? [] : [`${name}: its connection ended with ${code} ${reason}`]
}
