/** Polling sessions, as the Lightroom plug-in has them: at most once, so an answer that is lost loses what it held. */
import type { Channel } from '../../../lib/protocol/events.ts'
import { mayReconnect } from '../../../lib/protocol/refusals.ts'
import type { Message } from '../client.ts'
import { Follower, wait, type FollowerOptions } from './follower.ts'
import { EXPIRED_CODE, heldFrom, noteHeard } from './held.ts'
import { drawOptions } from './options.ts'
import { isLasting } from './passes.ts'
import { isJournalEvent, type Segment } from './record.ts'

interface Visit {
  readonly base: string
  readonly clientId: string
  readonly segment: Segment
}

export class Poller extends Follower {
  private followed: readonly Channel[] = []
  private serial = 0

  constructor(options: FollowerOptions) {
    super(options, 'poll')
  }

  protected hangUp(): void {}

  protected async visit(url: string): Promise<void> {
    const { clientType, gate } = this.options
    const { record } = this
    const base = this.address(url)
    const greeted = await this.call<{ client_id: string }>('POST', `${base}/ws/handshake`, {
      client_type: clientType,
      protocol_version: '1.0',
    })
    if (greeted.status !== 200) return this.refused('a handshake', greeted)
    let clientId: string | undefined = greeted.body.client_id
    while (clientId !== undefined && !this.over && gate.url === url && base === this.address(url)) {
      const visited: string = clientId
      const segment: Segment = {
        transport: 'poll',
        clientType: clientId === greeted.body.client_id ? clientType : undefined,
        held: heldFrom(this.pass),
        refreshes: new Map(),
        asked: new Map(),
        pinged: new Map(),
        received: [],
      }
      this.followed = []
      const { pass } = this
      try {
        await this.subscribe({ base, clientId, segment })
        clientId = await this.stay({ base, clientId, segment }, () => gate.url === url)
      } finally {
        if (segment.received.length > 0) record.segments.push(segment)
        if (clientId === visited && gate.url === url) await this.abandon(url, visited, pass?.subject)
      }
    }
  }

  /** Ends a session, past the proxy and whatever became of its pass: a drain would wait for one that nobody empties. */
  private async abandon(url: string, clientId: string, subject: string | undefined): Promise<void> {
    if (subject !== undefined) this.hold(await this.draw(subject, true))
    await this.call('POST', `${url}/ws/disconnect`, { client_id: clientId }).catch(() => undefined)
  }

  /** Begins where it was left; once more, it goes on where it is, for what waits to be polled would come again. */
  private async subscribe(visit: Visit): Promise<void> {
    const { random } = this.options
    const { channels } = this
    const options = random.chance(0.5) ? drawOptions(random, channels) : {}
    const isFirst = visit.segment.asked.size === 0
    const since = isFirst && random.chance(0.7) ? this.cursor() : undefined
    const id = `ask ${(this.serial += 1)}`
    visit.segment.asked.set(id, { channels, since, ...options })
    const said = { type: 'subscribe', id, channels, ...options, ...(since === undefined ? {} : { since }) }
    const reply = await this.say(visit, said)
    visit.segment.received.push(reply)
    if (reply.type !== 'subscription_confirmed') return
    // Of what was followed the confirmation is ahead of what was polled.
    const fresh = channels.filter((channel) => !this.followed.includes(channel))
    this.adopt(String(reply['cursor']), fresh)
    this.followed = channels
  }

  /** Shows another token from the next call on. What it opens is asked for now or never. */
  private async refresh(visit: Visit): Promise<void> {
    const pass = await this.draw(this.pass?.subject)
    if (!pass) return
    const { segment } = visit
    const id = `shown ${(this.serial += 1)}`
    this.hold(pass)
    segment.refreshes.set(id, pass)
    segment.held.push(...heldFrom(pass))
    segment.received.push({ type: 'shown', id })
    this.followed = this.followed.filter((channel) => this.channels.includes(channel))
    if (this.settling || this.options.random.chance(0.5)) await this.subscribe(visit)
  }

  /** Polls until the session is gone; the id of a fresh one, if the server opened it. */
  private async stay(visit: Visit, isUp: () => boolean): Promise<string | undefined> {
    const { arrivals, random } = this.options
    const { base, clientId, segment } = visit
    while (!this.over && isUp() && base === this.address(base)) {
      if (this.pass && (this.settling ? !isLasting(this.pass) : random.chance(0.1))) await this.refresh(visit)
      // What was sent before the pong is what the next poll brings.
      const pong = this.settling || random.chance(0.2) ? await this.ping(visit) : undefined
      const messages = await this.poll(visit)
      if (messages === undefined) {
        segment.received.push({ type: 'lost' })
        // With its cursor a fresh session would get it; this one goes on without.
        if (random.chance(0.5)) return undefined
        continue
      }
      const fresh = messages.find((message) => message.type === 'connection_established')?.['client_id']
      if (fresh !== undefined && fresh !== clientId) return String(fresh)
      for (const message of messages) noteHeard(segment.held, arrivals, message)
      segment.received.push(...messages)
      messages.forEach((message) => this.follow(message))
      if (pong) {
        segment.received.push(pong)
        this.adopt(String(pong['cursor']))
      }
      const end = messages.find(({ type }) => type === 'disconnect')
      if (end) {
        if (end['code'] === EXPIRED_CODE) this.tire()
        if (!mayReconnect(Number(end['code']))) this.sentAway()
        return undefined
      }
      if (!this.settling && random.chance(0.03)) {
        await this.call('POST', `${base}/ws/disconnect`, { client_id: clientId })
        return undefined
      }
      await wait(random.int(0, 100))
    }
    return clientId
  }

  /** Undefined where no answer came. */
  private async poll({ base, clientId }: Visit): Promise<Message[] | undefined> {
    const answer = await this.call<{ messages: Message[] }>(
      'GET',
      `${base}/ws/poll?client_id=${clientId}`,
    ).catch(() => undefined)
    if (answer && answer.status !== 200) return this.refused('a poll', answer)
    return answer?.body.messages
  }

  private async ping(visit: Visit): Promise<Message | undefined> {
    const id = `ping ${(this.serial += 1)}`
    visit.segment.pinged.set(id, this.options.history.cursors.at(-1)?.cursor)
    const reply = await this.say(visit, { type: 'ping', id })
    return reply.type === 'pong' ? reply : undefined
  }

  /** The reply to a message. @throws when none came, or the session is gone */
  private async say({ base, clientId }: Visit, message: object): Promise<Message> {
    const answer = await this.call<{ response: Message | null }>('POST', `${base}/ws/send`, {
      client_id: clientId,
      message,
    })
    if (answer.status === 404) throw new Error('the session is gone')
    if (answer.status !== 200) return this.refused('a message', answer)
    if (answer.body.response === null) throw new Error('the session ended under the message')
    return answer.body.response
  }

  private follow(message: Message): void {
    if (message.type === 'batch') this.move(message['channel'] as Channel, Number(message['upto']))
    else if (isJournalEvent(message)) this.move(message.channel, message.seq)
  }
}
