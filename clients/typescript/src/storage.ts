/** Where a cursor can be kept, and how often it is written there. */
import type { Environment } from './environment.ts'
import type { CursorStorage } from './types.ts'

/** Longest that a kept cursor is behind. */
const SAVE_MS = 250

/** For as long as the program runs: two clients of one page, or a test. */
export function memoryStorage(cursor: string | null = null): CursorStorage {
  let kept = cursor
  return { load: () => kept, save: (next) => void (kept = next) }
}

/** In the browser's `localStorage`. Without it (a private window, say) nothing is kept. */
export function localStorageCursor(key = 'lightwire-cursor'): CursorStorage {
  const { localStorage } = globalThis as { localStorage?: Pick<Storage, 'getItem' | 'setItem'> }
  return {
    load: () => localStorage?.getItem(key),
    save: (cursor) => localStorage?.setItem(key, cursor),
  }
}

/** Writes now and then, not with every event. */
export function createSaver(
  storage: CursorStorage | undefined,
  { after }: Environment,
  cursor: () => string | null,
  onError: (error: unknown) => void,
) {
  let saved: string | null = null
  /** One after the other, so that an older one cannot come last. */
  let saving: Promise<void> = Promise.resolve()
  let cancel: (() => void) | undefined

  const flush = () => {
    cancel?.()
    cancel = undefined
    const present = cursor()
    if (!storage || present === null || present === saved) return
    saved = present
    saving = saving.then(() => storage.save(present)).catch(onError)
  }
  return {
    flush,
    touch() {
      if (storage) cancel ??= after(SAVE_MS, flush)
    },
  }
}
