/** Subscribers over WebSocket that follow the client rule, change what they ask for and may see, and resume from their own position. */
import type { Positions } from '../../../lib/protocol/cursor.ts'
import { channels as allChannels, type Channel } from '../../../lib/protocol/events.ts'
import type { Framing } from '../../../lib/protocol/codec.ts'
import { mayReconnect } from '../../../lib/protocol/refusals.ts'
import { TestClient, type Message } from '../client.ts'
import { Follower, wait, type FollowerOptions } from './follower.ts'
import { EXPIRED_CODE, heldFrom, noteHeard, noteStood } from './held.ts'
import { drawOptions, drawSome, type Options } from './options.ts'
import type { Pass } from './operator-record.ts'
import { isLasting } from './passes.ts'
import { isJournalEvent, type Segment } from './record.ts'
import { opened } from './rights.ts'

/** A pong that takes longer means that the connection is dead, half-open at least. */
const PONG_DEADLINE_MS = 2000

/** Messages that say everything that is followed now. */
const CHANNELS_TOLD: ReadonlySet<string> = new Set([
  'authenticated',
  'subscription_confirmed',
  'unsubscription_confirmed',
])

interface SubscriberOptions extends FollowerOptions {
  readonly framing: Framing
  /** Whether it asks for filters, batches and conflation, and for others now and then. */
  readonly choosy: boolean
}

/** One connection, from its opening to its end. */
interface Visit {
  readonly client: TestClient
  readonly segment: Segment
  /** The pass of an `auth` that was not answered yet. */
  offered: Pass | undefined
  /** This side ended it. */
  left: boolean
}

export class Subscriber extends Follower {
  private current: Visit | undefined
  /** Channels that it left for a while. */
  private away: readonly Channel[] = []
  /** As it was told last. */
  private followed: readonly Channel[] = []
  private serial = 0

  constructor(private readonly own: SubscriberOptions) {
    super(own, own.framing)
  }

  protected hangUp(): void {
    if (this.current) end(this.current)
  }

  protected override hasReached(target: Positions): boolean {
    return this.away.length === 0 && super.hasReached(target)
  }

  protected async visit(url: string): Promise<void> {
    const { arrivals, clientType, gate } = this.own
    const state = { clientId: '', told: undefined as unknown }
    const startedMs = Date.now()
    const visit = this.open(url, (message) => {
      if (message.type === 'connection_established') {
        state.clientId = String(message['client_id'])
        this.shown('a connection', startedMs)
      }
      if (message.type === 'disconnect') state.told = message['code']
    })
    const { client, segment } = visit
    const ending = { life: gate.life, direct: this.direct }
    const closed = client.closed.then((how) => {
      if (ending.direct && !visit.offered) noteStood(segment.held, arrivals)
      const passes = [
        ...segment.held.slice(-1).map(({ pass }) => pass),
        ...(visit.offered ? [visit.offered] : []),
      ]
      return { ...how, left: visit.left, atMs: Date.now(), passes }
    })
    const deadline = setTimeout(() => end(visit), PONG_DEADLINE_MS)
    try {
      await client.opened
      client.send({ type: 'register', client_type: clientType, client_name: this.record.name })
      await this.arrive(visit)
      clearTimeout(deadline)
      this.current = visit
      await this.stay(visit)
    } finally {
      clearTimeout(deadline)
      this.current = undefined
      end(visit)
      const how = await closed
      if (segment.asked.size > 0) this.record.segments.push(segment)
      this.record.endings.push({ ...how, ...ending, ...state })
      if (how.code === EXPIRED_CODE) this.tire()
      if (!mayReconnect(how.code) && how.code !== 1000) this.sentAway()
    }
  }

  private open(url: string, onMessage: (message: Message) => void): Visit {
    const { arrivals, clientType, framing, history } = this.own
    const segment: Segment = {
      transport: 'websocket',
      clientType,
      held: heldFrom(this.pass),
      refreshes: new Map(),
      asked: new Map(),
      pinged: new Map(),
      received: [],
    }
    const client = new TestClient({
      url: `${this.address(url, 'ws')}/ws`,
      framing,
      token: this.token,
      onFault: (fault) =>
        void history.unexpected.push(`${this.record.name}: a frame does not conform: ${fault}`),
      onMessage: (message) => {
        onMessage(message)
        noteHeard(segment.held, arrivals, message)
        if (message.type === 'registration_confirmed') return
        if (message.type === 'authenticated')
          segment.held.push(...heldFrom(segment.refreshes.get(message['id'])))
        segment.received.push(message)
        this.follow(message)
      },
    })
    return { client, segment, offered: undefined, left: false }
  }

  /** Subscribes to everything that it may, in one message or, with different options, in two. */
  private async arrive(visit: Visit, resumes = true): Promise<void> {
    const { channels } = this
    const { random, choosy } = this.own
    this.away = []
    const first = choosy ? drawSome(random, channels) : channels
    const rest = channels.filter((channel) => !first.includes(channel))
    for (const some of [first, rest].filter(({ length }) => length > 0)) {
      const reply = await this.subscribe(visit, some, resumes)
      if (reply.type !== 'subscription_confirmed') throw new Error('no confirmation')
    }
  }

