/** Draws of a long list only what is on the screen. */
import { useCallback, useRef, useState } from 'react'

/** Drawn above and below, so that scrolling shows no holes. */
const SPARE = 6

export interface Virtual {
  /** Rows to draw of so many: from the first up to, and without, the last. */
  readonly range: (count: number) => { readonly first: number; readonly last: number }
  readonly top: number
  readonly ref: (element: HTMLElement | null) => void
  readonly scrollToTop: () => void
}

/** @param rowHeight CSS pixels, the same for every row */
export function useVirtual(rowHeight: number): Virtual {
  const [view, setView] = useState({ top: 0, height: 600 })
  const box = useRef<HTMLElement | null>(null)
  const stop = useRef<(() => void) | undefined>(undefined)

  const ref = useCallback((element: HTMLElement | null) => {
    stop.current?.()
    box.current = element
    if (!element) return
    const look = () => setView({ top: element.scrollTop, height: element.clientHeight })
    const observer = new ResizeObserver(look)
    observer.observe(element)
    element.addEventListener('scroll', look, { passive: true })
    stop.current = () => {
      observer.disconnect()
      element.removeEventListener('scroll', look)
    }
  }, [])
  const scrollToTop = useCallback(() => box.current?.scrollTo({ top: 0 }), [])
  const range = (count: number) => {
    const first = Math.max(0, Math.floor(view.top / rowHeight) - SPARE)
    const last = Math.min(count, Math.ceil((view.top + view.height) / rowHeight) + SPARE)
    return { first: Math.min(first, last), last }
  }
  return { range, top: view.top, ref, scrollToTop }
}
