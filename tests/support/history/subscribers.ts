/** Subscribers that follow the client rule: resume from their own position whenever a connection ends, however it does. */
import { formatCursor, parseCursor, type Positions } from '../../../lib/protocol/cursor.ts'
import type { Channel } from '../../../lib/protocol/events.ts'
import type { Framing } from '../../../lib/protocol/codec.ts'
import { mayReconnect } from '../../../lib/protocol/refusals.ts'
import { TestClient, type Message } from '../client.ts'
import type { Random } from '../random.ts'
import type { Gate } from './gate.ts'
import type { Passes } from './passes.ts'
import { isJournalEvent, type History, type Pass, type Segment, type SubscriberRecord } from './record.ts'

/** A pong that takes longer means that the connection is dead, half-open at least. */
const PONG_DEADLINE_MS = 2000
const FINISH_DEADLINE_MS = 10_000

interface SubscriberOptions {
  readonly name: string
  readonly framing: Framing
  readonly clientType: string
  readonly channels: readonly Channel[]
  readonly gate: Gate
  readonly history: History
  readonly token: string
  /** Where it takes its tokens from, if not the run's own. */
  readonly passes?: Passes
  readonly random: Random
  /** Connects here instead of the server's own port. */
  readonly proxyPort?: number
}

export class Subscriber {
  private record: SubscriberRecord
  private positions: Positions = {}
  private epoch: string | undefined
  private pass: Pass | undefined
  private client: TestClient | undefined
  private lives = 0
  private direct = false
  private over = false
  private readonly loop: Promise<void>

  constructor(private readonly options: SubscriberOptions) {
    this.record = this.begin()
    this.loop = this.run()
  }

  /** Goes around the proxy from now on, and catches up with everything committed; then it is over. */
  async finish(): Promise<void> {
    this.direct = true
    if (this.options.proxyPort !== undefined) this.client?.terminate()
    // The pong of a fresh or living connection comes after everything committed before the ping. A server that does
    // not bring us there in time has lost something: the checker will say what.
    const deadline = performance.now() + FINISH_DEADLINE_MS
    while (performance.now() < deadline) {
      const client = this.client
      if (client && (await this.pongOf(client, FINISH_DEADLINE_MS))) break
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    this.over = true
    this.client?.terminate()
    await this.loop
  }

  /** A new subscriber, with a record of its own; some have read the state before and come since its cursor. */
  private begin(): SubscriberRecord {
    const { name, framing, history, random } = this.options
    this.lives += 1
    this.record = { name: `${name}.${this.lives} (${framing})`, segments: [], endings: [], stopped: false }
    history.subscribers.push(this.record)
    const read = random.chance(0.5) ? history.reads.at(-1) : undefined
    const cursor = read && parseCursor(read.cursor)
    this.epoch = cursor?.epoch
    this.positions = { ...cursor?.positions }
    return this.record
  }

  private async run(): Promise<void> {
    while (!this.over) {
      const url = await this.options.gate.whenUp()
      if (url === undefined) return
      try {
        await this.connect(url)
      } catch {
        // Refused, cut or killed before it stood: come again.
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    }
  }

  private async connect(url: string): Promise<void> {
    const { framing, clientType, token, passes, channels, proxyPort, random } = this.options
    const port = proxyPort === undefined || this.direct ? new URL(url).port : proxyPort
    this.pass ??= passes?.take(random)
    const { pass } = this
    const own: { segment?: Segment; clientId: string } = { clientId: '' }
    const since =
      this.epoch === undefined ? undefined : formatCursor({ epoch: this.epoch, positions: this.positions })
    const client = new TestClient({
      url: `ws://127.0.0.1:${port}/ws`,
      framing,
      token: pass?.token ?? token,
      onMessage: (message) => {
        if (message.type === 'connection_established') own.clientId = String(message['client_id'])
        if (message.type === 'subscription_confirmed') {
          own.segment = { since, clientType, pass, confirmation: message, received: [] }
        } else if (own.segment) {
          own.segment.received.push(message)
          this.follow(message)
        }
      },
    })
    const deadline = setTimeout(() => client.terminate(), PONG_DEADLINE_MS)
    try {
      await client.opened
      client.send({ type: 'register', client_type: clientType, client_name: this.record.name })
      const confirmation = await client.subscribe(channels, since)
      clearTimeout(deadline)
      if (!own.segment) throw new Error('no confirmation')
      this.adopt(confirmation)
      this.client = client
      // Some come and go by themselves, the way laptops do.
      while (await this.pongOf(client, PONG_DEADLINE_MS)) {
        if (!this.direct && random.chance(0.05)) break
        await Promise.race([
          client.closed,
          new Promise((resolve) => setTimeout(resolve, random.int(20, 200))),
        ])
        if (this.over) break
      }
    } finally {
      clearTimeout(deadline)
      this.client = undefined
      client.terminate()
      const closed = await client.closed
      if (own.segment) this.record.segments.push(own.segment)
      this.record.endings.push({ ...closed, clientId: own.clientId, pass })
      this.leave(closed.code)
    }
  }

  /** PROTOCOL §2: the close code says whether to come back. With another token it is another matter. */
  private leave(code: number): void {
    if (mayReconnect(code) || code === 1000) return
    if (this.pass && this.options.passes?.mayBeVoid(this.pass)) {
      this.pass = undefined
      return
    }
    this.record.stopped = true
    this.begin()
  }

  private adopt(confirmation: Message): void {
    const { epoch, positions } = parseCursor(String(confirmation['cursor']))
    this.epoch = epoch
    for (const [channel, seq] of Object.entries(positions) as [Channel, number][]) {
      this.positions[channel] = Math.max(this.positions[channel] ?? 0, seq)
    }
  }

  /** PROTOCOL §5, client rule. A gap is left for the checker to find in the raw frames. */
  private follow(message: Message): void {
    if (!isJournalEvent(message)) return
    this.positions[message.channel] = Math.max(this.positions[message.channel] ?? 0, message.seq)
  }

  /** Whether a ping was answered in time. */
  private async pongOf(client: TestClient, deadlineMs: number): Promise<boolean> {
    const deadline = setTimeout(() => client.terminate(), deadlineMs)
    try {
      await client.sync()
      return true
    } catch {
      return false
    } finally {
      clearTimeout(deadline)
    }
  }
}
