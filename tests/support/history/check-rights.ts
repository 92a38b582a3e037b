/** Rights in time: nothing comes by a pass that ended, it opens nothing more, and no good one is refused. */
import type { Message } from '../client.ts'
import { covers, type Pass, type RevocationRecord } from './operator-record.ts'
import { LEEWAY_MS } from './passes.ts'
import type { History, PullRecord, Segment, ShownRecord } from './record.ts'

/** A connection ends when its pass has expired: PROTOCOL §7 gives the leeway, and the server looks once a second. */
const EXPIRED_WITHIN_MS = LEEWAY_MS + 1000
/** What was sent before the answer to a revocation is on its way, through a proxy that stalls perhaps, for this long. */
const ON_ITS_WAY_MS = 1000
/** A timer is late by as much as its machine is busy. Where it was not noticed here, it was no more than this. */
const UNNOTICED_MS = 1000

type Passed = Pick<History, 'revocations' | 'lateMs'>

/** When a pass was void for certain: its revocation had been answered. Infinity where none was. */
function revokedMs({ revocations }: Passed, pass: Pass): number {
  const times = revocations.flatMap((revocation: RevocationRecord) =>
    revocation.answeredMs !== undefined && covers(revocation, pass) ? revocation.answeredMs : [],
  )
  return Math.min(...times)
}

/** What a connection was sent under each of its passes, and how long it stood. */
export function checkHeld(history: Passed, { held, received, refreshes }: Segment): string[] {
  const wrong: string[] = []
  const limits = held.map(({ pass }) => limitsOf(history, pass))
  let index = 0
  for (const message of received) {
    const changes = message.type === 'authenticated' || message.type === 'shown'
    if (changes && refreshes.has(message['id'])) index += 1
    for (const atMs of timesIn(message)) wrong.push(...tooLate(`got ${message.type}`, atMs, limits[index]))
  }
  for (const [at, { pass, heardMs, stoodMs, expiredMs = Infinity }] of held.entries()) {
    const limit = limits[at]
    const seen = limit && { ...limit, revokedMs: limit.revokedMs + ON_ITS_WAY_MS + history.lateMs }
    wrong.push(...tooLate('heard something', heardMs, seen), ...tooLate('stood', stoodMs, seen))
    const earlyMs = pass.expiresAtMs + LEEWAY_MS - expiredMs
    if (earlyMs > 0) wrong.push(`was told ${earlyMs} ms too early that its token had expired`)
  }
  return wrong
}

/** Each page that was pulled with a pass. */
export function checkPulledPage(history: Passed, { pass, events }: PullRecord): string[] {
  if (!pass || events.length === 0) return []
  const limits = limitsOf(history, pass)
  return events.flatMap(({ type, timestamp }) => tooLate(`pulled ${type}`, Date.parse(timestamp), limits))
}

interface Limits {
  readonly revokedMs: number
  readonly expiredMs: number
}

/**
 * Up to when the server may make what it sends by a pass, on its own clock, which is that of the subscribers too. What it
 * made after a revocation had been answered cannot have been on its way by then: no time is allowed for one.
 */
function limitsOf(history: Passed, pass: Pass): Limits {
  const expiredMs = pass.expiresAtMs + EXPIRED_WITHIN_MS + UNNOTICED_MS + history.lateMs
  return { revokedMs: revokedMs(history, pass), expiredMs }
}

function tooLate(what: string, atMs: number, limits: Limits | undefined): string[] {
  if (!limits) return []
  const { revokedMs: revoked, expiredMs: expired } = limits
  return [
    ...(atMs > revoked ? [`${what} ${atMs - revoked} ms late, its token was revoked`] : []),
    ...(atMs > expired ? [`${what} ${atMs - expired} ms late, its token had expired`] : []),
  ]
}

/** When the server made what a message holds, where it says so. */
function timesIn(message: Message): number[] {
  const messages = message.type === 'batch' ? (message['events'] as Message[]) : [message]
  return messages.flatMap(({ timestamp }) => (typeof timestamp === 'string' ? Date.parse(timestamp) : []))
}

/** Every pass that was shown: taken while it was good, and refused only for what was wrong with it. */
export function checkShown(history: History): string[] {
  return history.shown.flatMap((shown) => {
    const fault = shown.code === undefined ? wronglyTaken(history, shown) : wronglyRefused(history, shown)
    return fault === undefined ? [] : [`${shown.name}: ${shown.what}: ${fault}`]
  })
}

function wronglyTaken(history: History, { pass, startedMs }: ShownRecord): string | undefined {
  if (startedMs > revokedMs(history, pass)) return 'a revoked token was taken'
  return startedMs >= pass.expiresAtMs + LEEWAY_MS ? 'an expired token was taken' : undefined
}

function wronglyRefused({ revocations }: History, { pass, endedMs, code }: ShownRecord): string | undefined {
  const maybeRevoked = revocations.some((revocation) => covers(revocation, pass))
  const expired = endedMs >= pass.expiresAtMs + LEEWAY_MS
  const meant = code === 'invalid_token' ? maybeRevoked : code === 'unauthenticated' && expired
  return meant ? undefined : `a good token was refused as ${code}`
}

/** Whether the end of a connection with this code was meant for one of the passes that it had shown. */
export function isEndOf(
  { revocations }: Pick<History, 'revocations'>,
  passes: readonly Pass[],
  code: number,
  atMs: number,
): boolean {
  const revoked = passes.some((pass) => revocations.some((revocation) => covers(revocation, pass)))
  const expired = passes.some(({ expiresAtMs }) => atMs >= expiresAtMs + LEEWAY_MS)
  if (code === 4401) return expired
  // A refresh that fails closes with 4501, whatever was wrong with its token.
  return code === 4501 ? revoked || (passes.length > 1 && expired) : code === 4503 && revoked
}
