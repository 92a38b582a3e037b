/** A finger that moves a card aside: right is yes, left is no, and back is nothing. */
import { useRef, useState, type PointerEvent } from 'react'

/** Pixels from where it counts. */
const ENOUGH = 88
/** Pixels before it is known whether the finger scrolls or swipes. */
const SLACK = 10

export interface Swipe {
  /** Pixels; 0 while nothing is moved. */
  readonly offset: number
  readonly isEnough: boolean
  readonly handlers: {
    onPointerDown(event: PointerEvent<HTMLElement>): void
    onPointerMove(event: PointerEvent<HTMLElement>): void
    onPointerUp(event: PointerEvent<HTMLElement>): void
    onPointerCancel(event: PointerEvent<HTMLElement>): void
  }
}

export function useSwipe(onSwipe: (direction: 'left' | 'right') => void): Swipe {
  const [offset, setOffset] = useState(0)
  const start = useRef<{ id: number; x: number; y: number; isSwipe: boolean } | undefined>(undefined)
  const end = () => {
    start.current = undefined
    setOffset(0)
  }
  return {
    offset,
    isEnough: Math.abs(offset) >= ENOUGH,
    handlers: {
      onPointerDown({ pointerId, pointerType, clientX, clientY, isPrimary }) {
        if (pointerType !== 'mouse' && isPrimary)
          start.current = { id: pointerId, x: clientX, y: clientY, isSwipe: false }
      },
      onPointerMove({ pointerId, clientX, clientY, currentTarget }) {
        const from = start.current
        if (!from || from.id !== pointerId) return
        const [x, y] = [clientX - from.x, clientY - from.y]
        if (!from.isSwipe && Math.abs(y) > SLACK && Math.abs(y) > Math.abs(x)) return end()
        if (!from.isSwipe && Math.abs(x) > SLACK) {
          from.isSwipe = true
          currentTarget.setPointerCapture(pointerId)
        }
        if (from.isSwipe) setOffset(x)
      },
      onPointerUp({ pointerId, clientX }) {
        const from = start.current
        if (!from || from.id !== pointerId) return
        const x = clientX - from.x
        const isSwipe = from.isSwipe && Math.abs(x) >= ENOUGH
        end()
        if (isSwipe) onSwipe(x > 0 ? 'right' : 'left')
      },
      onPointerCancel: end,
    },
  }
}
