/** The client's rule (PROTOCOL §5), pure: what of that which arrives is applied, what is passed over, what is a gap. */
import type { Channel, LightwireEvent } from './events.ts'

export interface Cursor {
  readonly epoch: string
  readonly positions: ReadonlyMap<string, number>
}

/** `k3v9q2:jobs=120,photos=88` */
export function parseCursor(text: string): Cursor | undefined {
  const [, epoch = '', list = ''] = /^([a-z0-9]{1,32}):([a-z=0-9,]*)$/.exec(text) ?? []
  if (epoch === '') return undefined
  const parts = list === '' ? [] : list.split(',').map((part) => part.split('='))
  return { epoch, positions: new Map(parts.map(([channel = '', seq]) => [channel, Number(seq)])) }
}

export function formatCursor(epoch: string, positions: Iterable<readonly [string, number]>): string {
  const parts = [...positions].sort(([a], [b]) => (a < b ? -1 : 1))
  return `${epoch}:${parts.map(([channel, seq]) => `${channel}=${seq}`).join(',')}`
}

export interface Batch {
  readonly channel: Channel
  readonly after: number
  readonly upto: number
  readonly events: readonly LightwireEvent[]
}

/** What arrived, by the rule: the events to apply, or that something before it is missing. */
export type Verdict = readonly LightwireEvent[] | 'gap'

export type Positions = ReturnType<typeof createPositions>

/** @param isFollowed whether a channel is subscribed, and not just known of from an earlier life */
export function createPositions(isFollowed: (channel: string) => boolean = () => true) {
  const held = new Map<string, { epoch: string; seq: number }>()
  let consistent: string | null = null

  const seqOf = (channel: string) => held.get(channel)?.seq ?? 0
  const byEpoch = (channels: Iterable<string>): ReadonlyMap<string, readonly string[]> => {
    const placed = new Map<string, string[]>()
    for (const channel of channels) {
      const epoch = held.get(channel)?.epoch
      if (epoch !== undefined) placed.set(epoch, [...(placed.get(epoch) ?? []), channel])
    }
    return placed
  }
  const cursorOf = (epoch: string, channels: readonly string[]) =>
    formatCursor(
      epoch,
      channels.map((channel) => [channel, seqOf(channel)]),
    )

  return {
    has: (channel: string) => held.has(channel),
    seqOf,
    epochOf: (channel: string) => held.get(channel)?.epoch,

    /** The place of a channel is this one, whatever it was. */
    place: (channel: string, epoch: string, seq: number) => void held.set(channel, { epoch, seq }),

    forget: (channel: string) => void held.delete(channel),

    /** An event or a batch moves nothing by itself: `move` does, as each event is applied. */
    judgeEvent(event: LightwireEvent): Verdict {
      const { channel, seq } = event
      const next = seqOf(channel) + 1
      if (!held.has(channel) || seq < next) return []
      return seq > next ? 'gap' : [event]
    },

    judgeBatch({ channel, after, events }: Batch): Verdict {
      const position = seqOf(channel)
      if (!held.has(channel)) return []
      return after > position ? 'gap' : events.filter(({ seq }) => seq > position)
    },

    /** Forward only; false where the channel has no place any more. */
    move(channel: string, seq: number): boolean {
      const position = held.get(channel)
      if (position) position.seq = Math.max(position.seq, seq)
      return position !== undefined
    },

    /**
     * Everything up to `seq` was sent. Where events come bare each of them has arrived, so one that has not is
     * missing; where they come in batches the rest was filtered away.
     */
    reached(channel: string, seq: number, inBatches: boolean): 'gap' | undefined {
      if (!held.has(channel) || seq <= seqOf(channel)) return undefined
      if (!inBatches) return 'gap'
      this.move(channel, seq)
      return undefined
    },

    /** What to subscribe these channels with: one cursor per epoch that they are in, mostly one. */
    since(channels: readonly string[]): { readonly channels: readonly string[]; readonly since?: string }[] {
      const placed = byEpoch(channels)
      // A cursor may leave a channel out: it begins now.
      const unplaced = channels.filter((channel) => !held.has(channel))
      if (placed.size === 0) return [{ channels: unplaced }]
      return [...placed].map(([epoch, own], index) => ({
        channels: index === 0 ? [...own, ...unplaced] : own,
        since: cursorOf(epoch, own),
      }))
    },

    /**
     * Of the channels that are followed, and of the others that are in the same epoch. While some have moved to another
     * epoch and others not yet, no cursor can say where they all are: it is the last one that could.
     */
    get cursor(): string | null {
      const followed = [...held.keys()].filter(isFollowed)
      const [epoch, ...others] = byEpoch(followed.length > 0 ? followed : held.keys()).keys()
      if (epoch === undefined) return null
      if (others.length === 0) consistent = cursorOf(epoch, byEpoch(held.keys()).get(epoch) ?? [])
      return consistent
    },

    /** All of them, for the next life: a cursor per epoch, mostly one. A channel that is not followed keeps its own. */
    get stored(): string | null {
      const cursors = Array.from(byEpoch(held.keys()), ([epoch, channels]) => cursorOf(epoch, channels))
      return cursors.length > 0 ? cursors.join(' ') : null
    },

    /** What an earlier life has stored. */
    restore(stored: string): void {
      for (const { epoch, positions } of stored.split(' ').flatMap((text) => parseCursor(text) ?? []))
        for (const [channel, seq] of positions) this.place(channel, epoch, seq)
    },
  }
}
