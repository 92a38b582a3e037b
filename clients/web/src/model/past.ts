/** Reads events before now, as far as the journal still has them: an extra, so a page does without what cannot be read. */
import type { Channel, LightwireEvent } from '../../../typescript/src/events.ts'
import { formatCursor, parseCursor } from '../../../typescript/src/positions.ts'
import { ApiError, passes, type Api } from '../api.ts'
import { nowhere, placesOf, type Places } from './slice.ts'

const TRIES = 3
const PAUSE_MS = 500
const PAUSE_MAX_MS = 5000

export interface EventPage {
  readonly events: readonly LightwireEvent[]
  /** Up to where it goes: with more to come that is before the head. */
  readonly cursor: string
}

/** @param head where the journal stands; each read begins so many events before it, or at the oldest one kept */
export function createPast(read: Api['get'], channels: readonly Channel[], head: string) {
  const list = channels.join(',')

  const oldestKept = async (): Promise<Places> => {
    const { value } = await read<EventPage>(`/api/events?channels=${list}&limit=1`)
    const places = new Map(placesOf(value.cursor))
    // Its cursor is where each channel begins, but for the one event that it gave.
    for (const { channel, seq } of value.events) places.set(channel, seq - 1)
    return places
  }
  /** What to begin after the next time; undefined where the next time goes no better. */
  const remedy = async (error: unknown, oldest: Places): Promise<Places | undefined> => {
    if (!(error instanceof ApiError)) return undefined
    if (error.status === 410) return await oldestKept().catch(() => oldest)
    if (!passes(error)) return undefined
    const waitMs = Math.min(error.retryAfterMs ?? PAUSE_MS, PAUSE_MAX_MS)
    await new Promise((resolve) => setTimeout(resolve, waitMs))
    return oldest
  }
  /** Undefined where it cannot be read. */
  return async (query: string, back: number): Promise<EventPage | undefined> => {
    let oldest: Places | undefined = nowhere
    let last: unknown
    // More than twice, for retention goes on meanwhile.
    for (let attempt = 1; oldest && attempt <= TRIES; attempt += 1) {
      const since = encodeURIComponent(before(head, channels, back, oldest))
      try {
        return (await read<EventPage>(`/api/events?channels=${list}&since=${since}&${query}`)).value
      } catch (error) {
        last = error
        oldest = await remedy(error, oldest)
      }
    }
    // A filter that no event of these channels can pass is no fault.
    if (!(last instanceof ApiError) || last.status !== 400) console.warn('lightwire', last)
    return undefined
  }
}

function before(cursor: string, channels: readonly Channel[], back: number, oldest: Places): string {
  const { epoch = '', positions } = parseCursor(cursor) ?? {}
  const places = channels.map(
    (channel) =>
      [channel, Math.max(0, (positions?.get(channel) ?? 0) - back, oldest.get(channel) ?? 0)] as const,
  )
  return formatCursor(epoch, places)
}
