/** A client that watches: registered, subscribed, and every message kept with the moment it came. */
import type { Framing } from '../lib/protocol/codec.ts'
import { parseCursor, type Positions } from '../lib/protocol/cursor.ts'
import { isEventType, type Channel } from '../lib/protocol/events.ts'
import { Refusal } from '../lib/protocol/refusals.ts'
import { frameFault } from '../lib/protocol/wire-schemas.ts'
import { openLiveSocket, type LiveSocket, type Message } from './demo-client.ts'
import { Fault, within } from './doctor-report.ts'

export const REPLY_MS_MAX = 10_000
const CATCH_UP_MS_MAX = 10_000
const CATCH_UP_PAUSE_MS = 50
const wire = "the server's version, and what stands between (a proxy must pass WebSocket frames unchanged)"

export interface Arrival {
  readonly event: Message
  /** Monotonic milliseconds. */
  readonly atMs: number
}

export interface Watcher extends Disposable {
  readonly name: string
  readonly framing: Framing
  readonly clientId: string
  readonly clientType: string
  /** Of the subscription: its first events come right after. */
  readonly start: Positions
  readonly recovery: Readonly<Record<string, unknown>>
  /** Events in the order received. */
  readonly arrivals: readonly Arrival[]
  /** What came unasked and is no event. */
  readonly messages: readonly Message[]
  /** Why frames do not conform, first to last. */
  readonly faults: readonly string[]
  readonly closed: LiveSocket['closed']
  /** Everything committed by now has arrived when it resolves; up to where, also as a cursor. */
  ping(): Promise<{ readonly positions: Positions; readonly cursor: string }>
  /** Waits until everything up to these positions has arrived. @throws {Fault} */
  reach(end: Positions): Promise<void>
}

interface WatcherOptions {
  readonly url: string
  readonly token: string | undefined
  readonly framing: Framing
  readonly name: string
  readonly clientType: string
  /** None subscribes to nothing. */
  readonly channels: readonly Channel[]
  readonly since?: string
}

/** @throws {Fault} where a reply is not what PROTOCOL promises */
export async function openWatcher(options: WatcherOptions): Promise<Watcher> {
  const { url, token, framing, name, clientType, channels, since } = options
  const arrivals: Arrival[] = []
  const messages: Message[] = []
  const faults: string[] = []
  const greeting = Promise.withResolvers<Message>()
  const onMessage = (message: Message, binary: boolean) => {
    const atMs = performance.now()
    const fault = frameFault(message)
    if (fault !== undefined) faults.push(fault)
    if (binary === (framing === 'json')) faults.push(`a ${binary ? 'binary' : 'text'} frame in ${framing}`)
    if (message['type'] === 'connection_established') greeting.resolve(message)
    else if (isEventType(String(message['type']))) arrivals.push({ event: message, atMs })
    else if (message['id'] === undefined) messages.push(message)
  }
  const socket = await openLiveSocket({ url, token, framing, name, onMessage, replyMsMax: REPLY_MS_MAX })
  using opened = new DisposableStack()
  opened.use(socket)

  const protocol = `lightwire.v1.${framing}`
  requireEqual('the subprotocol of the upgrade', socket.protocol, protocol)
  const hello = { expected: 'connection_established as the first message', look: wire }
  const established = await within(greeting.promise, REPLY_MS_MAX, hello)
  requireEqual('protocol in connection_established', established['protocol'], protocol)
  const registered = await requestReply(socket, 'registration_confirmed', {
    type: 'register',
    client_type: clientType,
    client_name: 'lightwire doctor',
  })
  requireEqual('client_type in registration_confirmed', registered['client_type'], clientType)
  const subscribed = channels.length === 0 ? undefined : await subscribe(socket, channels, since)
  const ping = async () => {
    const { cursor } = await requestReply(socket, 'pong', { type: 'ping' })
    return { positions: positionsOf(cursor), cursor: String(cursor) }
  }
  opened.move()
  return {
    name,
    framing,
    clientId: String(registered['client_id']),
    clientType,
    start: subscribed?.positions ?? {},
    recovery: subscribed?.recovery ?? {},
    arrivals,
    messages,
    faults,
    closed: socket.closed,
    ping,
    async reach(end) {
      const deadline = performance.now() + CATCH_UP_MS_MAX
      for (;;) {
        const { positions } = await ping()
        const behind = channels.find((channel) => (positions[channel] ?? -1) < (end[channel] ?? 0))
        if (behind === undefined) return
        if (performance.now() > deadline) throw lag(name, behind, positions[behind], end[behind])
        await Bun.sleep(CATCH_UP_PAUSE_MS)
      }
    },
    [Symbol.dispose]: () => socket[Symbol.dispose](),
  }
}

/** Sends a message and takes its reply. @throws {Fault} for another type, an `error` included */
export async function requestReply(socket: LiveSocket, type: string, message: Message): Promise<Message> {
  const reply = await socket.request(message)
  if (reply['type'] === type) return reply
  const refused = reply['type'] === 'error' ? `error ${String(reply['code'])}: ${String(reply['error'])}` : ''
  const look = reply['code'] === 'forbidden' ? 'the scope of the token' : wire
  throw new Fault({
    expected: `${type} for ${String(message['type'])}`,
    seen: refused || String(reply['type']),
    look,
  })
}

async function subscribe(socket: LiveSocket, channels: readonly Channel[], since: string | undefined) {
  const message = { type: 'subscribe', channels, ...(since === undefined ? {} : { since }) }
  const confirmed = await requestReply(socket, 'subscription_confirmed', message)
  requireEqual('channels in subscription_confirmed', confirmed['channels'], channels)
  const recovery = confirmed['recovery'] as Readonly<Record<string, unknown>>
  return { positions: positionsOf(confirmed['cursor']), recovery }
}

function positionsOf(cursor: unknown): Positions {
  try {
    return parseCursor(String(cursor)).positions
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    throw new Fault({ expected: 'a cursor in the reply', seen: JSON.stringify(cursor) ?? 'none', look: wire })
  }
}

function requireEqual(what: string, seen: unknown, expected: unknown): void {
  if (Bun.deepEquals(seen, expected)) return
  const shown = JSON.stringify(seen) ?? 'none'
  throw new Fault({ expected: `${JSON.stringify(expected)} as ${what}`, seen: shown, look: wire })
}

function lag(name: string, channel: Channel, at: number | undefined, end: number | undefined): Fault {
  return new Fault({
    expected: `the ${name} client to be given ${channel} up to ${end}`,
    seen: `${at} after ${CATCH_UP_MS_MAX / 1000} s`,
    look: "the server's log and metrics, and with several processes at their database",
  })
}
