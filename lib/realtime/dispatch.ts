/** What each message of a client does: one function per type of PROTOCOL §2, the rest goes to custom handlers. */
import { parseCursor, type Cursor } from '../protocol/cursor.ts'
import type { Channel } from '../protocol/events.ts'
import { parseFilter } from '../protocol/filter.ts'
import * as messages from '../protocol/messages.ts'
import { closeCodeOf, excerpt, Refusal, type RefusalCode } from '../protocol/refusals.ts'
import { requireApi, requireChannel, type Principal } from '../access/rights.ts'
import type { Connection, Dispatch } from './connection.ts'
import { PLAIN, type Options } from './topic.ts'

/** Who sent a message, for a custom handler. */
export interface HandlerClient {
  readonly id: string
  readonly subject: string
  readonly clientType: string | null
}

/**
 * Answers messages of a type of its own. What it returns is the reply and carries the message's id; a Refusal it
 * throws becomes an `error` with that code, anything else `internal`. Messages of one client wait for one another.
 */
export type Handler = (
  message: Readonly<Record<string, unknown>>,
  client: HandlerClient,
) => object | undefined | void | Promise<object | undefined | void>

export type Handlers = Readonly<Record<string, Handler>>

export interface DispatchServices {
  readonly now: () => Date
  readonly handlers: Handlers
  /** With `AUTH=off`: who everybody is, whatever token they send. */
  readonly anyone?: Principal | undefined
  readonly verify: (token: string, address: string) => Promise<Principal>
  /** @throws {Refusal} `draining`: from then on nothing is published */
  readonly requireOpen: () => void
  /** Hands out what waits for company, so that the head is behind everything acknowledged. */
  readonly flush: () => void
  /** Learns of what other nodes have committed, where a cursor names it and this node has not heard of it yet. */
  readonly catchUp?: (cursor: Cursor) => Promise<void> | undefined
  /** What becomes of a channel of a cursor now. */
  readonly judge: (cursor: Cursor, channel: Channel) => messages.Recovery
  /** The channel of an event type. @throws {Refusal} `unknown_type` */
  readonly channelOf: (type: string) => Channel
  /** @throws {Refusal} as the domain refuses */
  readonly publish: (
    principal: Principal,
    message: messages.ClientMessage<'publish'>,
  ) => Promise<{ channel: Channel; seq: number }>
  readonly onRefusal: (code: RefusalCode) => void
}

