/** Small images of photos: fetched with the token where they are looked at, a few at once, the newest kept. */
import { ApiError, type Api } from './api.ts'

const AT_ONCE = 4
const KEPT_MAX = 300

/** An address of this page, or null where there is no preview. */
type Outcome = string | null

interface Wanted {
  readonly id: number
  readonly resolve: (outcome: Outcome) => void
  readonly signal: AbortSignal
}

export type Thumbnails = ReturnType<typeof createThumbnails>

export function createThumbnails(api: Pick<Api, 'blob'>, size: number) {
  const kept = new Map<number, Outcome>()
  let queue: Wanted[] = []
  let underWay = 0
  let isClosed = false

  const keep = (id: number, outcome: Outcome) => {
    kept.set(id, outcome)
    for (const [oldest, address] of kept) {
      if (kept.size <= KEPT_MAX) return
      kept.delete(oldest)
      if (address !== null) URL.revokeObjectURL(address)
    }
  }
  const pump = () => {
    while (underWay < AT_ONCE) {
      const next = queue.shift()
      if (!next) return
      underWay += 1
      void fetchOne(next).finally(() => {
        underWay -= 1
        pump()
      })
    }
  }
  const fetchOne = async ({ id, signal, resolve }: Wanted) => {
    let outcome: Outcome = null
    try {
      const image = await api.blob(`/api/photos/${id}/thumbnail?size=${size}`, signal)
      if (isClosed) return resolve(null)
      outcome = URL.createObjectURL(image)
    } catch (error) {
      // Nobody looks any more: it is asked for again when somebody does.
      if (signal.aborted) return
      // Only what will stay so is remembered; a busy server may have one the next time.
      if (!(error instanceof ApiError) || error.status !== 404) return resolve(null)
    }
    keep(id, outcome)
    resolve(outcome)
  }
  return {
    /** What is there already; undefined where nobody has asked yet. */
    peek: (id: number): Outcome | undefined => kept.get(id),
    async get(id: number, signal: AbortSignal): Promise<Outcome> {
      return await new Promise((resolve) => {
        queue = [...queue.filter((wanted) => !wanted.signal.aborted), { id, resolve, signal }]
        pump()
      })
    },
    close() {
      isClosed = true
      queue = []
      for (const address of kept.values()) if (address !== null) URL.revokeObjectURL(address)
      kept.clear()
    },
  }
}
