/** The doctor's yardstick: what one socket got, and whether another way to the same events gave the same. */
import type * as z from 'zod'
import { formatCursor, parseCursor, type Positions } from '../lib/protocol/cursor.ts'
import { type Channel } from '../lib/protocol/events.ts'
import { Refusal } from '../lib/protocol/refusals.ts'
import type { Message } from './demo-client.ts'
import { parseAs, requireStatus } from './doctor-api.ts'
import { Fault } from './doctor-report.ts'
import type { Watcher } from './doctor-watcher.ts'
import { ask, type Place } from './rest-client.ts'

export const TRANSPORT_LOOK =
  "the server's log and version, and what stands between (a proxy must pass every answer as it is)"

/** What a socket got, which every other way must give too. */
export interface Reference {
  readonly name: string
  /** A cursor before the first of them. */
  readonly since: string
  readonly upto: Positions
  readonly events: readonly Message[]
}

export async function referenceOf(watcher: Watcher): Promise<Reference> {
  const { positions: upto, cursor } = await watcher.ping()
  const events = watcher.arrivals.flatMap(({ event }) => (lies(event, upto) ? [event] : []))
  const since = formatCursor({ epoch: cursorOf(cursor).epoch, positions: watcher.start })
  return { name: watcher.name, since, upto, events }
}

export function cursorOf(text: string) {
  try {
    return parseCursor(text)
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    throw new Fault({ expected: 'a cursor', seen: JSON.stringify(text), look: TRANSPORT_LOOK })
  }
}

export async function get<S extends z.ZodType>(place: Place, path: string, schema: S): Promise<z.output<S>> {
  const answer = await ask(place, 'GET', path)
  const what = `GET ${path.split('?')[0]}`
  requireStatus(what, answer, 200)
  return parseAs(what, answer, schema)
}

export async function post<S extends z.ZodType>(
  place: Place,
  path: string,
  body: object,
  schema: S,
): Promise<z.output<S>> {
  const answer = await ask(place, 'POST', path, body)
  requireStatus(`POST ${path}`, answer, 200)
  return parseAs(`POST ${path}`, answer, schema)
}

/** Channel by channel the same events, once and in order. @throws {Fault} */
export function requireSame(
  name: string,
  got: readonly Message[],
  wanted: readonly Message[],
  channels: readonly Channel[],
): void {
  for (const channel of channels) {
    const mine = got.filter((event) => event['channel'] === channel)
    const theirs = wanted.filter((event) => event['channel'] === channel)
    const at = theirs.findIndex((event, index) => !Bun.deepEquals(mine[index], event, true))
    if (at < 0 && mine.length === theirs.length) continue
    const [expected, seen] = at < 0 ? [undefined, mine[theirs.length]] : [theirs[at], mine[at]]
    throw new Fault({
      expected: `${titleOf(expected)} next on ${name}`,
      seen: titleOf(seen),
      look: TRANSPORT_LOOK,
    })
  }
}

export function titleOf(event: Message | undefined): string {
  return event
    ? `${String(event['type'])} at ${String(event['channel'])} ${String(event['seq'])}`
    : 'no event'
}

export function lies(event: Message, upto: Positions): boolean {
  return Number(event['seq']) <= (upto[event['channel'] as Channel] ?? 0)
}