  /** Some come and go by themselves, the way laptops do; some change their mind, some their pass. */
  private async stay(visit: Visit): Promise<void> {
    const { random, choosy } = this.own
    while (await this.pongOf(visit)) {
      if (this.over || (!this.settling && random.chance(0.05))) return
      const changes = !this.settling && random.chance(0.2)
      const exchanges = this.pass && !this.settling && random.chance(isLasting(this.pass) ? 0.1 : 0.3)
      if (this.settling && this.channels.some((channel) => !this.followed.includes(channel)))
        await this.arrive(visit)
      else if (exchanges) await this.refresh(visit)
      else if (choosy && (this.away.length > 0 || changes)) await this.change(visit)
      await Promise.race([visit.client.closed, wait(random.int(20, 200))])
      if (this.over) return
    }
  }

  /** Comes back to what it left, leaves something, or asks for it in another way; or for what it may not have. */
  private async change(visit: Visit): Promise<void> {
    const { random } = this.own
    const { channels } = this
    const back = this.away.filter((channel) => channels.includes(channel))
    this.away = []
    const some = back.length > 0 ? back : drawSome(random, channels)
    const barred = allChannels.filter((channel) => opened(this.right, channel) === 'none')
    if (back.length > 0 || random.chance(0.6)) {
      await this.subscribe(visit, some, random.chance(0.5))
    } else if (barred.length > 0 && random.chance(0.5)) {
      await this.ask(visit, 'subscribe', [...some, random.pick(barred)])
    } else {
      this.away = some
      await this.ask(visit, 'unsubscribe', some)
    }
  }

  /**
   * Shows another token, which may open less, more, or something else. What it opens is asked for with it, later, or
   * never: then only what is less takes effect.
   */
  private async refresh(visit: Visit): Promise<void> {
    const { random } = this.own
    const { client, segment } = visit
    const pass = await this.draw(this.pass?.subject)
    if (!pass) return
    // Its pong told it where it is: let something pass by untold.
    await wait(random.int(0, 200))
    const id = `auth ${(this.serial += 1)}`
    segment.refreshes.set(id, pass)
    visit.offered = pass
    const startedMs = Date.now()
    client.send({ type: 'auth', id, token: pass.token })
    const answered = client.next((reply) => reply['id'] === id)
    this.hold(pass)
    const [follows, together, resumes] = [random.chance(0.6), random.chance(0.5), random.chance(0.5)]
    const asked = follows && together ? this.arrive(visit, resumes) : undefined
    // What became of it is known by the answer to the other.
    asked?.catch(() => undefined)
    const reply = await answered
    if (reply.type === 'authenticated') {
      visit.offered = undefined
      this.shown('a refresh', startedMs, { pass })
    } else this.shown('a refresh', startedMs, { pass, code: String(reply['code']) })
    if (follows) await (asked ?? this.arrive(visit, resumes))
  }

  private subscribe(visit: Visit, channels: readonly Channel[], resumes: boolean): Promise<Message> {
    const options = this.own.choosy ? drawOptions(this.own.random, channels) : {}
    return this.ask(visit, 'subscribe', channels, options, resumes ? this.cursor() : undefined)
  }

  // Async, so that what a closed socket throws is a rejection too.
  private async ask(
    { client, segment }: Visit,
    type: string,
    channels: readonly Channel[],
    options: Options = {},
    since?: string,
  ): Promise<Message> {
    const id = `ask ${(this.serial += 1)}`
    segment.asked.set(id, { channels, since, ...options })
    client.send({ type, id, channels, ...options, ...(since === undefined ? {} : { since }) })
    return await client.next((reply) => reply['id'] === id)
  }

  /** PROTOCOL §5, client rule. A gap is left for the checker to find in the raw frames. */
  private follow(message: Message): void {
    if (CHANNELS_TOLD.has(message.type)) this.followed = message['channels'] as Channel[]
    if (message.type === 'subscription_confirmed' || message.type === 'pong')
      this.adopt(String(message['cursor']))
    else if (message.type === 'batch') this.move(message['channel'] as Channel, Number(message['upto']))
    else if (isJournalEvent(message)) this.move(message.channel, message.seq)
  }

  /** Whether a ping was answered in time. */
  private async pongOf(visit: Visit): Promise<boolean> {
    const { client, segment } = visit
    const deadline = setTimeout(() => end(visit), PONG_DEADLINE_MS)
    const id = `ping ${(this.serial += 1)}`
    segment.pinged.set(id, this.own.history.cursors.at(-1)?.cursor)
    try {
      client.send({ type: 'ping', id })
      await client.next((reply) => reply['id'] === id)
      return true
    } catch {
      return false
    } finally {
      clearTimeout(deadline)
    }
  }
}

function end(visit: Visit): void {
  visit.left = true
  visit.client.terminate()
}
