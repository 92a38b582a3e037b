/** A line to the server: messages of PROTOCOL §2 in both directions, whatever carries them. */
import type { Message } from './types.ts'

export interface LineEnd {
  /** As a WebSocket's close code; 1006 where there was none. */
  readonly code: number
  readonly reason: string
  /** The server's own word on when to come back. */
  readonly retryAfterMs?: number
  /** What to call it, where the close code does not say. */
  readonly name?: string
  /** Events did not pass: it took what was said, and brought none of them. */
  readonly isBlocked?: boolean
}

export interface LineEvents {
  /** The first is `connection_established`. */
  readonly onMessage: (message: Message) => void
  /** Once, and nothing after it; not after `close`. */
  readonly onEnd: (end: LineEnd) => void
}

export interface Line {
  /** Nothing that is sent before `connection_established` arrives. */
  send(message: Message): void
  close(): void
}

export interface LineRequest extends LineEvents {
  readonly token: string | undefined
}
