/** What an application hands to the client and gets from it. */
import type { Channel, Draft, EventMap, EventType, LightwireEvent } from './events.ts'

/** `waiting`: for the next try. `closed` is final. */
export type Status = 'connecting' | 'connected' | 'waiting' | 'closed'
export type Transport = 'websocket' | 'sse' | 'poll'
export type Framing = 'json' | 'msgpack' | 'deflate'

/** Keeps a text from one life of the application to the next: the cursor, or several with a space between them. */
export interface CursorStorage {
  load(): string | null | undefined | Promise<string | null | undefined>
  save(cursor: string): void | Promise<void>
}

/** What the client needs of a WebSocket: the platform's own, or `ws` in Node 20. */
export interface SocketLike {
  binaryType: string
  onopen: ((event: never) => void) | null
  onmessage: ((event: never) => void) | null
  onclose: ((event: never) => void) | null
  onerror: ((event: never) => void) | null
  send(text: string): void
  close(code?: number): void
}

export type SocketConstructor = new (url: string, protocols: string[]) => SocketLike
export type Fetch = (url: string, init: RequestInit) => Promise<Response>

export interface ClientOptions {
  /** `http://…` or `https://…` of the server, with a path before `/ws` and `/api` if it has one. */
  readonly url: string
  /** Gives a token that is good now. Called before the first connection, and when the last one ends or has ended. */
  readonly getToken?: () => string | Promise<string>
  /** 1 to 32 of a–z, 0–9, `_` and `-`: gui, web, mobile, … */
  readonly clientType?: string
  readonly clientName?: string
  /** `auto` takes the others where WebSockets are blocked, and comes back to them. */
  readonly transport?: 'auto' | Transport
  /** Of the WebSocket; the binary ones load `msgpackr`. */
  readonly framing?: Framing
  readonly storage?: CursorStorage
  /** Publishes that may wait for their answer at once. */
  readonly queueMax?: number
  /** How long `auto` stays away from WebSockets before it looks whether they pass again. */
  readonly retryWebSocketMs?: number
  readonly WebSocket?: SocketConstructor
  readonly fetch?: Fetch
  /** What handlers throw, what went wrong without anybody waiting for it, and a refused hold or state to follow. */
  readonly onError?: (error: unknown) => void
}

export type Scalar = string | number | boolean | null
export type Condition =
  | Scalar
  | {
      readonly eq?: Scalar
      readonly ne?: Scalar
      readonly in?: readonly Scalar[]
      readonly gt?: Scalar
      readonly gte?: Scalar
      readonly lt?: Scalar
      readonly lte?: Scalar
      readonly exists?: boolean
    }

export interface SubscribeOptions {
  /** Fields and what they must be, all of them: `{ session_id: 12, progress: { gte: 50 } }`. */
  readonly where?: Readonly<Record<string, Condition>>
  /** How long the server may collect events before it sends them. A hint: WebSocket only. */
  readonly batchMs?: number
  /** Of state events that wait together only the newest per key. A hint: WebSocket only. */
  readonly conflate?: boolean
}

export type Recovery =
  | { readonly status: 'live' | 'recovered' }
  | { readonly status: 'snapshot_required'; readonly reason: string }

export interface Subscribed {
  /** Everything that is subscribed now. */
  readonly channels: readonly Channel[]
  readonly cursor: string
  /** Of the channels that were asked for. */
  readonly recovery: Readonly<Partial<Record<Channel, Recovery>>>
}

export interface PublishOptions {
  /** Names this act: sent again with it, it happens once. Made up when left out. */
  readonly key?: string
  /** Asks for what the row's route does. */
  readonly command?: boolean
  /** Without it the answer is waited for as long as the client is not closed. */
  readonly timeoutMs?: number
}

export interface Published {
  readonly event_type: EventType
  readonly channel: Channel
  readonly seq: number
}

export interface Message {
  readonly type: string
  readonly [field: string]: unknown
}

/** A state and the place in the journal where it was read. */
export interface Snapshot<T> {
  readonly value: T
  readonly cursor: string
}

/** Reads JSON from the server with the token; the cursor is the answer's `Lightwire-Cursor`. */
export type Read = <T>(path: string) => Promise<Snapshot<T>>

export interface FollowOptions<T> extends SubscribeOptions {
  /** The state as a whole: at first, and again whenever the position was lost. */
  readonly onSnapshot: (value: T) => void
  /** What happened after it, each event once. */
  readonly onEvent: (event: LightwireEvent) => void
}

export interface Following {
  /** Resolves with the first snapshot's subscription. */
  readonly ready: Promise<void>
  /** Also unsubscribes the channels, unless somebody else subscribed them. */
  stop(): void
}

export interface Holding {
  readonly ready: Promise<unknown>
  release(): void
}

export type Handler<E> = (event: E) => void

export interface Client {
  readonly status: Status
  /** What carries events now. */
  readonly transport: Transport | null
  /** How far everything that is subscribed is applied. Inside a handler it includes the event. */
  readonly cursor: string | null
  /** Channels that are subscribed, or will be with the next connection. */
  readonly channels: readonly Channel[]
  /** Handles events of one type, or of all. Returns what ends it. */
  on<T extends EventType>(type: T, handler: Handler<EventMap[T]>): () => void
  on(type: '*', handler: Handler<LightwireEvent>): () => void
  /** Messages of operators and of custom handlers that answer no request. */
  onMessage(handler: Handler<Message>): () => void
  onStatus(handler: (status: Status, code?: string) => void): () => void
  /** The position in these channels is lost: read the state again. What follows is newer than what was missed. */
  onStateLost(handler: (channels: readonly Channel[]) => void): () => void
  /** @throws {LightwireError} with the server's code when it refuses */
  subscribe(channels: readonly Channel[], options?: SubscribeOptions): Promise<Subscribed>
  /** What is subscribed still. */
  unsubscribe(channels: readonly Channel[]): Promise<readonly Channel[]>
  /**
   * Subscribes for as long as somebody holds the channels: the last `release` unsubscribes. Holders that want different
   * things of a channel get all of it, for there is one subscription per channel.
   */
  hold(channels: readonly Channel[], options?: SubscribeOptions): Holding
  /** Once, also over a lost connection. @throws {LightwireError} `queue_full`, `too_large`, `timeout`, `closed`, the server's code */
  publish(event: Draft, options?: PublishOptions): Promise<Published>
  /** Sends a message of a custom handler's type once. @throws {LightwireError} `timeout`, `closed`, the server's code */
  request(message: Message, options?: { readonly timeoutMs?: number }): Promise<Message>
  /** Reads a state and follows it from there: nothing missed, nothing twice. */
  snapshotThenFollow<T>(
    source: string | ((read: Read) => Promise<Snapshot<T>>),
    channels: readonly Channel[],
    options: FollowOptions<T>,
  ): Following
  /** Ends it for good. */
  close(): void
}

/** An expected no: the server's refusal code, or `closed`, `timeout`, `queue_full`. */
export class LightwireError extends Error {
  override readonly name = 'LightwireError'
  constructor(
    readonly code: string,
    message: string,
    readonly retryAfterMs?: number,
  ) {
    super(message)
  }
}
