/** Pending bytes: request bodies under way, bounded in all and per subject, so that no flood of large ones fills the memory. */
import { Refusal } from '../protocol/refusals.ts'

const RETRY_MS = 1000

export interface HeldBytes extends Disposable {
  /** Fewer came than were held; the rest is given back. */
  shrinkTo(bytes: number): void
}

export type HoldBytes = (bytes: number, subject: string) => HeldBytes

/** Holds bytes until they are disposed of; one subject has at most half of them, so that others still get through. */
export function createPendingBytes(max: number): HoldBytes {
  const bySubject = new Map<string, number>()
  let held = 0

  return (bytes, subject) => {
    const own = bySubject.get(subject) ?? 0
    if (held + bytes > max || own + bytes > max / 2) {
      const sentence = 'too many bytes of request bodies are under way'
      throw new Refusal('storage_unavailable', sentence, { retryAfterMs: RETRY_MS })
    }
    held += bytes
    bySubject.set(subject, own + bytes)
    let present = bytes
    const shrinkTo = (size: number) => {
      const given = Math.max(0, present - size)
      present -= given
      held -= given
      const left = (bySubject.get(subject) ?? 0) - given
      if (left > 0) bySubject.set(subject, left)
      else bySubject.delete(subject)
    }
    return { shrinkTo, [Symbol.dispose]: () => shrinkTo(0) }
  }
}
