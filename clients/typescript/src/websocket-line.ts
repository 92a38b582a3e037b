/** The line over a WebSocket (RFC 6455). */
import type { Environment } from './environment.ts'
import { createDecoder, type Decode } from './frames.ts'
import type { Line, LineRequest } from './line.ts'
import type { Framing, Message, SocketConstructor, SocketLike } from './types.ts'

interface WebSocketRequest extends LineRequest {
  readonly url: string
  readonly framing: Framing
  readonly WebSocket: SocketConstructor
}

/** A proxy may neither pass an upgrade nor refuse it. */
const PROBE_MS = 10_000

export const socketUrl = (url: string) => `${url.replace(/^http/, 'ws')}/ws`

export function openWebSocketLine(request: WebSocketRequest): Line {
  const { url, framing, token, WebSocket, onMessage, onEnd } = request
  let socket: SocketLike | undefined
  let isOver = false
  let farewell: Message | undefined
  /** What an inflater still has in hand: frames keep their order. */
  let behind: Promise<void> | undefined

  const end = (code: number, reason: string) => {
    if (isOver) return
    isOver = true
    const retryAfterMs = farewell?.['retry_after_ms']
    onEnd({
      code: typeof farewell?.['code'] === 'number' ? farewell['code'] : code,
      reason: String(farewell?.['reason'] ?? reason),
      ...(typeof retryAfterMs === 'number' ? { retryAfterMs } : {}),
    })
  }
  const take = (message: Message) => {
    if (isOver) return
    if (message.type === 'disconnect') farewell = message
    else onMessage(message)
  }
  const fault = (error: unknown) => {
    end(1006, `a frame cannot be read: ${String(error)}`)
    socket?.close()
  }
  const receive = (decode: Decode, frame: string | ArrayBuffer) => {
    try {
      if (!behind) {
        const message = decode(frame)
        if (!(message instanceof Promise)) return take(message)
        behind = message.then(take)
      } else behind = behind.then(() => decode(frame)).then(take)
      const mine = behind.catch(fault).then(() => {
        if (behind === mine) behind = undefined
      })
      behind = mine
    } catch (error) {
      fault(error)
    }
  }

  const open = (decode: Decode) => {
    if (isOver) return
    const protocols = [`lightwire.v1.${framing}`, ...(token === undefined ? [] : [`bearer.${token}`])]
    socket = new WebSocket(socketUrl(url), protocols)
    socket.binaryType = 'arraybuffer'
    socket.onmessage = ({ data }: { data: string | ArrayBuffer }) => receive(decode, data)
    socket.onerror = () => undefined
    socket.onclose = ({ code, reason }: { code: number; reason: string }) => {
      const close = () => end(code, reason)
      if (behind) void behind.then(close)
      else close()
    }
  }
  createDecoder(framing)
    .then(open)
    .catch((error: unknown) => end(1006, String(error)))

  return {
    send: (message) => socket?.send(JSON.stringify(message)),
    close() {
      isOver = true
      socket?.close(1000)
    },
  }
}

/** Tells whether an upgrade passes: a socket without a token, closed as soon as that is known. Returns what ends it. */
export function probeWebSocket(
  url: string,
  WebSocket: SocketConstructor,
  { after }: Pick<Environment, 'after'>,
  tell: (passes: boolean) => void,
): () => void {
  let socket: SocketLike | undefined
  let isOver = false
  const stop = () => {
    isOver = true
    cancel()
    socket?.close(1000)
  }
  const done = (passes: boolean) => {
    if (isOver) return
    stop()
    tell(passes)
  }
  const cancel = after(PROBE_MS, () => done(false))
  try {
    socket = new WebSocket(socketUrl(url), ['lightwire.v1.json'])
    socket.onopen = () => done(true)
    socket.onerror = socket.onclose = () => done(false)
  } catch {
    // None was made, so none opens in time.
  }
  return stop
}
