/**
 * A WebSocket client for tests: it queues from the first tick and records raw frames, so it can miss nothing. A frame
 * that is not as its schema says fails the test that runs.
 */
import { decodeFrame, encodeMessage, type Framing } from '../../lib/protocol/codec.ts'
import { frameFault } from '../../lib/protocol/wire-schemas.ts'

export type Message = Record<string, unknown> & { type: string }

interface ConnectOptions {
  /** `ws://…/ws` */
  readonly url: string
  readonly framing?: Framing
  readonly token?: string
  readonly headers?: Record<string, string>
  /** Instead of the framing's own. */
  readonly protocols?: readonly string[]
  /** Called with each decoded message, before anything waits for it. */
  readonly onMessage?: (message: Message) => void
  /** Called with what is wrong with a frame; else it fails the test that runs. */
  readonly onFault?: (fault: string) => void
}

export interface Closed {
  readonly code: number
  readonly reason: string
}

export class TestClient implements AsyncDisposable {
  /** Every message of the server, in the order received, nothing removed. */
  readonly received: Message[] = []
  /** Raw frames as they came. */
  readonly frames: (string | Uint8Array)[] = []
  readonly closed: Promise<Closed>
  readonly opened: Promise<void>
  private readonly socket: WebSocket
  private readonly waiting: {
    matches: (message: Message) => boolean
    resolve: (message: Message) => void
  }[] = []
  private readonly framing: Framing
  private taken = new Set<Message>()
  private nextId = 1

  constructor({ url, framing = 'json', token, headers = {}, protocols, onMessage, onFault }: ConnectOptions) {
    this.framing = framing
    const authorization: Record<string, string> =
      token === undefined ? {} : { Authorization: `Bearer ${token}` }
    this.socket = new WebSocket(url, {
      protocols: [...(protocols ?? [`lightwire.v1.${framing}`])],
      headers: { ...authorization, ...headers },
    } as never)
    this.socket.binaryType = 'arraybuffer'
    this.socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => {
      const frame = typeof data === 'string' ? data : new Uint8Array(data)
      this.frames.push(frame)
      const kind = typeof frame === 'string' ? 'json' : this.framing === 'json' ? 'msgpack' : this.framing
      const message = decodeFrame(kind, frame, 1_048_576) as Message
      this.received.push(message)
      onMessage?.(message)
      this.handOver(message)
      // Nobody can catch what an event handler throws: it fails the test, whatever the test does with its waits.
      const fault = frameFault(message)
      if (fault === undefined) return
      if (!onFault) throw new Error(`a frame does not conform: ${fault}`)
      onFault(fault)
    }
    this.opened = new Promise((resolve, reject) => {
      this.socket.onopen = () => resolve()
      this.socket.onerror = (event) => reject(new Error((event as ErrorEvent).message || 'the socket failed'))
    })
    this.opened.catch(() => undefined)
    this.closed = new Promise((resolve) => {
      this.socket.onclose = ({ code, reason }) => resolve({ code, reason })
    })
  }

  /** The next message that was not taken yet and matches; an unmatched one stays for later. */
  next(match: string | ((message: Message) => boolean)): Promise<Message> {
    const matches = typeof match === 'string' ? (message: Message) => message.type === match : match
    const there = this.received.find((message) => !this.taken.has(message) && matches(message))
    if (there) {
      this.taken.add(there)
      return Promise.resolve(there)
    }
    return new Promise((resolve, reject) => {
      this.waiting.push({ matches, resolve })
      void this.closed.then(({ code, reason }) =>
        reject(new Error(`closed with ${code} ${reason} while waiting`)),
      )
    })
  }

  private handOver(message: Message): void {
    const index = this.waiting.findIndex(({ matches }) => matches(message))
    if (index < 0) return
    this.taken.add(message)
    this.waiting.splice(index, 1)[0]?.resolve(message)
  }

  send(message: object): void {
    this.socket.send(encodeMessage(this.framing, message))
  }

  sendRaw(frame: string | Uint8Array<ArrayBuffer>): void {
    this.socket.send(frame)
  }

  /** Sends with an id and waits for the reply that carries it. */
  async request(message: object): Promise<Message> {
    const id = `t${this.nextId++}`
    this.send({ ...message, id })
    return await this.next((reply) => reply['id'] === id)
  }

  /** Everything the server had committed for us by now has arrived when this resolves. */
  async sync(): Promise<Message> {
    return await this.request({ type: 'ping' })
  }

  subscribe(channels: readonly string[], since?: string): Promise<Message> {
    return this.request({ type: 'subscribe', channels, ...(since === undefined ? {} : { since }) })
  }

  /** Received journal events: those that carry a seq. */
  get events(): Message[] {
    return this.received.filter(
      (message) => typeof message['seq'] === 'number' && message.type !== 'published',
    )
  }

  close(code = 1000): void {
    this.socket.close(code)
  }

  terminate(): void {
    ;(this.socket as unknown as { terminate(): void }).terminate()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.close()
    await this.closed
  }
}
