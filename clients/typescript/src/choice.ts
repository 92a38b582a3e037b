/** Which transport the next connection takes: WebSocket, and where that is blocked the ways over plain HTTP. */
import type { Transport } from './types.ts'

/** Attempts in a row that never opened while plain HTTP was answered. */
const FAILURES = 2

export interface Choice {
  next(): Transport
  established(): void
  /** It never opened, and nobody said why. */
  failed(): void
  /** WebSockets pass again. */
  reset(): void
}

/** @param isHttpUp whether the server takes requests: else nothing is blocked, it is just not there */
export function createChoice(
  wanted: 'auto' | Transport,
  hasWebSocket: boolean,
  isHttpUp: () => Promise<boolean>,
): Choice {
  const all: readonly Transport[] = hasWebSocket ? ['websocket', 'sse', 'poll'] : ['sse', 'poll']
  const ways = wanted === 'auto' ? all : [wanted]
  let way = 0
  let failures = 0

  return {
    next: () => ways[way] ?? 'sse',
    established: () => void (failures = 0),
    failed() {
      if (ways.length === 1) return
      const failed = way
      void isHttpUp().then((isUp) => {
        if (way !== failed) return
        failures = isUp ? failures + 1 : 0
        if (failures < FAILURES) return
        // From the last one it begins again with the first.
        way = (way + 1) % ways.length
        failures = 0
      })
    },
    reset() {
      way = 0
      failures = 0
    },
  }
}
