/** Verdicts on photos: shown at once, sent until there is an answer, taken back when the server refuses. */
import { ApiError, type Api } from './api.ts'

/** Sent at the same time; the rest waits its turn. */
const AT_ONCE = 6

export type Verdict = 'approve' | 'reject'

export interface Refused {
  readonly verdict: Verdict
  readonly code: string
  /** What the photo is, where that is why. */
  readonly currentStatus: string | undefined
}

interface DecisionsOptions {
  readonly api: Pick<Api, 'insist'>
  readonly onChange: () => void
}

export type Decisions = ReturnType<typeof createDecisions>

export function createDecisions({ api, onChange }: DecisionsOptions) {
  const sending = new Map<number, Verdict>()
  const refused = new Map<number, Refused>()
  const queue: { readonly id: number; readonly verdict: Verdict }[] = []
  const underWay = new Set<number>()

  const pump = () => {
    while (underWay.size < AT_ONCE) {
      const next = queue.shift()
      if (!next) return
      underWay.add(next.id)
      void send(next.id, next.verdict).finally(() => {
        underWay.delete(next.id)
        onChange()
        pump()
      })
    }
  }
  const send = async (id: number, verdict: Verdict) => {
    try {
      await api.insist('POST', `/api/approval/${id}/${verdict}`)
      // It stays away until its event takes it off the queue, however late that is.
    } catch (error) {
      const { code, currentStatus } =
        error instanceof ApiError ? error : { code: 'internal', currentStatus: undefined }
      sending.delete(id)
      refused.set(id, { verdict, code, currentStatus })
    }
  }
  return {
    decide(ids: readonly number[], verdict: Verdict) {
      for (const id of ids) {
        if (sending.has(id)) continue
        refused.delete(id)
        sending.set(id, verdict)
        queue.push({ id, verdict })
      }
      onChange()
      pump()
    },
    verdictOf: (id: number) => sending.get(id),
    refusalOf: (id: number) => refused.get(id),
    /** Of photos that are no longer in the queue nothing is kept but what has no answer yet: they may come back. */
    prune(isThere: (id: number) => boolean) {
      const open = new Set([...queue.map(({ id }) => id), ...underWay])
      for (const id of sending.keys()) if (!isThere(id) && !open.has(id)) sending.delete(id)
      for (const id of refused.keys()) if (!isThere(id)) refused.delete(id)
    },
    /** What is left of so many that wait there: some are decided here already. Undefined where nobody knows. */
    left: (total: number | undefined) => total && Math.max(0, total - sending.size),
    get waiting() {
      return queue.length + underWay.size
    },
  }
}
