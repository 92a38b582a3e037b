/** A proxy before a server that alters what it is told to alter: answers of REST, and messages on the sockets. */
import type { Server, ServerWebSocket } from 'bun'
import { decodeFrame, encodeMessage, framings, type Frame, type Framing } from '../../lib/protocol/codec.ts'
import type { Message } from './client.ts'

const FRAME_BYTES_MAX = 1_048_576

export interface Reply {
  readonly status: number
  readonly text: string
  readonly headers: Headers
}

export interface Asked {
  readonly method: string
  readonly path: string
  readonly authorized: boolean
}

export interface Faults {
  /** What goes on to the client instead of the answer. */
  readonly answer?: (request: Asked, reply: Reply) => Reply | Promise<Reply>
  /** What goes on to the client instead of a message; the same message alone passes unchanged. */
  readonly message?: (message: Message, framing: Framing) => readonly Message[]
}

interface Link {
  readonly framing: Framing
  readonly headers: Record<string, string>
  upstream?: WebSocket
  readonly early: Frame[]
}

export function startMeddler(
  target: string,
  { answer = (_, reply) => reply, message = (same) => [same] }: Faults,
): AsyncDisposable & { url: string } {
  const server: Server<Link> = Bun.serve<Link>({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request, self) {
      const { pathname, search } = new URL(request.url)
      const authorization = request.headers.get('authorization')
      const headers: Record<string, string> = authorization === null ? {} : { authorization }
      if (pathname === '/ws') {
        const protocol = request.headers.get('sec-websocket-protocol') ?? ''
        const framing = framings.find((name) => protocol === `lightwire.v1.${name}`) ?? 'json'
        const answered = { 'Sec-WebSocket-Protocol': protocol }
        if (self.upgrade(request, { data: { framing, headers, early: [] }, headers: answered }))
          return undefined
      }
      const type = request.headers.get('content-type')
      const { method } = request
      const response = await fetch(`${target}${pathname}${search}`, {
        method,
        headers: { ...headers, ...(type === null ? {} : { 'content-type': type }) },
        ...(method === 'GET' ? {} : { body: await request.arrayBuffer() }),
      })
      const original = { status: response.status, text: await response.text(), headers: response.headers }
      const {
        status,
        text,
        headers: given,
      } = await answer({ method, path: pathname, authorized: authorization !== null }, original)
      const cursor = given.get('lightwire-cursor')
      return new Response(text, { status, headers: cursor === null ? {} : { 'Lightwire-Cursor': cursor } })
    },
    websocket: {
      open: (socket) => link(socket, target, message),
      message(socket, frame) {
        const { upstream, early } = socket.data
        const sent = typeof frame === 'string' ? frame : new Uint8Array(frame)
        if (upstream?.readyState === WebSocket.OPEN) upstream.send(sent)
        else early.push(sent)
      },
      close: ({ data }) => data.upstream?.close(),
    },
  })
  return { url: `http://127.0.0.1:${server.port}`, [Symbol.asyncDispose]: () => server.stop(true) }
}

function link(socket: ServerWebSocket<Link>, target: string, meddle: NonNullable<Faults['message']>): void {
  const { framing, headers, early } = socket.data
  const protocols = [`lightwire.v1.${framing}`]
  const upstream = new WebSocket(`${target.replace('http', 'ws')}/ws`, { protocols, headers } as never)
  socket.data.upstream = upstream
  upstream.binaryType = 'arraybuffer'
  upstream.onopen = () => early.forEach((frame) => upstream.send(frame))
  upstream.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => {
    const frame = typeof data === 'string' ? data : new Uint8Array(data)
    const original = decodeFrame(framing, frame, FRAME_BYTES_MAX) as Message
    for (const message of meddle(original, framing)) {
      socket.send(message === original ? frame : encodeMessage(framing, message))
    }
  }
  upstream.onclose = ({ code, reason }) => socket.close(code, reason)
}
