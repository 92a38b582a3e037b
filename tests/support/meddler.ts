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
  /** Whether a block of a stream of server-sent events goes on to the client. */
  readonly block?: (block: string) => boolean
  /** Without it sockets are let through. */
  readonly upgrades?: false
}

interface Link {
  readonly framing: Framing
  readonly headers: Record<string, string>
  upstream?: WebSocket
  readonly early: Frame[]
}

export function startMeddler(
  target: string,
  { answer = (_, reply) => reply, message = (same) => [same], block = () => true, upgrades }: Faults,
): AsyncDisposable & { url: string } {
  const server: Server<Link> = Bun.serve<Link>({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request, self) {
      const { pathname, search } = new URL(request.url)
      const authorization = request.headers.get('authorization')
      const headers = sentOn(request.headers)
      if (pathname === '/ws') {
        if (upgrades === false) return new Response('no upgrades here', { status: 403 })
        const offered = (request.headers.get('sec-websocket-protocol') ?? '').split(/, */)
        const framing = framings.find((name) => offered.includes(`lightwire.v1.${name}`))
        const bearer = offered.find((name) => name.startsWith('bearer.'))?.slice('bearer.'.length)
        if (bearer !== undefined) headers['authorization'] = `Bearer ${bearer}`
        const data: Link = { framing: framing ?? 'json', headers, early: [] }
        const answered = framing ? { 'Sec-WebSocket-Protocol': `lightwire.v1.${framing}` } : {}
        if (self.upgrade(request, { data, headers: answered })) return undefined
      }
      const type = request.headers.get('content-type')
      const { method } = request
      const response = await fetch(`${target}${pathname}${search}`, {
        method,
        signal: request.signal,
        headers: { ...headers, ...(type === null ? {} : { 'content-type': type }) },
        ...(method === 'GET' ? {} : { body: await request.arrayBuffer() }),
      })
      if (response.headers.get('content-type') === 'text/event-stream')
        return new Response(response.body?.pipeThrough(blocksThat(block)), { headers: response.headers })
      const original = { status: response.status, text: await response.text(), headers: response.headers }
      const {
        status,
        text,
        headers: given,
      } = await answer({ method, path: pathname, authorized: authorization !== null }, original)
      return new Response(text, {
        status,
        headers: only(given, ['content-type', 'lightwire-cursor', 'idempotency-replayed', ...CORS]),
      })
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

/** What of a request the server is told, beside its body. */
const sentOn = (headers: Headers) =>
  only(headers, ['authorization', 'idempotency-key', 'last-event-id', 'origin', ...PREFLIGHT])
/** What a browser asks before a request, and what it is answered. */
const PREFLIGHT = ['access-control-request-method', 'access-control-request-headers']
const CORS = ['allow-origin', 'allow-methods', 'allow-headers', 'expose-headers', 'max-age'].map(
  (name) => `access-control-${name}`,
)

function only(headers: Headers, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => (headers.has(name) ? [[name, headers.get(name) ?? '']] : [])),
  )
}

function blocksThat(pass: (block: string) => boolean): TransformStream<Uint8Array, Uint8Array> {
  const [decoder, encoder] = [new TextDecoder(), new TextEncoder()]
  let rest = ''
  return new TransformStream({
    transform(chunk, controller) {
      const blocks = (rest + decoder.decode(chunk, { stream: true })).split('\n\n')
      rest = blocks.pop() ?? ''
      const passed = blocks.filter(pass).map((block) => `${block}\n\n`)
      if (passed.length > 0) controller.enqueue(encoder.encode(passed.join('')))
    },
  })
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
