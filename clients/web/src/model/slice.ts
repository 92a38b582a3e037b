/** What the parts of the model share: each is read at some place of the journal, and takes what comes after it. */
import type { LightwireEvent } from '../../../typescript/src/events.ts'
import { formatCursor, parseCursor } from '../../../typescript/src/positions.ts'

/** The last event of each channel that a state includes. */
export type Places = ReadonlyMap<string, number>

export const nowhere: Places = new Map()

/** Something and the place where it was read. */
export interface Part<T> {
  readonly value: T
  readonly places: Places
}

export function placesOf(cursor: string): Places {
  return parseCursor(cursor)?.positions ?? nowhere
}

/** Parts are read one after the other: what one of them includes already comes again for the sake of the others. */
export function isAfter(places: Places, { channel, seq }: LightwireEvent): boolean {
  return seq > (places.get(channel) ?? 0)
}

/** The cursor that is before all of these; '' where there is none. */
export function earliest(cursors: readonly string[]): string {
  const parsed = cursors.flatMap((cursor) => parseCursor(cursor) ?? [])
  const [first] = parsed
  if (!first) return ''
  const channels = [...first.positions.keys()]
  const least = (channel: string) => Math.min(...parsed.map(({ positions }) => positions.get(channel) ?? 0))
  return formatCursor(
    first.epoch,
    channels.map((channel) => [channel, least(channel)]),
  )
}

/** The places that are before all of these. */
export function least(all: readonly Places[]): Places {
  const [first = nowhere, ...others] = all
  const seqs = (channel: string) => others.map((places) => places.get(channel) ?? 0)
  return new Map([...first].map(([channel, seq]) => [channel, Math.min(seq, ...seqs(channel))]))
}

/** Takes the oldest entries away until no more than `max` are left. */
export function bound<K, V>(map: Map<K, V>, max: number): void {
  for (const key of map.keys()) {
    if (map.size <= max) return
    map.delete(key)
  }
}
