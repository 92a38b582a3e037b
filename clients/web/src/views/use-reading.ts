/** A list that the server makes when it is asked, and that no event describes: read when the view opens, when the server sends its sample, and on demand. */
import { useCallback, useEffect, useRef, useState } from 'react'
import { ApiError } from '../api.ts'
import { useLive, useLivePart } from './live-context.ts'

export interface Reading<T> {
  readonly value: T | undefined
  /** The server's code where it could not be read. */
  readonly failure: string
  readonly timeMs: number
  readonly again: () => void
}

export function useReading<T>(path: string): Reading<T> {
  const { api, client, onSample } = useLive()
  const { status } = useLivePart('link').link()
  const [state, setState] = useState<Omit<Reading<T>, 'again'>>({ value: undefined, failure: '', timeMs: 0 })
  const asked = useRef(0)
  const shown = useRef(0)

  const again = useCallback(() => {
    asked.current += 1
    const mine = asked.current
    // The answer to an earlier question may come later.
    const take = (next: (before: Omit<Reading<T>, 'again'>) => Omit<Reading<T>, 'again'>) => {
      if (mine < shown.current) return
      shown.current = mine
      setState(next)
    }
    api.get<T>(path).then(
      ({ value }) => take(() => ({ value, failure: '', timeMs: Date.now() })),
      (error: unknown) => {
        const failure = error instanceof ApiError ? error.code : String(error)
        take((before) => ({ ...before, failure }))
      },
    )
  }, [api, path])
  useEffect(() => {
    if (status !== 'connected') return
    if (client.transport !== 'websocket') return again()
    // Answered in turn: the server knows by then what this page registered as.
    client.request({ type: 'ping' }).then(again, again)
  }, [client, status, again])
  useEffect(() => onSample(again), [onSample, again])
  return { ...state, again }
}
