/** Polling sessions (PROTOCOL §6): a connection whose socket is a mailbox that its client empties, for clients that can do no more. */
import { encodeMessage, type Frame } from '../protocol/codec.ts'
import type { Channel } from '../protocol/events.ts'
import { clientMessages } from '../protocol/messages.ts'
import { Refusal } from '../protocol/refusals.ts'
import { mayRead, visible, type Principal } from '../access/rights.ts'
import type { Room } from '../access/room.ts'
import type { Connection } from '../realtime/connection.ts'
import type { Hub } from '../realtime/hub.ts'
import { pollMedium } from '../realtime/medium.ts'
import { OPEN, type Socket } from '../realtime/socket.ts'

const CLOSED = 3
/** A poll answers within a second. */
const POLL_WAIT_MS = 800
/** Sessions that one subject may have at once. */
const SESSIONS_PER_SUBJECT_MAX = 100
/** Messages of one session that wait for their reply. */
const SENDS_MAX = 16
/** Events that the plug-in sends as messages: each asks for what the row's route does. */
const commandTypes: ReadonlySet<string> = new Set([
  'job_started',
  'job_progress',
  'job_completed',
  'job_failed',
])

type Message = { readonly type: string } & Readonly<Record<string, unknown>>

export interface PollOptions {
  readonly hub: () => Hub
  readonly room: Room
  readonly frameBytesMax: number
  /** @throws {Refusal} `draining`: from then on no session begins */
  readonly requireOpen: () => void
  readonly onOpen: (connection: Connection, subject: string | undefined, requestId: string) => void
  readonly onClosed: (connection: Connection, code: number, reason: string) => void
}

interface Caller {
  readonly principal: Principal
  readonly address: string
  readonly requestId: string
}

interface Session {
  readonly connection: Connection
  readonly mailbox: Mailbox
  readonly subject: string
}

export type PollSessions = ReturnType<typeof createPollSessions>

export function createPollSessions(options: PollOptions) {
  const { hub, room, frameBytesMax, requireOpen, onOpen, onClosed } = options
  const sessions = new Map<string, Session>()

  /** @throws {Refusal} `draining`, `too_many_connections` */
  function open({ principal, address, requestId }: Caller): Session {
    requireOpen()
    const { subject } = principal
    const own = sessions.values().filter((session) => session.subject === subject)
    if ([...own].length >= SESSIONS_PER_SUBJECT_MAX)
      throw new Refusal(
        'too_many_connections',
        `${SESSIONS_PER_SUBJECT_MAX} sessions of this subject are open`,
      )
    const mailbox = new Mailbox()
    const connection = hub().attach(mailbox, pollMedium, room.take({ address, subject }))
    const session = { connection, mailbox, subject }
    mailbox.connection = connection
    mailbox.onClose = (code, reason) => {
      sessions.delete(connection.id)
      hub().detach(connection)
      const ended = connection.ended ?? { code, reason }
      onClosed(connection, ended.code, ended.reason)
    }
    sessions.set(connection.id, session)
    onOpen(connection, subject, requestId)
    hub().welcome(connection, principal)
    return session
  }

  /** The caller's own session of this id. */
  function find(clientId: string, { principal }: Caller): Session | undefined {
    const session = sessions.get(clientId)
    if (session?.subject !== principal.subject) return undefined
    const { connection } = session
    connection.heard()
    // Each call shows its token: another one than before has the effect of a refresh.
    if (!isSame(connection.principal, principal)) connection.adopt(principal)
    return session
  }

  /** @throws {Refusal} `not_found` */
  function require(clientId: string, caller: Caller): Session {
    const session = find(clientId, caller)
    if (!session) throw noSession()
    return session
  }

  return {
    /** Begins a session of this client type; its id. @throws {Refusal} `too_many_connections` */
    handshake(clientType: string, caller: Caller): string {
      const { connection } = open(caller)
      connection.clientType = clientType
      return connection.id
    },

    /** What came since the last poll, each message once; of an unknown session the greeting of a fresh one. */
    async poll(clientId: string, caller: Caller, signal: AbortSignal): Promise<Message[]> {
      const session = find(clientId, caller) ?? open(caller)
      await session.mailbox.filled(POLL_WAIT_MS, signal)
      // Whoever went away gets nothing: what waits is for the next poll.
      if (signal.aborted) return []
      return session.mailbox.take().flatMap((message) => shown(caller.principal, message))
    },

    /** Acts on a message as on one from a socket; its reply, or null where none follows. @throws {Refusal} */
    async send(clientId: string, message: Message, caller: Caller): Promise<Message | null> {
      const { connection, mailbox } = require(clientId, caller)
      if (message.type === 'disconnect') {
        mailbox.close(1000, 'the client left')
        return null
      }
      if (Buffer.byteLength(JSON.stringify(message)) > frameBytesMax)
        throw new Refusal('too_large', `the message is larger than ${frameBytesMax} bytes`)
      if (mailbox.asking >= SENDS_MAX)
        throw new Refusal('rate_limited', `${SENDS_MAX} messages wait for their reply`, {
          retryAfterMs: 1000,
        })
      return await mailbox.ask(connection, asCommand(message))
    },

    disconnect(clientId: string, caller: Caller): void {
      require(clientId, caller).mailbox.close(1000, 'the client left')
    },
  }
}

