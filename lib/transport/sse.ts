/** Server-sent events (WHATWG HTML §9.2): a connection that only listens, over a response that does not end. */
import { formatCursor, type Cursor, type Positions } from '../protocol/cursor.ts'
import type { Channel } from '../protocol/events.ts'
import type { Filter } from '../protocol/filter.ts'
import type { Frame } from '../protocol/codec.ts'
import type { Recovery } from '../protocol/messages.ts'
import type { Principal } from '../access/rights.ts'
import type { Room } from '../access/room.ts'
import type { Connection } from '../realtime/connection.ts'
import type { Hub } from '../realtime/hub.ts'
import type { Medium } from '../realtime/medium.ts'
import { OPEN, type Socket } from '../realtime/socket.ts'
import type { Batch } from '../realtime/window.ts'
import { requireServable } from './pull.ts'

/** What a browser waits before it comes back. */
const RETRY_MS = 1000
const CLOSED = 3
/** Seconds without a byte after which whoever was sent away is cut off, and whoever took nothing before already. */
const FAREWELL_SECONDS = 30
const STUCK_SECONDS = 1

export interface StreamRequest {
  readonly channels: readonly Channel[]
  readonly since: Cursor | undefined
  readonly filter: Filter | undefined
  readonly principal: Principal
  readonly address: string
  readonly requestId: string
  /** Aborted when the client went away. */
  readonly signal: AbortSignal
  /** Whether the token is still good. @throws {Refusal} */
  readonly requireStanding: () => void
  /** From now on the connection is cut when no byte moved for so long; else Bun waits as long as the stream does. */
  readonly limitSilence: (seconds: number) => void
}

export interface StreamOptions {
  readonly hub: () => Hub
  readonly room: Room
  readonly epoch: string
  readonly judge: (cursor: Cursor, channel: Channel) => Recovery
  /** Takes note of what other nodes committed, where a cursor reaches beyond what is known here. */
  readonly catchUp?: (cursor: Cursor) => Promise<void> | undefined
  /** @throws {Refusal} `draining` */
  readonly requireOpen: () => void
  /** Hands out what waits for company. */
  readonly flush: () => void
  readonly onOpen: (connection: Connection, subject: string | undefined, requestId: string) => void
  readonly onClosed: (connection: Connection, code: number, reason: string) => void
}

export type OpenStream = (request: StreamRequest) => Promise<ReadableStream<Uint8Array>>

/** Each event with the cursor of all the stream's channels after it as its id. */
const medium: Medium = {
  transport: 'sse',
  framing: 'json',
  joins: false,
  message(message) {
    const { type, retry_after_ms } = message as { type?: string; retry_after_ms?: unknown }
    // An operator may write any field, and his words are no orders to the browser.
    const isOurs = type === 'disconnect' && typeof retry_after_ms === 'number'
    const retry = isOurs ? `retry: ${retry_after_ms}\n` : ''
    return `${retry}event: ${type ?? 'message'}\ndata: ${JSON.stringify(message)}\n\n`
  },
  // It subscribes in batches only; the base of the reader needs no bare events here.
  event: ({ type, json }) => `event: ${type}\ndata: ${json}\n\n`,
  batch({ events, upto }: Batch, cursorAt) {
    const texts = events.map(
      ({ type, json, seq }, index) =>
        `id: ${cursorAt(index === events.length - 1 ? upto : seq)}\nevent: ${type}\ndata: ${json}\n\n`,
    )
    return texts.length > 0 ? texts.join('') : `id: ${cursorAt(upto)}\n\n`
  },
}

