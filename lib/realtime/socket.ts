/** The small face of a socket that realtime works with; Bun's ServerWebSocket fits as it is. */
import type { Frame } from '../protocol/codec.ts'

export interface Socket {
  /** More than 0: bytes taken; −1: queued; 0: dropped, or the socket is closed. */
  send(frame: Frame): number
  /** Bytes handed over and not yet taken by the kernel; lags by at most 32 queued messages. */
  getBufferedAmount(): number
  subscribe(topic: string): void
  unsubscribe(topic: string): void
  /** What is sent within leaves in one write. */
  cork(send: () => void): void
  ping(): number
  pause(): void
  resume(): void
  close(code: number, reason: string): void
  terminate(): void
  /** 1 while open (RFC 6455 states, as in browsers). */
  readonly readyState: number
}

export const OPEN = 1

/** A close reason longer than this would be cut in the middle of a character (RFC 6455 §5.5). */
const REASON_BYTES_MAX = 123

export function closeReason(reason: string): string {
  return Buffer.from(reason)
    .subarray(0, REASON_BYTES_MAX)
    .toString()
    .replace(/\uFFFD$/, '')
}
