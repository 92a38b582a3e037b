/** What views look at: named parts of the model, each with a version; all that changed is told once per frame. */
import { useSyncExternalStore } from 'react'

/** A hidden page draws no frames, yet what waits for one must not grow. */
const HIDDEN_MS = 500
/** Between two drawings while much is going on: the eye sees no more, and input comes first. */
const BUSY_MS = 150

export type Part =
  'approval' | 'alerts' | 'counts' | 'feed' | 'jobs' | 'link' | 'names' | 'notices' | 'rates' | 'sessions'

export interface Store {
  /** Says that a part changed; those who look at it hear of it with the next frame. */
  touch(part: Part): void
  subscribe(part: Part, listener: () => void): () => void
  version(part: Part): number
}

/**
 * @param onFrame does what was left for this frame; true while it is much
 * @param ended of the life of the page that this is for
 */
export function createStore(onFrame: () => boolean, ended: AbortSignal): Store & { request(): void } {
  const versions = new Map<Part, number>()
  const listeners = new Map<Part, Set<() => void>>()
  const dirty = new Set<Part>()
  let isRequested = false
  let isBusy = false

  const run = () => {
    isRequested = false
    isBusy = onFrame()
    const changed = [...dirty]
    dirty.clear()
    for (const part of changed) versions.set(part, (versions.get(part) ?? 0) + 1)
    for (const part of changed) for (const listener of listeners.get(part) ?? []) listener()
  }
  const request = () => {
    if (isRequested) return
    isRequested = true
    if (document.hidden) setTimeout(run, HIDDEN_MS)
    else if (isBusy) setTimeout(() => requestAnimationFrame(run), BUSY_MS)
    else requestAnimationFrame(run)
  }
  // A frame that was asked for just before the page was hidden comes when it is back; nothing may wait so long.
  const onVisibility = () => {
    if (document.hidden && isRequested) setTimeout(run, HIDDEN_MS)
  }
  document.addEventListener('visibilitychange', onVisibility, { signal: ended })
  return {
    request,
    touch(part) {
      dirty.add(part)
      request()
    },
    subscribe(part, listener) {
      const own = listeners.get(part) ?? new Set()
      listeners.set(part, own.add(listener))
      return () => own.delete(listener)
    },
    version: (part) => versions.get(part) ?? 0,
  }
}

/** Draws the component again whenever the part has changed. */
export function useVersion(store: Store, part: Part): number {
  return useSyncExternalStore(
    (listener) => store.subscribe(part, listener),
    () => store.version(part),
  )
}
