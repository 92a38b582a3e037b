/** The way out of a connection: what is sent leaves through here, and so does the reason when it ends. */
import type { Frame } from '../protocol/codec.ts'
import { closeCodeOf, mayReconnect, type RefusalCode } from '../protocol/refusals.ts'
import type { Medium } from './medium.ts'
import { closeReason, OPEN, type Socket } from './socket.ts'
import { frameBytes } from './topic.ts'
import type { Trace } from './traces.ts'

export interface OutletServices {
  /** Unsent bytes from which on a client is slow. */
  readonly highWaterBytes: () => number
  readonly beforeSend: (bytes: number) => void
  readonly onDropped: () => void
}

export interface EndOptions {
  readonly closeCode?: number
  readonly retryAfterMs?: number
}

export class Outlet {
  /** How this side ended it, where it did. */
  ended: { readonly code: number; readonly reason: string } | undefined
  /** Since when unsent bytes stand still, in monotonic milliseconds; undefined while none wait or they move. */
  stalledSinceMs: number | undefined
  /** Notes what is sent, while somebody looks. */
  trace: Trace | undefined

  constructor(
    readonly socket: Socket,
    readonly medium: Medium,
    private readonly bounds: OutletServices,
  ) {}

  get isOpen(): boolean {
    return this.ended === undefined && this.socket.readyState === OPEN
  }

  /** Whether more bytes wait for this client than a quick one ever has. */
  get isSlow(): boolean {
    return this.unsentBytes() > this.bounds.highWaterBytes()
  }

  unsentBytes(): number {
    return this.socket.getBufferedAmount()
  }

  cork(send: () => void): void {
    this.socket.cork(send)
  }

  /** Sends a message of the server's own; it goes around the journal. */
  send(message: object): void {
    if (!this.isOpen) return
    const frame = this.medium.message(message)
    this.bounds.beforeSend(frameBytes(frame))
    const sent = this.hand(frame)
    this.trace?.noteMessage(message, sent)
  }

  /** Bytes handed over; 0 where the socket took nothing. */
  protected hand(frame: Frame): number {
    if (this.socket.send(frame) !== 0) return frameBytes(frame)
    if (this.isOpen) this.bounds.onDropped()
    return 0
  }

  /** Says why, then closes. */
  end(code: RefusalCode, reason: string, options: EndOptions = {}): void {
    if (!this.isOpen) return
    this.announceEnd(code, reason, options)
    this.close()
  }

  /** Says why it will be closed; from here on nothing else is said and nothing heard. */
  announceEnd(code: RefusalCode, reason: string, options: EndOptions): void {
    const { closeCode = closeCodeOf(code), retryAfterMs } = options
    const retry = retryAfterMs === undefined ? {} : { retry_after_ms: retryAfterMs }
    this.send({ type: 'disconnect', code: closeCode, reason, reconnect: mayReconnect(closeCode), ...retry })
    this.ended = { code: closeCode, reason }
  }

  close(): void {
    if (!this.ended) return
    const stuck = this.isSlow || this.stalledSinceMs !== undefined
    this.socket.close(this.ended.code, closeReason(this.ended.reason))
    // A socket that takes nothing would linger until its bytes time out.
    if (stuck) this.socket.terminate()
  }
}
