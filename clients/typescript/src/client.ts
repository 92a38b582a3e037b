/** The client: events of Lightwire, each once and in order, over whatever line there is. */
import { createApplying } from './applying.ts'
import { createConnection } from './connection.ts'
import { machine, type Environment } from './environment.ts'
import type { Channel } from './events.ts'
import { createFollower, type Follower } from './follow.ts'
import { sendable } from './frames.ts'
import { createHandlers } from './handlers.ts'
import { createHolds } from './holds.ts'
import { createCalls, HttpFailure } from './http-calls.ts'
import { createLines } from './lines.ts'
import { createOutbox } from './outbox.ts'
import { createPositions } from './positions.ts'
import { createRefreshing } from './refreshing.ts'
import { createReplies, errorOf } from './replies.ts'
import { createSaver } from './storage.ts'
import { createSubscriptions } from './subscriptions.ts'
import { createTokens } from './tokens.ts'
import {
  LightwireError,
  type Client,
  type ClientOptions,
  type Message,
  type Read,
  type SocketConstructor,
  type Status,
  type SubscribeOptions,
} from './types.ts'

export type * from './events.ts'
export { stateKeys } from './events.ts'
export type * from './types.ts'
export { LightwireError } from './types.ts'
export { localStorageCursor, memoryStorage } from './storage.ts'

const ANSWER_MS = 10_000
const QUEUE_MAX = 1000
const RETRY_WEBSOCKET_MS = 300_000
/** Messages that the library sends itself, so that it knows what they changed. */
const ownTypes: ReadonlySet<string> = new Set(['auth', 'register', 'subscribe', 'unsubscribe', 'publish'])

