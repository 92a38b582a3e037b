/** A client's frames in their order: one that waits holds back those behind it, and too many pause the reading. */
import type { Socket } from './socket.ts'

/** Frames held behind one that waits (auth, a custom handler); then reading pauses until they are done. */
const HELD_FRAMES_MAX = 64

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

  constructor(private readonly owner: InboxOwner) {}

  receive(frame: string | Uint8Array): void {
    // Bun may use the buffer of a binary frame again after its handler returned.
    if (this.held) this.held.push(typeof frame === 'string' ? frame : frame.slice())
    else this.process(frame)
    this.throttle()
  }

  /** Stops reading a client that sends faster than it is answered, or does not take its answers. */
  throttle(): void {
    const full = (this.held?.length ?? 0) >= HELD_FRAMES_MAX || this.owner.isBusy
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
      if (frame !== undefined) this.process(frame)
    }
    // `process` may have begun to hold again; the compiler cannot see that.
    const again = this.held as (string | Uint8Array)[] | undefined
    again?.push(...held)
    this.throttle()
  }
}
