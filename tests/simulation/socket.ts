/** A virtual socket that treats its frames as Bun does: kernel and user buffers, silent drops, a lagging count. */
import type { Frame } from '../../lib/protocol/codec.ts'
import type { Publisher } from '../../lib/realtime/topics.ts'
import type { Socket } from '../../lib/realtime/socket.ts'
import type { Scheduler, Owner } from './scheduler.ts'

/** Bun queues at most this many messages of one turn before it writes and counts them. */
const LAG_MESSAGES = 32
const FRAME_HEADER_BYTES = 10
/** What keeps the order of two things that come at once. */
const NEXT_MS = 1e-6

export interface LinkShape {
  /** Bytes that the kernel takes before user space has to keep them. */
  readonly kernelBytes: number
  /** Most bytes that one look of the network takes. */
  readonly burstBytes: number
  /** Milliseconds between two looks, and from one end to the other; drawn anew each time. */
  readonly gapMs: () => number
  readonly latencyMs: () => number
}

/** The client's end. */
export interface Peer {
  readonly owner: Owner
  receive(frames: readonly Frame[]): void
  /** The connection is over; 1006 when no close frame came. */
  closed(code: number): void
}

/** What a transport's handlers are called with, by the network. */
export interface Handlers {
  open(socket: VirtualSocket): void
  message(socket: VirtualSocket, frame: string | Buffer<ArrayBuffer>): void
  drain(socket: VirtualSocket): void
  pong(socket: VirtualSocket): void
  close(socket: VirtualSocket, code: number, reason: string): void
}

interface SocketOptions {
  readonly scheduler: Scheduler
  /** The process that holds the server's end. */
  readonly process: Owner
  readonly handlers: Handlers
  readonly peer: Peer
  readonly link: LinkShape
  /** Bytes beyond which Bun drops a frame without a word. */
  readonly limitBytes: number
  readonly onHanded: (frame: Frame) => void
  readonly onDrop: (bytes: number) => void
  /** Sockets that something waits in for the end of the turn. */
  readonly unwritten: Set<VirtualSocket>
}

interface Queued {
  readonly frame: Frame | { readonly close: number }
  readonly bytes: number
}

export class VirtualSocket implements Socket {
  /** What Bun's sockets carry; the transport knows its shape. */
  data: unknown
  readyState = 1
  readonly topics = new Set<string>()
  /** While true the network takes nothing; the server cannot see why. */
  stalled = false
  private queue: Queued[] = []
  private queuedBytes = 0
  private lagging = 0
  private lagBytes = 0
  private corked = false
  private pumping = false
  private paused = false
  private inbound: string[] = []
  private lastArrival = 0
  private lastInbound = 0
  /** Neither end hears of the other any more. */
  private severed = false

  constructor(private readonly options: SocketOptions) {}

  get bufferedBytes(): number {
    return Math.max(0, this.queuedBytes - this.options.link.kernelBytes)
  }

  send(frame: Frame): number {
    if (!this.corked) this.flush()
    const taken = this.put(frame)
    if (!this.corked) this.flush()
    return taken
  }

  /** A topic's frame: written at the end of the turn, or when LAG_MESSAGES wait. */
  publish(frame: Frame): number {
    if (this.lagging >= LAG_MESSAGES) this.flush()
    return this.put(frame)
  }

  private put(frame: Frame): number {
    const { process, link, limitBytes, onHanded, onDrop, unwritten } = this.options
    const bytes = sizeOf(frame)
    // What a dead process still says reaches nobody.
    if (!process.alive) return bytes
    if (this.readyState !== 1) return 0
    onHanded(frame)
    const total = this.queuedBytes + this.lagBytes + bytes
    if (total - link.kernelBytes > limitBytes) {
      onDrop(total - link.kernelBytes)
      return 0
    }
    this.queue.push({ frame, bytes })
    this.lagging += 1
    this.lagBytes += bytes
    unwritten.add(this)
    return total > link.kernelBytes ? -1 : bytes
  }

  /** Hands what waited to the kernel; from here on it counts. */
  flush(): void {
    if (this.lagging === 0) return
    this.lagging = 0
    this.queuedBytes += this.lagBytes
    this.lagBytes = 0
    this.pump()
  }

  getBufferedAmount(): number {
    return this.bufferedBytes
  }

  subscribe(topic: string): void {
    this.topics.add(topic)
    topicsOf(this.options.process, topic).add(this)
  }

  unsubscribe(topic: string): void {
    this.flush()
    this.topics.delete(topic)
    topicsOf(this.options.process, topic).delete(this)
  }

  cork(send: () => void): void {
    this.flush()
    this.corked = true
    send()
    this.corked = false
    this.flush()
  }

  ping(): number {
    const { scheduler, process, handlers, link } = this.options
    if (!this.stalled && !this.severed) {
      scheduler.post(process, link.latencyMs() * 2, 'pong frame', () => {
        if (this.readyState === 1 && !this.severed) handlers.pong(this)
      })
    }
    return 1
  }

  pause(): void {
    this.paused = true
  }

