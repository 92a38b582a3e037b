/** Reads everything that the page shows, and says before which event all of it is. */
import type { Channel, LightwireEvent } from '../../../typescript/src/events.ts'
import type { Api } from '../api.ts'
import type { Rights } from '../rights.ts'
import { alarming } from './alerts.ts'
import { QUEUE_PATH, type QueueRead } from './approval.ts'
import type { Queue } from './counts.ts'
import type { JobRead, JobsRead, PendingRead } from './jobs.ts'
import { PENDING_PATH } from './next-jobs.ts'
import { createPast } from './past.ts'
import type { SampleRead } from './rates.ts'
import type { SessionRow } from './sessions.ts'
import { earliest, placesOf, type Part } from './slice.ts'

/** Events before now that a fresh page shows, per channel. */
const HISTORY = 60
/** How far back it looks for what should be seen, per channel. */
const ALERTS_BACK = 3000
const ALERTS_MAX = 200

/** Undefined is what the token does not open. */
export interface Loaded {
  readonly sessions: Part<readonly SessionRow[]> | undefined
  readonly jobs: JobsRead
  readonly queue: Part<Queue> | undefined
  readonly approval: Part<QueueRead> | undefined
  readonly names: ReadonlyMap<number, string>
  readonly samples: readonly SampleRead[]
  readonly history: Part<readonly LightwireEvent[]>
  readonly alerts: Part<readonly LightwireEvent[]>
}

/** The cursor is before every part: each takes what comes after its own place, so nothing is missed or counted twice. */
export async function load(
  api: Pick<Api, 'get' | 'head'>,
  { channels, apiRead }: Rights,
): Promise<{ value: Loaded; cursor: string }> {
  const read = api.get
  const cursors: string[] = []
  const part = async <T, U>(path: string, pick: (value: T) => U): Promise<Part<U>> => {
    const { value, cursor } = await read<T>(path)
    cursors.push(cursor)
    return { value: pick(value), places: placesOf(cursor) }
  }
  // What no event moves on is not read: it would stand there as if it were of now.
  const whenRead = <T>(act: () => Promise<T>, channel?: Channel) =>
    apiRead && (channel === undefined || channels.includes(channel)) ? act() : Promise.resolve(undefined)

  const [sessions, processing, pending, queue, approval, photos, load] = await Promise.all([
    whenRead(
      () =>
        part<{ sessions: SessionRow[] }, SessionRow[]>(
          '/api/sessions?limit=200&sort=-updated_at',
          (all) => all.sessions,
        ),
      'sessions',
    ),
    whenRead(
      () => part<{ jobs: JobRead[] }, JobRead[]>('/api/jobs?status=processing&limit=500', (all) => all.jobs),
      'jobs',
    ),
    whenRead(() => part<PendingRead, PendingRead>(PENDING_PATH, (value) => value), 'jobs'),
    whenRead(() => part<Queue, Queue>('/api/queue', (value) => value), 'queue'),
    whenRead(() => part<QueueRead, QueueRead>(QUEUE_PATH, (value) => value), 'approval'),
    whenRead(() => part<QueueRead, QueueRead>('/api/photos?limit=500&sort=-updated_at', (value) => value)),
    whenRead(async () => (await read<{ samples: SampleRead[] }>('/api/system/load')).value),
  ])

  const head = cursors[0] ?? (await api.head(channels))
  cursors.push(head)
  const past = createPast(read, channels, head)
  const events = async (
    query: string,
    back: number,
  ): Promise<Part<readonly LightwireEvent[]> | undefined> => {
    const page = await past(query, back)
    if (!page) return undefined
    // The page's own cursor, not the answer's: with more to come it ends earlier.
    cursors.push(page.cursor)
    return { value: page.events, places: placesOf(page.cursor) }
  }
  const where = encodeURIComponent(JSON.stringify({ type: { in: alarming } }))
  const nothing = { value: [], places: placesOf(head) }
  const [history = nothing, alerts = nothing] = await Promise.all([
    events(`limit=${HISTORY * channels.length}`, HISTORY),
    // A token for one channel may have none of these types.
    events(`limit=${ALERTS_MAX}&where=${where}`, ALERTS_BACK),
  ])
  const value: Loaded = {
    sessions,
    jobs: { processing, pending },
    queue,
    approval,
    names: new Map((photos?.value.photos ?? []).map(({ id, file_name }) => [id, file_name])),
    samples: load?.samples ?? [],
    history: { value: inOrder(history.value), places: history.places },
    alerts,
  }
  return { value, cursor: earliest(cursors) }
}

/** A page is in the order of the journal already, channel by channel; people read by time. */
function inOrder(events: readonly LightwireEvent[]): readonly LightwireEvent[] {
  return events.toSorted((a, b) => (a.timestamp < b.timestamp ? -1 : a.timestamp > b.timestamp ? 1 : 0))
}
