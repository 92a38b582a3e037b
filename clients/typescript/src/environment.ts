/** What the client takes from the machine it runs on: time, chance, and in a browser the moments to look again. */

export interface Environment {
  /** Milliseconds that only grow. */
  now(): number
  /** Returns what cancels it. */
  after(ms: number, act: () => void): () => void
  /** From 0 up to 1. */
  random(): number
  /** Calls when the network or the page is back, and when the page goes away. Returns what ends it. */
  watch(signals: { readonly onBack: () => void; readonly onHide: () => void }): () => void
}

/** The part of a browser that is used here; elsewhere there is none of it. */
interface Page {
  readonly document?: { readonly visibilityState: string } & EventTarget
  addEventListener?(name: string, act: () => void): void
  removeEventListener?(name: string, act: () => void): void
}

export const machine: Environment = {
  now: () => performance.now(),
  after(ms, act) {
    const timer = setTimeout(act, ms)
    return () => clearTimeout(timer)
  },
  random: () => Math.random(),
  watch({ onBack, onHide }) {
    const page = globalThis as Page
    const { document } = page
    if (!document || !page.addEventListener) return () => undefined
    const onVisibility = () => (document.visibilityState === 'visible' ? onBack() : onHide())
    page.addEventListener('online', onBack)
    page.addEventListener('pagehide', onHide)
    document.addEventListener('visibilitychange', onVisibility)
    return () => {
      page.removeEventListener?.('online', onBack)
      page.removeEventListener?.('pagehide', onHide)
      document.removeEventListener('visibilitychange', onVisibility)
    }
  },
}

/** 128 random bits; `randomUUID` is missing on pages that came over plain HTTP. */
export function randomKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('')
}