export function createDispatch(services: DispatchServices): Dispatch {
  async function authenticate(connection: Connection, incoming: messages.Incoming): Promise<void> {
    const { token } = messages.parseBody('auth', incoming.body)
    const before = connection.principal
    try {
      const principal = services.anyone ?? (await services.verify(token, connection.address))
      if (before && before.subject !== principal.subject) {
        throw new Refusal('invalid_token', 'a live connection keeps its subject')
      }
      connection.adopt(principal)
      const { subject, scope, expiresAtMs } = principal
      const expires_at = expiresAtMs === undefined ? null : new Date(expiresAtMs).toISOString()
      connection.reply(incoming, {
        type: 'authenticated',
        subject,
        scope,
        expires_at,
        channels: connection.channels,
      })
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      services.onRefusal(error.code)
      connection.reply(incoming, messages.errorMessage(error, services.now()))
      // A failed refresh ends the connection for good; a first token that only expired may be replaced.
      const closeCode = closeCodeOf(before ? 'invalid_token' : error.code)
      connection.end(error.code, error.message, { closeCode })
    }
  }

  function register(connection: Connection, incoming: messages.Incoming): void {
    const { client_type, client_name = null } = messages.parseBody('register', incoming.body)
    connection.clientType = client_type
    connection.clientName = client_name
    connection.reply(incoming, {
      type: 'registration_confirmed',
      client_id: connection.id,
      client_type,
      client_name,
    })
  }

  function subscribe(
    connection: Connection,
    incoming: messages.Incoming,
    principal: Principal,
  ): void | Promise<void> {
    const body = messages.parseBody('subscribe', incoming.body)
    const wanted = messages.parseChannels(body.channels)
    for (const channel of wanted) requireChannel(principal, 'read', channel)
    const since = body.since === undefined ? undefined : parseCursor(body.since)
    const options = optionsOf(body, wanted)
    if (options.filter) connection.following.requireFilter(options.filter.key)
    const request = { wanted, since, options }
    // Messages behind this one wait for it.
    const learned = since && services.catchUp?.(since)
    if (!learned) return follow(connection, incoming, request)
    return learned.then(() => {
      if (connection.isOpen) follow(connection, incoming, request)
    })
  }

  function follow(
    connection: Connection,
    incoming: messages.Incoming,
    { wanted, since, options }: { wanted: readonly Channel[]; since: Cursor | undefined; options: Options },
  ): void {
    const recovery: Record<string, messages.Recovery> = {}
    services.flush()
    for (const channel of wanted) {
      const outcome: messages.Recovery = since ? services.judge(since, channel) : { status: 'live' }
      recovery[channel] = outcome
      const position = outcome.status === 'recovered' ? since?.positions[channel] : undefined
      connection.following.follow(channel, options, position, { keep: outcome.status === 'live' })
    }
    const { channels, cursor } = connection
    connection.reply(incoming, { type: 'subscription_confirmed', channels, cursor, recovery })
    connection.read()
  }

  function unsubscribe(connection: Connection, incoming: messages.Incoming): void {
    const body = messages.parseBody('unsubscribe', incoming.body)
    for (const channel of messages.parseChannels(body.channels)) connection.drop(channel)
    connection.reply(incoming, { type: 'unsubscription_confirmed', channels: connection.channels })
  }

  /** Queued in the order received; the answer comes when it is durable, other messages need not wait for it. */
  function publish(connection: Connection, incoming: messages.Incoming, principal: Principal): void {
    const message = messages.parseBody('publish', incoming.body)
    const { event, command } = message
    requireChannel(principal, 'publish', services.channelOf(event.type))
    if (command) requireApi(principal, 'apiWrite')
    services.requireOpen()
    const published = services.publish(principal, message)
    connection.countPublish(1)
    published
      .then(
        ({ channel, seq }) =>
          connection.reply(incoming, { type: 'published', event_type: event.type, channel, seq }),
        (error: unknown) => connection.fail(error, incoming.id),
      )
      .finally(() => connection.countPublish(-1))
  }

  async function custom(
    connection: Connection,
    incoming: messages.Incoming,
    principal: Principal,
  ): Promise<void> {
    const { type, body } = incoming
    const handler = Object.hasOwn(services.handlers, type) ? services.handlers[type] : undefined
    if (!handler) throw new Refusal('unknown_type', `there is no message type "${excerpt(type)}"`)
    const { id, clientType } = connection
    const message = await handler(body, { id, clientType, subject: principal.subject })
    if (message === undefined) return
    if (typeof (message as { type?: unknown } | null)?.type !== 'string') {
      throw new TypeError(`the handler of "${type}" answered something without a string type`)
    }
    connection.reply(incoming, message)
  }

  return (connection, incoming) => {
    if (incoming.type === 'auth') return authenticate(connection, incoming)
    const { principal } = connection
    if (!principal) throw new Refusal('unauthenticated', 'authenticate first: {"type":"auth","token":…}')
    switch (incoming.type) {
      case 'register':
        return register(connection, incoming)
      case 'subscribe':
        return subscribe(connection, incoming, principal)
      case 'unsubscribe':
        return unsubscribe(connection, incoming)
      case 'ping':
        return connection.awaitPong(incoming.id)
      case 'publish':
        return publish(connection, incoming, principal)
      default:
        return custom(connection, incoming, principal)
    }
  }
}

/** Whoever asks for anything beside bare events understands batches; one that holds nothing back adds no delay. */
function optionsOf(
  { where, batch_ms, conflate = false }: messages.ClientMessage<'subscribe'>,
  channels: readonly Channel[],
): Options {
  if (where === undefined && batch_ms === undefined && !conflate) return PLAIN
  const filter = where === undefined ? undefined : parseFilter(where, channels)
  return { filter, batchMs: messages.roundBatchMs(batch_ms ?? 0), conflate }
}