  resume(): void {
    this.paused = false
    const { scheduler, process } = this.options
    scheduler.post(process, 0, 'frames held', () => this.deliver())
  }

  close(code: number, reason: string): void {
    if (this.readyState !== 1) return
    this.flush()
    this.readyState = 3
    this.queue.push({ frame: { close: code }, bytes: 0 })
    this.pump()
    this.end(code, reason)
  }

  terminate(): void {
    this.queue = []
    this.queuedBytes = 0
    this.sever(1006)
    if (this.readyState !== 1) return
    this.readyState = 3
    this.end(1006, '')
  }

  /** The upgrade, before anything that the client says. */
  open(): void {
    this.inward('open', () => {
      if (!this.severed) this.options.handlers.open(this)
    })
  }

  /** The client says something; frames keep their order. */
  fromClient(frame: string): void {
    this.inward('frame', () => {
      this.inbound.push(frame)
      this.deliver()
    })
  }

  private inward(label: string, act: () => void): void {
    const { scheduler, process, link } = this.options
    this.lastInbound = Math.max(this.lastInbound + NEXT_MS, scheduler.nowMs + link.latencyMs())
    scheduler.post(process, this.lastInbound - scheduler.nowMs, label, act)
  }

  /** The network drops the connection: the client knows at once, the server soon, or never (half-open). */
  cut({ halfOpen }: { halfOpen: boolean }): void {
    const { scheduler, process, link } = this.options
    this.sever(1006)
    this.stalled = true
    if (halfOpen) return
    scheduler.post(process, link.latencyMs(), 'reset', () => {
      if (this.readyState !== 1) return
      this.readyState = 3
      this.end(1006, '')
    })
  }

  /** The server's process is gone. */
  reset(): void {
    this.readyState = 3
    this.sever(1006)
  }

  unstall(): void {
    this.stalled = this.severed
    this.pump()
  }

  private sever(code: number): void {
    if (this.severed) return
    this.severed = true
    const { scheduler, peer, link } = this.options
    scheduler.post(peer.owner, link.latencyMs(), 'closed', () => peer.closed(code))
  }

  private end(code: number, reason: string): void {
    for (const topic of this.topics) topicsOf(this.options.process, topic).delete(this)
    this.topics.clear()
    this.options.handlers.close(this, code, reason)
  }

  private deliver(): void {
    while (!this.paused && this.readyState === 1 && !this.severed) {
      const frame = this.inbound.shift()
      if (frame === undefined) return
      this.options.handlers.message(this, frame)
    }
  }

  /** The network takes a burst from the kernel and brings it to the client, in order. */
  private pump(): void {
    if (this.pumping || this.stalled || this.severed || this.queue.length === 0) return
    this.pumping = true
    const { scheduler, link } = this.options
    scheduler.post(scheduler.nobody, link.gapMs(), 'pump', () => {
      this.pumping = false
      if (this.stalled || this.severed) return
      this.take()
      this.pump()
    })
  }

  private take(): void {
    const { scheduler, process, handlers, peer, link } = this.options
    const full = this.bufferedBytes > 0
    const ready = this.queue.length - this.lagging
    let room = link.burstBytes
    let count = 0
    while (count < ready && room > 0) room -= this.queue[count++]?.bytes ?? 0
    const taken = this.queue.splice(0, count)
    if (taken.length === 0) return
    this.queuedBytes -= taken.reduce((sum, { bytes }) => sum + bytes, 0)
    if (full) {
      scheduler.post(process, 0, 'drain', () => {
        if (this.readyState === 1) handlers.drain(this)
      })
    }
    this.lastArrival = Math.max(this.lastArrival + NEXT_MS, scheduler.nowMs + link.latencyMs())
    scheduler.post(peer.owner, this.lastArrival - scheduler.nowMs, 'arrive', () => {
      if (this.severed) return
      const frames: Frame[] = []
      let code: number | undefined
      for (const { frame } of taken) {
        if (typeof frame === 'object' && 'close' in frame) code = frame.close
        else frames.push(frame)
      }
      if (frames.length > 0) peer.receive(frames)
      if (code === undefined) return
      this.severed = true
      peer.closed(code)
    })
  }
}

const members = new WeakMap<Owner, Map<string, Set<VirtualSocket>>>()

function topicsOf(process: Owner, topic: string): Set<VirtualSocket> {
  let topics = members.get(process)
  if (!topics) members.set(process, (topics = new Map()))
  let sockets = topics.get(topic)
  if (!sockets) topics.set(topic, (sockets = new Set()))
  return sockets
}

/** Native topics of one process. */
export function createPublisher(process: Owner): Publisher {
  return {
    publish(topic, frame) {
      const taken = [...topicsOf(process, topic)].map((socket) => socket.publish(frame))
      return taken.includes(0) ? 0 : Math.min(...taken, sizeOf(frame))
    },
  }
}

export function sizeOf(frame: Frame): number {
  return (typeof frame === 'string' ? Buffer.byteLength(frame) : frame.byteLength) + FRAME_HEADER_BYTES
}
