/** A client's frames in their order: one that waits holds back those behind it, and too many pause the reading. */
import type { Socket } from './socket.ts'

/** Frames held behind one that waits (auth, a custom handler); then reading pauses until they are done. */
const HELD_FRAMES_MAX = 64
/** Their length, likewise: behind an auth they are a stranger's. Bytes, of a text code units. */
const HELD_LENGTH_MAX = 256 * 1024

export interface InboxOwner {
  readonly socket: Pick<Socket, 'pause' | 'resume'>
  readonly isOpen: boolean
  /** Whether the client does not take what it is sent, or is owed too many answers. */
  readonly isBusy: boolean
  /** Acts on a frame; a promise (that never rejects) holds back the next ones. */
  handle(frame: string | Uint8Array): Promise<void> | undefined
}

export class Inbox {
  private paused = false
  private held: (string | Uint8Array)[] | undefined
  private heldLength = 0

  constructor(private readonly owner: InboxOwner) {}

  receive(frame: string | Uint8Array): void {
    // Bun may use the buffer of a binary frame again after its handler returned.
    if (this.held) {
      this.held.push(typeof frame === 'string' ? frame : frame.slice())
      this.heldLength += frame.length
    } else this.process(frame)
    this.throttle()
  }

  /** Stops reading a client that sends faster than it is answered, or does not take its answers. */
  throttle(): void {
    const isFull = (this.held?.length ?? 0) >= HELD_FRAMES_MAX || this.heldLength >= HELD_LENGTH_MAX
    const full = isFull || this.owner.isBusy
    if (full === this.paused || !this.owner.isOpen) return
    this.paused = full
    if (full) this.owner.socket.pause()
    else this.owner.socket.resume()
  }

  get isPaused(): boolean {
    return this.paused
  }

  clear(): void {
    this.held = undefined
    this.heldLength = 0
  }

  private process(frame: string | Uint8Array): void {
    const pending = this.owner.handle(frame)
    if (!pending) return
    this.held = []
    void pending.finally(() => this.release())
  }

  /** Goes on with what was held, in order, until one of them waits again. */
  private release(): void {
    const held = this.held ?? []
    this.held = undefined
    while (held.length > 0 && !this.held && this.owner.isOpen) {
      const frame = held.shift()
      if (frame === undefined) break
      this.heldLength -= frame.length
      this.process(frame)
    }
    // `process` may have begun to hold again; the compiler cannot see that.
    const again = this.held as (string | Uint8Array)[] | undefined
    again?.push(...held)
    this.throttle()
  }
}
