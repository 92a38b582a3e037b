/** Attached clients of the demo and the doctor: sockets that pair replies with requests, and one that follows all. */
import { decodeFrame, encodeMessage, type Framing } from '../lib/protocol/codec.ts'
import { parseCursor, type Positions } from '../lib/protocol/cursor.ts'
import { channels } from '../lib/protocol/events.ts'
import { CliFailure } from './rest-client.ts'

/** Far above any frame of the server's own. */
const FRAME_BYTES_MAX = 16_777_216
const REPLY_MS_MAX = 60_000

export type Message = Readonly<Record<string, unknown>>

export interface SocketOptions {
  /** `ws://…/ws` */
  readonly url: string
  readonly token: string | undefined
  readonly framing: Framing
  /** How a failure names it. */
  readonly name: string
  /** Gets every message, replies included, and whether its frame was binary. */
  readonly onMessage: (message: Message, binary: boolean) => void
  readonly replyMsMax?: number
}

export interface LiveSocket extends Disposable {
  /** The subprotocol that the server chose. */
  readonly protocol: string
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>
  /** Sends with an id and waits for the reply, which may be an `error`. @throws {CliFailure} */
  request(message: Message): Promise<Message>
}

export interface DemoClientOptions {
  /** `ws://…/ws` */
  readonly url: string
  readonly token: string | undefined
  readonly clientType: string
  readonly framing: Framing
  /** A cursor that names all channels. */
  readonly since: string
}

export interface DemoClient extends Disposable {
  readonly clientType: string
  readonly framing: Framing
  /** Events in the order received. */
  readonly record: readonly Message[]
  /** Pings and waits for the pong: what had been committed by now is in the record. Up to where it goes. */
  ping(): Promise<Positions>
}

/** Resolves when the socket is open. @throws {CliFailure} when it is closed before */
export async function openLiveSocket(options: SocketOptions): Promise<LiveSocket> {
  const { url, token, framing, name, onMessage, replyMsMax = REPLY_MS_MAX } = options
  const waiting = new Map<unknown, PromiseWithResolvers<Message>>()
  const socket = openSocket(url, token, framing)
  const opened = Promise.withResolvers<void>()
  const closed = Promise.withResolvers<{ code: number; reason: string }>()
  let nextId = 1
  let failure: CliFailure | undefined

  function fail(sentence: string): void {
    failure ??= new CliFailure(sentence)
    opened.reject(failure)
    for (const { reject } of waiting.values()) reject(failure)
  }

  socket.onopen = () => opened.resolve()
  socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => {
    const frame = typeof data === 'string' ? data : new Uint8Array(data)
    let message: Message
    try {
      message = decodeFrame(framing, frame, FRAME_BYTES_MAX) as Message
    } catch (error) {
      fail(
        `the ${name} client got a frame that cannot be read: ${error instanceof Error ? error.message : ''}`,
      )
      return socket.close()
    }
    onMessage(message, typeof data !== 'string')
    if (message['id'] !== undefined) waiting.get(message['id'])?.resolve(message)
  }
  socket.onclose = ({ code, reason }) => {
    fail(`the ${name} client was closed with ${code} ${reason}`)
    closed.resolve({ code, reason })
  }

  await opened.promise
  return {
    protocol: socket.protocol,
    closed: closed.promise,
    async request(message) {
      if (failure) throw failure
      const id = nextId++
      const reply = Promise.withResolvers<Message>()
      waiting.set(id, reply)
      const late = setTimeout(() => {
        reply.reject(new CliFailure(`the ${name} client got no reply to ${String(message['type'])}`))
      }, replyMsMax)
      socket.send(encodeMessage(framing, { ...message, id }))
      try {
        return await reply.promise
      } finally {
        clearTimeout(late)
        waiting.delete(id)
      }
    },
    [Symbol.dispose]: () => socket.close(),
  }
}

/** Resolves when it is registered and subscribed to all channels since the cursor. @throws {CliFailure} */
export async function attachClient(options: DemoClientOptions): Promise<DemoClient> {
  const { url, token, clientType, framing, since } = options
  const record: Message[] = []
  const onMessage = (message: Message) => {
    if (message['id'] === undefined && typeof message['seq'] === 'number') record.push(message)
  }
  const socket = await openLiveSocket({ url, token, framing, name: clientType, onMessage })

  async function request(message: Message): Promise<Message> {
    const answer = await socket.request(message)
    if (answer['type'] !== 'error') return answer
    throw new CliFailure(
      `the ${clientType} client was refused ${String(message['type'])}: ${String(answer['error'])}`,
    )
  }

  await request({ type: 'register', client_type: clientType, client_name: `demo ${clientType}` })
  const { recovery } = await request({ type: 'subscribe', channels, since })
  const missed = channels.find((channel) => statusOf(recovery, channel) !== 'recovered')
  if (missed) throw new CliFailure(`the ${clientType} client cannot follow ${missed} since ${since}`)
  return {
    clientType,
    framing,
    record,
    async ping() {
      const { cursor } = await request({ type: 'ping' })
      return parseCursor(String(cursor)).positions
    },
    [Symbol.dispose]: () => socket[Symbol.dispose](),
  }
}

function openSocket(url: string, token: string | undefined, framing: Framing): WebSocket {
  const headers = token === undefined ? {} : { Authorization: `Bearer ${token}` }
  // Bun takes headers here; the DOM's types do not know it.
  const socket = new WebSocket(url, { protocols: [`lightwire.v1.${framing}`], headers } as never)
  socket.binaryType = 'arraybuffer'
  return socket
}

function statusOf(recovery: unknown, channel: string): unknown {
  return (recovery as Record<string, { status?: unknown } | undefined> | undefined)?.[channel]?.status
}
