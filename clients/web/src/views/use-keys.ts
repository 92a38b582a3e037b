/** Keys pressed anywhere on the page, taken from the moment a view is drawn. */
import { useLayoutEffect } from 'react'

/** Calls for each key that comes down; what it closes over is of the newest drawing. */
export function useKeys(onKey: (event: KeyboardEvent) => void): void {
  useLayoutEffect(() => {
    addEventListener('keydown', onKey)
    return () => removeEventListener('keydown', onKey)
  })
}

/** Whether a key pressed there is meant for typing. */
export function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    target.closest('input:not([type="checkbox"]), textarea, select, [contenteditable], dialog') !== null
  )
}
