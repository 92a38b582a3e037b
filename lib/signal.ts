/** A signal: requests that wait for something to happen, woken one by one in the order they came, or all at once. */

export type Signal = ReturnType<typeof createSignal>

/** @param stopping from then on nobody waits */
export function createSignal(stopping: AbortSignal) {
  const waiting = new Set<() => void>()
  let version = 0
  const wakeAll = () => {
    version += 1
    for (const done of waiting) done()
  }
  stopping.addEventListener('abort', wakeAll)
  return {
    /** Counts what happened. */
    version: (): number => version,
    /** How many wait. */
    waiting: (): number => waiting.size,
    /** Resolves when something happens after `seen`, after `ms`, or when the signal aborts. */
    wait: (seen: number, ms: number, signal: AbortSignal): Promise<void> =>
      new Promise<void>((resolve) => {
        // It came between the look and the wait.
        if (seen !== version || signal.aborted || stopping.aborted) return resolve()
        const done = () => {
          waiting.delete(done)
          clearTimeout(timer)
          signal.removeEventListener('abort', done)
          resolve()
        }
        const timer = setTimeout(done, ms)
        signal.addEventListener('abort', done)
        waiting.add(done)
      }),
    /** It happened, and is for one of those who wait. */
    wake(): void {
      version += 1
      const [first] = waiting
      first?.()
    },
    /** It is for all of them. */
    wakeAll,
  }
}
