/** The exact join: a state that was read, and every event after it, each once; again whenever the position is lost. */
import { backoffMs } from './backoff.ts'
import type { Environment } from './environment.ts'
import type { Channel, LightwireEvent } from './events.ts'
import { HttpFailure } from './http-calls.ts'
import { matches } from './matches.ts'
import { parseCursor, type Positions } from './positions.ts'
import { LightwireError, type FollowOptions, type Following, type Read, type Snapshot } from './types.ts'

/** Events that wait while a state is read; with more the state is read again. */
const HELD_MAX = 10_000

interface FollowServices {
  readonly environment: Environment
  readonly positions: Positions
  readonly read: Read
  /** Subscribes for as long as this follows. */
  readonly hold: () => { readonly ready: Promise<unknown>; release(): void }
  /** Whether one of the channels is subscribed, but otherwise than this needs it. */
  readonly differs: () => boolean
  readonly isClosed: () => boolean
  readonly onError: (error: unknown) => void
}

export interface Follower {
  readonly following: Following
  take(event: LightwireEvent): void
  lost(channels: readonly Channel[]): void
  /** The client is closed. */
  close(): void
}

export function createFollower<T>(
  source: string | ((read: Read) => Promise<Snapshot<T>>),
  channels: readonly Channel[],
  { onSnapshot, onEvent, where }: FollowOptions<T>,
  services: FollowServices,
): Follower {
  const { environment, positions, read, onError } = services
  let held: LightwireEvent[] = []
  let overflowed = false
  /** Where the state was read; undefined while it is being read. */
  let floor: ReadonlyMap<string, number> | undefined
  let isStopped = false
  let holding: ReturnType<FollowServices['hold']> | undefined
  /** Counts loads: what an earlier one still brings is old. */
  let loads = 0
  let current: Promise<void> | undefined
  /** Ends a wait before the next attempt. */
  let wake = () => {}

  const guarded = (act: () => void) => {
    try {
      act()
    } catch (error) {
      onError(error)
    }
  }
  const apply = (event: LightwireEvent) => {
    if (!isStopped && event.seq > (floor?.get(event.channel) ?? 0)) guarded(() => onEvent(event))
  }

  const readOnce = async (): Promise<{ value: T; places: ReadonlyMap<string, number>; epoch: string }> => {
    const began = channels.map(
      (channel) => [channel, positions.epochOf(channel), positions.seqOf(channel)] as const,
    )
    const { value, cursor } = await (typeof source === 'string' ? read<T>(source) : source(read))
    const parsed = parseCursor(cursor)
    if (!parsed) throw new TypeError(`the snapshot has no cursor: ${cursor}`)
    // A stored position of another journal says nothing about this one.
    const isOlder = ([channel, epoch, seq]: (typeof began)[number]) =>
      epoch === parsed.epoch && seq > (parsed.positions.get(channel) ?? 0)
    if (overflowed || began.some(isOlder))
      throw new LightwireError('cursor_gone', 'the state that was read is older than what was seen')
    return { value, places: parsed.positions, epoch: parsed.epoch }
  }

  const load = async (): Promise<void> => {
    loads += 1
    const mine = loads
    const isOver = () => mine !== loads || isStopped || services.isClosed()
    floor = undefined
    wake()
    // What others left out until now would be missing behind the state: first all of it comes, then the state is read.
    if (services.differs()) holding ??= services.hold()
    if (holding) await holding.ready
    for (let attempt = 0; !isOver(); attempt += 1) {
      held = []
      overflowed = false
      const unplaced = channels.filter((channel) => !positions.has(channel))
      try {
        const { value, places, epoch } = await readOnce()
        if (isOver()) break
        if (!holding && services.differs()) return await begin()
        // A subscription that began meanwhile began beyond the state: what lies between would be missing.
        if (unplaced.some((channel) => positions.seqOf(channel) > (places.get(channel) ?? 0))) continue
        floor = places
        guarded(() => onSnapshot(value))
        for (const event of held.splice(0)) apply(event)
        if (isOver()) break
        for (const channel of channels)
          if (!positions.has(channel)) positions.place(channel, epoch, places.get(channel) ?? 0)
        break
      } catch (error) {
        if (isOver()) break
        if (isRefusal(error)) throw error
        onError(error)
        const wait = error instanceof LightwireError ? error.retryAfterMs : undefined
        await new Promise<void>((resolve) => {
          const cancel = environment.after(wait ?? backoffMs(attempt, environment.random), resolve)
          wake = () => {
            cancel()
            resolve()
          }
        })
      }
    }
    if (services.isClosed()) throw new LightwireError('closed', 'the client is closed')
    if (!isOver()) await (holding ??= services.hold()).ready
    // Lost meanwhile, or with the subscription: the state that is read now is the first that holds.
    if (mine !== loads) await current
  }

  const begin = (): Promise<void> => {
    const mine = (current = load())
    mine.catch((error: unknown) => {
      // Of one that another has followed that other tells.
      if (mine === current && !services.isClosed()) onError(error)
    })
    return mine
  }

  const ready = begin()
  return {
    following: {
      ready,
      stop() {
        if (isStopped) return
        isStopped = true
        held = []
        wake()
        holding?.release()
      },
    },
    take(event) {
      if (isStopped || !channels.includes(event.channel) || !matches(where, event)) return
      if (floor) apply(event)
      else if (held.length < HELD_MAX) held.push(event)
      else overflowed = true
    },
    lost(gone) {
      if (!isStopped && gone.some((channel) => channels.includes(channel))) void begin()
    },
    close: () => wake(),
  }
}

/** The server's no to the request itself, which the next one would meet too. */
function isRefusal(error: unknown): boolean {
  if (!(error instanceof HttpFailure)) return false
  return error.status < 500 && ![401, 408, 429].includes(error.status)
}
