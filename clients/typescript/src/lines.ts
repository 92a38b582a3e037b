/** Which line comes next and how it is opened; from time to time, whether WebSockets pass again. */
import { createChoice } from './choice.ts'
import type { Environment } from './environment.ts'
import { HttpFailure, type Call } from './http-calls.ts'
import { openHttpLine } from './http-line.ts'
import { openPolls, openStream } from './http-streams.ts'
import type { Line, LineEvents } from './line.ts'
import type { Fetch, Framing, SocketConstructor, Transport } from './types.ts'
import { openWebSocketLine, probeWebSocket } from './websocket-line.ts'

export interface LinesOptions {
  readonly url: string
  readonly wanted: 'auto' | Transport
  readonly framing: Framing
  readonly clientType: string
  readonly retryWebSocketMs: number
  readonly fetch: Fetch
  readonly WebSocket: SocketConstructor | undefined
  readonly environment: Environment
  readonly call: Call
}

export function createLines(options: LinesOptions) {
  const { url, wanted, WebSocket, environment, call } = options
  const isHttpUp = () =>
    call('/api/system/ready').then(
      () => true,
      // A no is an answer too, but for that of a server that starts or stops.
      (error: unknown) => error instanceof HttpFailure && error.status < 500,
    )
  const choice = createChoice(wanted, WebSocket !== undefined, isHttpUp)
  let cancel: (() => void) | undefined

  const stopLooking = () => {
    cancel?.()
    cancel = undefined
  }

  return {
    choice,
    stopLooking,

    open(transport: Transport, token: string | undefined, events: LineEvents): Line {
      if (transport === 'websocket' && WebSocket)
        return openWebSocketLine({ ...options, WebSocket, token, ...events })
      const openPages = transport === 'poll' ? openPolls : openStream
      return openHttpLine({ ...options, openPages, token, ...events })
    },

    /** While another transport carries the events. @param onPassing WebSockets pass again */
    look(transport: Transport | null, onPassing: () => void): void {
      stopLooking()
      if (wanted !== 'auto' || !WebSocket || transport === 'websocket') return
      const again = () => {
        cancel = environment.after(options.retryWebSocketMs, () => {
          cancel = probeWebSocket(url, WebSocket, environment, (passes) => {
            if (!passes) return again()
            choice.reset()
            onPassing()
          })
        })
      }
      again()
    },
  }
}
