/** Notices that the wall clock was set: that it moved otherwise than the clock that no setting moves. */

/** Less is a clock that is kept right by small steps. */
const NOTICED_MS = 2000

interface ClockWatchOptions {
  readonly now: () => Date
  readonly monotonicMs: () => number
}

/** Times that are stored, and waited for, are on the wall clock; they have to move with it. */
export function createClockWatch({ now, monotonicMs }: ClockWatchOptions) {
  const offset = (wall: Date) => wall.getTime() - monotonicMs()
  let last = offset(now())
  return {
    /** By how much the wall clock was set since the last accepted look, in milliseconds; 0 for little. */
    look(wall: Date): { readonly setMs: number; accept(): void } {
      const present = offset(wall)
      const moved = Math.round(present - last)
      return {
        setMs: Math.abs(moved) < NOTICED_MS ? 0 : moved,
        accept: () => {
          last = present
        },
      }
    },
  }
}
