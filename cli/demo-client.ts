/** One attached client of the demo: registers, follows every channel, and keeps what it gets. */
import { decodeFrame, encodeMessage, type Framing } from '../lib/protocol/codec.ts'
import { parseCursor, type Positions } from '../lib/protocol/cursor.ts'
import { channels } from '../lib/protocol/events.ts'
import { DemoFailure } from './demo-api.ts'

/** Far above any frame of the server's own. */
const FRAME_BYTES_MAX = 16_777_216
const REPLY_MS_MAX = 60_000

export type Message = Readonly<Record<string, unknown>>

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

/** Resolves when it is registered and subscribed to all channels since the cursor. @throws {DemoFailure} */
export async function attachClient(options: DemoClientOptions): Promise<DemoClient> {
  const { url, token, clientType, framing, since } = options
  const record: Message[] = []
  const waiting = new Map<unknown, PromiseWithResolvers<Message>>()
  const socket = openSocket(url, token, framing)
  const opened = Promise.withResolvers<void>()
  let nextId = 1

  socket.onopen = () => opened.resolve()
  socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => {
    const frame = typeof data === 'string' ? data : new Uint8Array(data)
    const message = decodeFrame(framing, frame, FRAME_BYTES_MAX) as Message
    if (message['id'] !== undefined) waiting.get(message['id'])?.resolve(message)
    else if (typeof message['seq'] === 'number') record.push(message)
  }
  socket.onclose = ({ code, reason }) => {
    const failure = new DemoFailure(`the ${clientType} client was closed with ${code} ${reason}`)
    opened.reject(failure)
    for (const { reject } of waiting.values()) reject(failure)
  }

  async function request(message: Message): Promise<Message> {
    const id = nextId++
    const reply = Promise.withResolvers<Message>()
    waiting.set(id, reply)
    const late = setTimeout(() => {
      reply.reject(new DemoFailure(`the ${clientType} client got no reply to ${String(message['type'])}`))
    }, REPLY_MS_MAX)
    socket.send(encodeMessage(framing, { ...message, id }))
    try {
      const answer = await reply.promise
      if (answer['type'] !== 'error') return answer
      throw new DemoFailure(
        `the ${clientType} client was refused ${String(message['type'])}: ${String(answer['error'])}`,
      )
    } finally {
      clearTimeout(late)
      waiting.delete(id)
    }
  }

  await opened.promise
  await request({ type: 'register', client_type: clientType, client_name: `demo ${clientType}` })
  const { recovery } = await request({ type: 'subscribe', channels, since })
  const missed = channels.find((channel) => statusOf(recovery, channel) !== 'recovered')
  if (missed) throw new DemoFailure(`the ${clientType} client cannot follow ${missed} since ${since}`)
  return {
    clientType,
    framing,
    record,
    async ping() {
      const { cursor } = await request({ type: 'ping' })
      return parseCursor(String(cursor)).positions
    },
    [Symbol.dispose]: () => socket.close(),
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
