/** What the server refuses for now is asked again when it says; what still waits at the end is told that it is over. */
import type { Environment } from './environment.ts'
import type { LightwireError } from './types.ts'

const WAIT_MS = 1000

export function createRetries({ after }: Environment) {
  const waiting = new Map<() => void, () => void>()
  return {
    later({ retryAfterMs = WAIT_MS }: LightwireError, act: () => void): void {
      const run = () => {
        waiting.delete(run)
        act()
      }
      waiting.set(run, after(retryAfterMs, run))
    },
    /** Nothing is waited for any more. */
    end(): void {
      for (const [run, cancel] of waiting) {
        cancel()
        run()
      }
    },
  }
}
