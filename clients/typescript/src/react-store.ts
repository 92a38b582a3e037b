/** State outside React that lives while somebody looks: what it costs begins with the first listener and ends after the last. */

/** Changes that come within one frame are shown together. */
const FRAME_MS = 16

export interface Store<T> {
  subscribe(listener: () => void): () => void
  /** The same value until it has changed. */
  read(): T
}

type Update<T> = (change: (state: T) => T) => void

/** @param start begins what changes the state, and returns what ends it */
export function createStore<T>(initial: T, start: (update: Update<T>) => () => void): Store<T> {
  const listeners = new Set<() => void>()
  let state = initial
  let shown = initial
  let stop: (() => void) | undefined
  let frame: ReturnType<typeof setTimeout> | undefined

  const show = () => {
    frame = undefined
    if (shown === state) return
    shown = state
    for (const listener of listeners) listener()
  }
  const update: Update<T> = (change) => {
    state = change(state)
    frame ??= setTimeout(show, FRAME_MS)
  }

  return {
    read: () => shown,
    subscribe(listener) {
      listeners.add(listener)
      stop ??= start(update)
      return () => {
        listeners.delete(listener)
        // React's StrictMode looks away and back at once; that is no reason to begin anew.
        setTimeout(() => {
          if (listeners.size > 0 || !stop) return
          stop()
          stop = undefined
          clearTimeout(frame)
          frame = undefined
          state = shown = initial
        }, 0)
      }
    },
  }
}
