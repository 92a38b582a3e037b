/** A task done again and again, never twice at once, until it is disposed. */

/** Runs `task` `intervalMs` after its last end; an error goes to `onError` and does not end the series. */
export function repeat(
  intervalMs: number,
  task: () => unknown,
  onError: (error: unknown) => void,
): AsyncDisposable & { now(): Promise<void> } {
  let stopped = false
  let running: Promise<void> = Promise.resolve()
  let timer: Timer | undefined

  const run = async () => {
    try {
      await task()
    } catch (error) {
      onError(error)
    }
    schedule()
  }
  const schedule = () => {
    clearTimeout(timer)
    if (!stopped) timer = setTimeout(() => (running = run()), intervalMs)
  }
  schedule()
  return {
    /** Runs the task ahead of its time, after the run under way. */
    now: () => {
      clearTimeout(timer)
      running = running.then(run)
      return running
    },
    async [Symbol.asyncDispose]() {
      stopped = true
      clearTimeout(timer)
      await running
    },
  }
}
