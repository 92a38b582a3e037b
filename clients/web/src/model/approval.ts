/** The photos that wait for a verdict: read best first, then kept by events; what an event does not say is read. */
import type { LightwireEvent } from '../../../typescript/src/events.ts'
import { isFinal, type Answer } from '../api.ts'
import { bound, isAfter, nowhere, placesOf, type Places } from './slice.ts'

const PAGE = 200
const CARDS_MAX = 1000
/** With fewer cards than this the next ones are read, while there are more. */
const CARDS_LOW = 60
/** So many photos are read one by one; of more the queue is read as a whole. */
const SINGLE_MAX = 8
/** Between two reads. */
const PAUSE_MS = 250
/** After reads that failed, each time twice as long up to here. */
const RETRY_MAX_MS = 4000
const RECENT_MAX = 5000

export const QUEUE_PATH = `/api/approval/queue?limit=${PAGE}`

/** As the routes give it. */
export interface PhotoRead {
  readonly id: number
  readonly session_id: number | null
  readonly file_name: string
  readonly file_path: string
  readonly status: string
  readonly ai_score: number | null
  readonly context_tag: string
  readonly selected_preset: string
}

export interface QueueRead {
  readonly photos: readonly PhotoRead[]
  readonly total: number
}

export type Card = Omit<PhotoRead, 'status'> & {
  /** Where it was read. */
  readonly places: Places
}

export interface ApprovalOptions {
  readonly read: <T>(path: string) => Promise<Answer<T>>
  readonly onChange: () => void
  /** The life of the page that this is for. */
  readonly ended?: AbortSignal
}

export function createApproval({ read, onChange, ended }: ApprovalOptions) {
  const cards = new Map<number, Card>()
  const wanted = new Set<number>()
  let places = nowhere
  let total: number | undefined
  let hasMore = false
  /** The session that somebody looks at alone, 0 for none, and whether more of it may wait than is here. */
  let session = 0
  let sessionHasMore = false
  let isReading = false
  let pauseMs = PAUSE_MS
  /** What came while something was being read: the answer may be older. */
  let recent: LightwireEvent[] = []
  /** Counts resets: what a read before one brings is old. */
  let life = 0

  const put = ({ status, ...photo }: PhotoRead, at: Places) => {
    if (status !== 'completed') return void cards.delete(photo.id)
    cards.set(photo.id, { ...photo, places: at })
    if (cards.size > CARDS_MAX) hasMore = true
    bound(cards, CARDS_MAX)
  }
  const fill = (queue: QueueRead | undefined, at: Places) => {
    const photos = queue?.photos ?? []
    cards.clear()
    places = at
    total = queue?.total
    hasMore = (total ?? 0) > photos.length
    sessionHasMore = hasMore
    for (const photo of photos) put(photo, at)
  }

  /** Whether it changed anything. */
  const act = (event: LightwireEvent): boolean => {
    if (!isAfter(places, event)) return false
    if (event.type === 'approval_queue_updated') {
      total = event.queue_count
      return true
    }
    if (event.type === 'session_deleted') {
      const gone = [...cards.values()].filter(({ session_id }) => session_id === event.session_id)
      for (const { id } of gone) cards.delete(id)
      return gone.length > 0
    }
    if (!('photo_id' in event) || typeof event.photo_id !== 'number') return false
    const id = event.photo_id
    const card = cards.get(id)
    if (card && !isAfter(card.places, event)) return false
    switch (event.type) {
      case 'job_completed':
      case 'job_cancelled':
        want(id)
        return false
      case 'photo_analyzed':
        if (card)
          cards.set(id, { ...card, ai_score: typeof event.ai_score === 'number' ? event.ai_score : null })
        return card !== undefined
      case 'photo_selected': {
        const { context_tag, selected_preset } = event
        if (card) cards.set(id, { ...card, context_tag, selected_preset })
        return card !== undefined
      }
      case 'job_created':
      case 'job_started':
      case 'job_requeued':
      case 'job_failed':
      case 'photo_approved':
      case 'photo_rejected':
        return cards.delete(id)
      default:
        return false
    }
  }

  const want = (id: number) => {
    wanted.add(id)
    void pump()
  }
  const pump = async (): Promise<void> => {
    if (isReading || ended?.aborted || (wanted.size === 0 && !isLow() && !isSessionLow())) return
    isReading = true
    const mine = life
    const ids = [...wanted]
    wanted.clear()
    recent = []
    const isWell =
      isLow() || ids.length > SINGLE_MAX
        ? await readQueue(ids)
        : (await Promise.all([...ids.map(readOne), ...(isSessionLow() ? [readSession()] : [])])).every(
            Boolean,
          )
    const missed = mine === life ? recent : []
    recent = []
    for (const event of missed) act(event)
    onChange()
    pauseMs = isWell ? PAUSE_MS : Math.min(2 * pauseMs, RETRY_MAX_MS)
    await new Promise((resolve) => setTimeout(resolve, pauseMs))
    isReading = false
    void pump()
  }
  const readQueue = (ids: readonly number[]) =>
    attempt(ids, async (mine) => {
      const { value, cursor } = await read<QueueRead>(QUEUE_PATH)
      if (mine === life) fill(value, placesOf(cursor))
    })
  const readSession = () =>
    attempt([], async (mine) => {
      const asked = session
      const { value, cursor } = await read<QueueRead>(`${QUEUE_PATH}&session_id=${asked}`)
      if (mine !== life || asked !== session) return
      for (const photo of value.photos) put(photo, placesOf(cursor))
      sessionHasMore = value.total > value.photos.length
    })
  const readOne = (id: number) =>
    attempt([id], async (mine) => {
      const { value, cursor } = await read<PhotoRead>(`/api/photos/${id}`)
      if (mine === life) put(value, placesOf(cursor))
    })
  const attempt = async (ids: readonly number[], reading: (mine: number) => Promise<void>) => {
    const mine = life
    try {
      await reading(mine)
      return true
    } catch (error) {
      // Wanted again, for a client that resumes hears of no photo twice; only one that is gone is no card.
      if (mine === life && !isFinal(error)) for (const id of ids) wanted.add(id)
      return false
    }
  }
  const isLow = () => hasMore && cards.size < CARDS_LOW
  const isSessionLow = () =>
    session !== 0 &&
    sessionHasMore &&
    [...cards.values()].filter(({ session_id }) => session_id === session).length < CARDS_LOW

  return {
    reset(value: QueueRead | undefined, at: Places) {
      life += 1
      wanted.clear()
      recent = []
      fill(value, at)
    },
    apply(event: LightwireEvent): boolean {
      if (isReading) recent.push(event)
      // More than a read can be late by: what it brings is not enough, so all of it is read after it.
      if (recent.length > RECENT_MAX) {
        recent = []
        hasMore = true
      }
      const changed = act(event)
      if (isLow() || isSessionLow()) void pump()
      return changed
    },
    /** At one session alone, 0 for all: what the best of the whole queue leave out of it is read too. */
    lookAt(id: number) {
      session = id
      sessionHasMore = hasMore
      if (isSessionLow()) void pump()
    },
    /** Whether more of the session that is looked at may wait than is here. */
    get sessionHasMore() {
      return sessionHasMore
    },
    /** Undefined while nothing says it. */
    get total() {
      return total
    },
    get: (id: number) => cards.get(id),
    /** Best score first, of equals the newest. */
    list: (): Card[] =>
      [...cards.values()].sort((a, b) => (b.ai_score ?? 0) - (a.ai_score ?? 0) || b.id - a.id),
  }
}