export function createStreams(options: StreamOptions): OpenStream {
  const { hub, room, epoch, judge, catchUp, requireOpen, flush, onOpen, onClosed } = options
  return async ({ channels, since, filter, principal, address, requestId, ...request }) => {
    if (since) await catchUp?.(since)
    request.requireStanding()
    // Last, so that nobody is let in after all others were sent away.
    requireOpen()
    // Nobody would leave a stream whose client has left before it began.
    if (request.signal.aborted) return new ReadableStream({ start: (controller) => controller.close() })
    if (since) requireServable(since, channels, judge)
    const socket = new StreamSocket(() => `:\nid: ${connection.cursor}\n\n`, request.limitSilence)
    const place = room.take({ address, subject: principal.subject })
    const connection = hub().attach(socket, medium, place)
    connection.principal = principal
    try {
      if (filter) connection.following.requireFilter(filter.key)
    } catch (error) {
      hub().detach(connection)
      throw error
    }
    socket.connection = connection
    socket.onClose = (code, reason) => {
      hub().detach(connection)
      const ended = connection.ended ?? { code, reason }
      onClosed(connection, ended.code, ended.reason)
    }
    onOpen(connection, principal.subject, requestId)
    flush()
    for (const channel of channels) {
      const position = since?.positions[channel]
      connection.following.follow(channel, { filter, batchMs: 0, conflate: false }, position, { keep: false })
    }
    const start: Positions = {}
    for (const [channel, { position }] of connection.subscriptions) start[channel] = position
    socket.send(`retry: ${RETRY_MS}\nid: ${formatCursor({ epoch, positions: start })}\n\n`)
    connection.read()
    return socket.stream
  }
}

/** The response's body as a socket: what Bun does not ask for yet waits here, and counts as unsent. */
class StreamSocket implements Socket {
  readyState: number = OPEN
  connection: Connection | undefined
  onClose: (code: number, reason: string) => void = () => undefined
  readonly stream: ReadableStream<Uint8Array>
  private controller: ReadableStreamDefaultController<Uint8Array> | undefined
  private waiting: Uint8Array[] = []
  private waitingBytes = 0
  /** Bun asked for more than there was. */
  private wanted = false

  /** @param heartbeat a comment that says how far the stream is */
  constructor(
    private readonly heartbeat: () => string,
    private readonly limitSilence: (seconds: number) => void,
  ) {
    this.stream = new ReadableStream<Uint8Array>({
      start: (controller) => void (this.controller = controller),
      pull: () => this.pull(),
      // The client went away.
      cancel: () => this.over(1006, 'the client went away'),
    })
  }

  private pull(): void {
    if (this.waiting.length === 0) return void (this.wanted = true)
    this.controller?.enqueue(Buffer.concat(this.waiting))
    this.waiting = []
    this.waitingBytes = 0
    this.connection?.drained()
  }

  send(frame: Frame): number {
    if (this.readyState !== OPEN) return 0
    const bytes = typeof frame === 'string' ? Buffer.from(frame) : frame
    if (this.wanted) {
      this.wanted = false
      this.controller?.enqueue(bytes)
      return bytes.byteLength
    }
    this.waiting.push(bytes)
    this.waitingBytes += bytes.byteLength
    return -1
  }

  getBufferedAmount(): number {
    return this.waitingBytes
  }

  cork(send: () => void): void {
    send()
  }

  /** Now and then, so that proxies keep the stream open and its client has a fresh id. */
  ping(): number {
    return this.send(this.heartbeat())
  }

  close(code: number, reason: string): void {
    if (this.readyState !== OPEN) return
    for (const bytes of this.waiting) this.controller?.enqueue(bytes)
    this.controller?.close()
    this.limitSilence(FAREWELL_SECONDS)
    this.over(code, reason)
  }

  private over(code: number, reason: string): void {
    if (this.readyState !== OPEN) return
    this.readyState = CLOSED
    this.waiting = []
    this.waitingBytes = 0
    this.onClose(code, reason)
  }

  terminate(): void {
    this.close(1006, '')
    this.limitSilence(STUCK_SECONDS)
  }

  // A stream only listens, and takes part in no native topic.
  subscribe(): void {}
  unsubscribe(): void {}
  pause(): void {}
  resume(): void {}
}
