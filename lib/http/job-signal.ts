/** Wakes claims that wait for a job: one waiter per job that became pending, in the order they came. */
import type { JobSignal } from './jobs.ts'

export function createJobSignal(): JobSignal & { wake(): void; wakeAll(): void } {
  const waiting = new Set<() => void>()
  let version = 0
  return {
    version: () => version,
    wait: (seen, ms, signal) =>
      new Promise<void>((resolve) => {
        // A job came between the look and the wait.
        if (seen !== version || signal.aborted) return resolve()
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
    wake() {
      version += 1
      const [first] = waiting
      first?.()
    },
    /** The server stops: nobody waits any more. */
    wakeAll() {
      version += 1
      for (const done of waiting) done()
    },
  }
}
