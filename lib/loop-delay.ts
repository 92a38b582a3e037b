/** How late the event loop is: a timer that looks at the clock when it fires. */

const INTERVAL_MS = 100

/** Tells `observe` the delay of each tick, in seconds, until it is disposed. */
export function watchLoopDelay(observe: (seconds: number) => void): Disposable {
  let expected = performance.now() + INTERVAL_MS
  const timer = setInterval(() => {
    const now = performance.now()
    observe(Math.max(0, now - expected) / 1000)
    expected = now + INTERVAL_MS
  }, INTERVAL_MS)
  timer.unref()
  return { [Symbol.dispose]: () => clearInterval(timer) }
}
