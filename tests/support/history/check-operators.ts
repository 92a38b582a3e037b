/** What operators did to subscribers: words reach whom they are for, ends whom they are meant for, and nobody else. */
import type { Channel } from '../../../lib/protocol/events.ts'
import type { Message } from '../client.ts'
import { isEndOf } from './check-rights.ts'
import type { Ending, History, Segment } from './record.ts'

/** An ephemeral message was said, to this audience, once, and has no place in the journal. */
export function checkWord(
  { words }: History,
  { clientType }: Segment,
  message: Message,
  followed: readonly Channel[],
  seen: Set<unknown>,
): string[] {
  const { n } = message
  if ('seq' in message || 'channel' in message) return [`the ephemeral word ${String(n)} is numbered`]
  const word = words.get(Number(n))
  if (!word) return [`nobody said the word ${String(n)}`]
  if (seen.has(n)) return [`the word ${String(n)} came twice`]
  seen.add(n)
  const meant =
    (word.channel === undefined || followed.includes(word.channel)) &&
    (word.clientType === undefined || word.clientType === clientType)
  return meant ? [] : [`the word ${String(n)} was for others`]
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

/** Whoever was sent away was meant, and was told why; a server that drains leaves nobody without a word. */
export function checkEnding({ revocations, disconnects, lives }: History, ending: Ending): string[] {
  const { code, reason, passes, atMs, clientId, life, direct, left, told } = ending
  const drained = lives[life] === 'drain'
  if (code === 1006) {
    const cut = clientId !== '' && direct && !left && drained
    return cut ? ['its connection was cut by a server that drained'] : []
  }
  const sentAway = (reconnect: boolean) =>
    disconnects.some((by) => by.clientId === clientId && by.reconnect === reconnect)
  const meant =
    code === 1012
      ? drained || sentAway(true)
      : (code === 4503 && sentAway(false)) || isEndOf({ revocations }, passes, code, atMs)
  const wrong = meant ? [] : [`its connection ended with ${code} ${reason}`]
  return told === code ? wrong : [...wrong, `its connection ended with ${code}, it was told ${String(told)}`]
}