function noSession(): Refusal {
  return new Refusal('not_found', 'there is no such session; poll, and a fresh one begins')
}

/** What the rights of now show of a message that waited, perhaps since they were wider. */
function shown(principal: Principal, message: Message): Message[] {
  const channel = message['channel'] as Channel | undefined
  if (channel === undefined) return [message]
  if (!mayRead(principal, channel)) return []
  const filter = visible(principal, channel, undefined)
  if (!filter) return [message]
  const events = message['events'] as Message[] | undefined
  if (events) return [{ ...message, events: events.filter(filter.matches) }]
  return filter.matches(message) ? [message] : []
}

function isSame(held: Principal | undefined, shown: Principal): boolean {
  const { scope, jti, issuedAtMs, expiresAtMs } = shown
  return (
    held?.scope === scope &&
    held.jti === jti &&
    held.issuedAtMs === issuedAtMs &&
    held.expiresAtMs === expiresAtMs &&
    narrowingOf(held) === narrowingOf(shown)
  )
}

/** What grants let through, as text. */
function narrowingOf({ rights }: Principal): string {
  return rights.narrowed
    .entries()
    .map(([channel, { key }]) => `${channel} ${key}`)
    .toArray()
    .join('\n')
}

/** The plug-in reports on its job by sending the event itself. */
function asCommand(message: Message): Message {
  if (!commandTypes.has(message.type)) return message
  const { id, ...event } = message
  return { type: 'publish', event, command: true, ...(id === undefined ? {} : { id }) }
}

/** A socket whose client comes for its messages; what it has not fetched counts as unsent. */
class Mailbox implements Socket {
  readyState: number = OPEN
  connection: Connection | undefined
  onClose: (code: number, reason: string) => void = () => undefined
  private messages: string[] = []
  private bytes = 0
  private onFilled: (() => void) | undefined
  private serial = 0
  /** By the id that their reply will carry. */
  private readonly asked = new Map<string, PromiseWithResolvers<Message | null>>()

  get asking(): number {
    return this.asked.size
  }

  send(frame: Frame): number {
    const text = String(frame)
    if (this.readyState !== OPEN) return 0
    if (this.asked.size > 0 && this.answers(text)) return text.length
    this.messages.push(text)
    this.bytes += Buffer.byteLength(text)
    this.onFilled?.()
    return -1
  }

  /** Hands a message to the connection with an id of ours, and waits for what carries it. */
  async ask(connection: Connection, message: Message): Promise<Message | null> {
    this.serial += 1
    const id = `ask ${this.serial}`
    const reply = Promise.withResolvers<Message | null>()
    this.asked.set(id, reply)
    const handled = connection.handle(encodeMessage('json', { ...message, id }) as string)
    // The protocol's own messages are always answered; a custom handler may have nothing to say.
    if (!Object.hasOwn(clientMessages, message.type)) {
      const settled = () => reply.resolve(null)
      if (handled) void handled.then(settled)
      else settled()
    }
    const answer = await reply.promise.finally(() => this.asked.delete(id))
    if (answer === null) return null
    const { id: _, ...rest } = answer
    return message['id'] === undefined ? rest : { ...rest, id: message['id'] }
  }

  private answers(text: string): boolean {
    const { id } = JSON.parse(text) as { id?: unknown }
    const answer = typeof id === 'string' ? this.asked.get(id) : undefined
    answer?.resolve(JSON.parse(text) as Message)
    return answer !== undefined
  }

  /** Resolves when there is a message, after `ms`, or when the client goes away. */
  filled(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (this.messages.length > 0 || signal.aborted || this.readyState !== OPEN) return resolve()
      const done = () => {
        clearTimeout(timer)
        if (this.onFilled === done) this.onFilled = undefined
        resolve()
      }
      const timer = setTimeout(done, ms)
      signal.addEventListener('abort', done, { once: true })
      this.onFilled?.()
      this.onFilled = done
    })
  }

  take(): Message[] {
    const messages = this.messages.map((text) => JSON.parse(text) as Message)
    this.messages = []
    this.bytes = 0
    this.connection?.drained()
    return messages
  }

  getBufferedAmount(): number {
    return this.bytes
  }

  cork(send: () => void): void {
    send()
  }

  close(code: number, reason: string): void {
    if (this.readyState !== OPEN) return
    this.readyState = CLOSED
    for (const answer of this.asked.values()) answer.reject(noSession())
    this.onFilled?.()
    this.onClose(code, reason)
  }

  terminate(): void {
    this.close(1006, '')
  }

  ping(): number {
    return 0
  }

  // A mailbox takes part in no native topic, and asks itself when to read.
  subscribe(): void {}
  unsubscribe(): void {}
  pause(): void {}
  resume(): void {}
}