/** Connects at once, and for as long as it is not closed. @param environment for tests */
export function createClient(options: ClientOptions, environment: Environment = machine): Client {
  const { getToken, clientType = 'web', clientName, framing = 'json', transport: wanted = 'auto' } = options
  const url = options.url.replace(/\/+$/, '')
  const onError = options.onError ?? ((error: unknown) => console.error(error))
  const fetch = options.fetch ?? ((address: string, init: RequestInit) => globalThis.fetch(address, init))
  const WebSocket = options.WebSocket ?? (globalThis.WebSocket as SocketConstructor | undefined)
  if (wanted === 'websocket' && !WebSocket) throw new TypeError('there is no WebSocket here: hand one in')

  const handlers = createHandlers(onError)
  const followers = new Set<Follower>()
  const tokens = createTokens(getToken, environment)
  const positions = createPositions((channel) => subscriptions.optionsOf(channel as Channel) !== undefined)
  const saver = createSaver(options.storage, environment, () => positions.stored, onError)
  let shownToken: string | undefined
  const isUp = () => connection.status === 'connected'
  const call = createCalls({ url, fetch, environment, token: () => shownToken })

  const read: Read = async <T>(path: string) => {
    for (let isSecond = false; ; isSecond = true) {
      shownToken = await tokens.get()
      try {
        const { headers, json } = await call(path)
        return { value: json as T, cursor: headers.get('Lightwire-Cursor') ?? '' }
      } catch (error) {
        if (!(error instanceof HttpFailure) || error.status !== 401 || isSecond) throw error
        tokens.expire()
      }
    }
  }

  const replies = createReplies(environment, (message) => connection.send(message))
  const subscriptions = createSubscriptions({
    environment,
    positions,
    replies,
    isUp,
    onError,
    onMoved: saver.touch,
    dropLine: (reason) => connection.drop(reason),
    onLost(channels) {
      handlers.emit('lost', channels)
      for (const follower of followers) follower.lost(channels)
    },
  })
  const holds = createHolds(environment, subscriptions)
  const outbox = createOutbox({
    environment,
    max: options.queueMax ?? QUEUE_MAX,
    request: replies.request,
    isUp,
  })

  const applying = createApplying({
    positions,
    subscriptions,
    isUp,
    onMoved: saver.touch,
    onEvent(event) {
      if (!subscriptions.isAsked(event)) return
      handlers.emit(event.type, event)
      handlers.emit('*', event)
      for (const follower of followers) follower.take(event)
    },
  })
  const refreshing = createRefreshing({
    environment,
    tokens,
    onError,
    async authenticate(token) {
      const { channels } = await replies.request({ type: 'auth', token }, ANSWER_MS)
      subscriptions.limit(channels as readonly string[])
    },
  })
  const take = (message: Message) => {
    if (applying(message) || replies.take(message)) return
    if (message.type === 'token_expiring') return void refreshing.refresh()
    if (message.type === 'error') return onError(errorOf(message))
    handlers.emit('message', message)
  }

  const lines = createLines({
    url,
    wanted,
    framing,
    clientType,
    fetch,
    WebSocket,
    environment,
    call,
    retryWebSocketMs: options.retryWebSocketMs ?? RETRY_WEBSOCKET_MS,
  })
  const connection = createConnection({
    environment,
    tokens,
    choice: lines.choice,
    openLine(transport, token, events) {
      refreshing.begin(token)
      return lines.open(transport, token, events)
    },
    onError,
    onMessage: take,
    ping: async () => {
      const { cursor } = await replies.request({ type: 'ping' }, ANSWER_MS)
      if (typeof cursor === 'string') subscriptions.reached(cursor)
    },
    onUp() {
      const name = clientName === undefined ? {} : { client_name: clientName }
      replies.ask({ type: 'register', client_type: clientType, ...name }, ANSWER_MS, (outcome) => {
        if (outcome instanceof LightwireError && outcome.code !== 'timeout') onError(outcome)
      })
      subscriptions.resume()
      outbox.resume()
      lines.look(connection.transport, () => connection.drop('WebSockets pass again', 0))
    },
    onDown({ reason }) {
      refreshing.end()
      lines.stopLooking()
      replies.lose(reason)
    },
    onStatus(status, code) {
      if (status === 'closed') finish()
      handlers.emit('status', [status, code])
    },
  })

  const closed = () => new LightwireError('closed', 'the client is closed')
  const finish = () => {
    refreshing.end()
    lines.stopLooking()
    unwatch()
    replies.lose('the client is closed')
    subscriptions.close(closed())
    outbox.close(closed())
    for (const follower of followers) follower.close()
    saver.flush()
  }
  const isClosed = () => connection.status === 'closed'
  const unwatch = environment.watch({ onBack: () => connection.wake(), onHide: () => saver.flush() })

  const begin = async () => {
    positions.restore((await options.storage?.load()) ?? '')
  }
  begin()
    .catch(onError)
    .then(() => {
      if (!isClosed()) connection.start()
    })

  const whenUp = (timeoutMs: number): Promise<void> =>
    new Promise((resolve, reject) => {
      if (isUp()) return resolve()
      const end = (act: () => void) => {
        cancel()
        off()
        act()
      }
      const late = `no connection within ${timeoutMs} ms`
      const cancel = environment.after(timeoutMs, () =>
        end(() => reject(new LightwireError('timeout', late))),
      )
      const off = handlers.on('status', ([status]: [Status]) => {
        if (status === 'connected') end(resolve)
        else if (status === 'closed') end(() => reject(closed()))
      })
    })

  return {
    get status() {
      return connection.status
    },
    get transport() {
      return connection.transport
    },
    get cursor() {
      return positions.cursor
    },
    get channels() {
      return subscriptions.channels
    },
    on: (type: string, handler: (event: never) => void) => handlers.on(type, handler),
    onMessage: (handler) => handlers.on('message', handler),
    onStatus: (handler) =>
      handlers.on('status', ([status, code]: [Status, string?]) => handler(status, code)),
    onStateLost: (handler) => handlers.on('lost', handler),

    async subscribe(channels, how) {
      if (isClosed()) throw closed()
      return await holds.subscribe(channels, how)
    },
    async unsubscribe(channels) {
      if (isClosed()) throw closed()
      return await holds.unsubscribe(channels)
    },
    hold(channels, how) {
      if (isClosed()) throw closed()
      const holding = holds.hold(channels, how)
      holding.ready.catch((error: unknown) => {
        if (!isClosed()) onError(error)
      })
      return holding
    },
    async publish(event, how = {}) {
      if (isClosed()) throw closed()
      return await outbox.publish(event, how)
    },
    async request(message, { timeoutMs = ANSWER_MS } = {}) {
      if (isClosed()) throw closed()
      if (ownTypes.has(message.type)) throw new TypeError(`the client has a method for ${message.type}`)
      const sent = sendable(message)
      const startedMs = environment.now()
      await whenUp(timeoutMs)
      return await replies.request(sent, timeoutMs - (environment.now() - startedMs))
    },
    snapshotThenFollow(source, channels, how) {
      if (isClosed()) throw closed()
      const follower = createFollower(source, channels, how, {
        environment,
        positions,
        read,
        hold: () => holds.hold(channels, optionsOf(how)),
        differs: () => holds.differ(channels, optionsOf(how)),
        isClosed,
        onError,
      })
      followers.add(follower)
      const { ready, stop } = follower.following
      return {
        ready,
        stop() {
          followers.delete(follower)
          stop()
        },
      }
    },
    close: () => connection.close(),
  }
}

/** Of a follower's options those of its subscription. */
function optionsOf({ where, batchMs, conflate }: SubscribeOptions): SubscribeOptions {
  return {
    ...(where === undefined ? {} : { where }),
    ...(batchMs === undefined ? {} : { batchMs }),
    ...(conflate === undefined ? {} : { conflate }),
  }
}
