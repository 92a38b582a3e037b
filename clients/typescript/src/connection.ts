/** Keeps a line up: opens one, sees whether it lives, and comes back after its end when and as the protocol says. */
import { backoffMs, codeName, isFinal } from './backoff.ts'
import type { Environment } from './environment.ts'
import type { Line, LineEnd, LineEvents } from './line.ts'
import type { Tokens } from './tokens.ts'
import type { Message, Status, Transport } from './types.ts'

/** From the first step of a connection to its greeting. */
const CONNECT_MS = 10_000
/** A connection that lived so long was a good one: the next wait begins small again. */
const LIVED_MS = 2000
/** Attempts that are still counted after a line that brought something, however short it lived. */
const ATTEMPTS_OF_USE = 2
/** For an answer, where there is a reason to doubt that the line still stands. */
const DOUBT_MS = 5000

export interface ConnectionOptions {
  readonly environment: Environment
  readonly tokens: Tokens
  /** Which transport the next attempt takes, and what is there to learn from how it goes. */
  readonly choice: {
    next(): Transport
    /** Events pass: over a WebSocket with the greeting, over HTTP with the first subscription. */
    established(): void
    /** It never came to that, and nobody said why. */
    failed(): void
  }
  readonly openLine: (transport: Transport, token: string | undefined, events: LineEvents) => Line
  /** With the greeting, before anybody else hears of it. */
  readonly onUp: (greeting: Message) => void
  readonly onMessage: (message: Message) => void
  /** The line is gone; another may come. */
  readonly onDown: (end: LineEnd) => void
  readonly onStatus: (status: Status, code?: string) => void
  readonly onError: (error: unknown) => void
  /** Resolves when the server has answered. */
  readonly ping: () => Promise<unknown>
}

export type Connection = ReturnType<typeof createConnection>

export function createConnection(options: ConnectionOptions) {
  const { environment, tokens, choice } = options
  const { after, now, random } = environment
  let status: Status = 'waiting'
  let transport: Transport | null = null
  let line: Line | undefined
  let attempts = 0
  /** Counts lives: what an earlier one still says is not heard. */
  let life = 0
  let isWaitOurs = false
  const timers = new Map<string, () => void>()

  const timer = (name: string, ms: number, act: () => void) => {
    timers.get(name)?.()
    timers.set(name, after(ms, act))
  }
  const clearTimers = () => {
    for (const cancel of timers.values()) cancel()
    timers.clear()
  }
  const setStatus = (next: Status, code?: string) => {
    status = next
    options.onStatus(next, code)
  }

  const connect = async (): Promise<void> => {
    life += 1
    const mine = life
    const isMine = () => mine === life
    clearTimers()
    setStatus('connecting')
    if (!isMine()) return
    timer('connect', CONNECT_MS, () => ended({ code: 1006, reason: 'no connection in time' }))
    let token: string | undefined
    try {
      token = await tokens.get()
    } catch (error) {
      options.onError(error)
      if (isMine()) ended({ code: 1006, reason: 'there is no token' })
      return
    }
    if (!isMine()) return
    transport = choice.next()
    line = options.openLine(transport, token, {
      onMessage: (message) => isMine() && heard(message),
      onEnd: (end) => isMine() && ended(end),
    })
  }

  let heardMs = 0
  const heard = (message: Message) => {
    heardMs = now()
    if (status === 'connected') {
      if (message.type === 'subscription_confirmed') choice.established()
      // Events, and answers to publishes: this server works, it is the line that does not hold.
      if (message['seq'] !== undefined || message.type === 'batch')
        attempts = Math.min(attempts, ATTEMPTS_OF_USE)
      return options.onMessage(message)
    }
    if (message.type !== 'connection_established') return
    timers.get('connect')?.()
    timer('lived', LIVED_MS, () => void (attempts = 0))
    const heartbeatMs = message['heartbeat_ms']
    if (typeof heartbeatMs === 'number') beat(heartbeatMs)
    if (transport === 'websocket') choice.established()
    status = 'connected'
    options.onUp(message)
    if (status === 'connected') options.onStatus('connected')
  }

  /** Timers of a page in the background come late, so silence counts only from a ping on. */
  const beat = (heartbeatMs: number) => {
    let pingedMs = now()
    let isAsked = false
    const look = () => {
      const sinceMs = now() - pingedMs
      if (isAsked && heardMs < pingedMs && sinceMs >= heartbeatMs / 2)
        return ended({ code: 1006, reason: 'nothing was heard' })
      if (sinceMs >= heartbeatMs) {
        pingedMs = now()
        isAsked = true
        options.ping().catch(() => undefined)
      }
      timer('beat', heartbeatMs / 4, look)
    }
    look()
  }

  const ended = (end: LineEnd) => {
    const isUp = status === 'connected'
    if ((!isUp || end.isBlocked) && line && end.code === 1006) choice.failed()
    life += 1
    clearTimers()
    line?.close()
    line = undefined
    transport = null
    const name = end.name ?? codeName(end.code)
    // A token of an earlier day may have been good then.
    const isOld = end.code === 4501 && !tokens.isFresh && !isUp
    if (end.code === 4401 || isOld) tokens.expire()
    status = 'waiting'
    options.onDown(end)
    if (isFinal(end.code) && !isOld) return setStatus('closed', name)
    const waitMs = end.retryAfterMs ?? backoffMs(attempts, random)
    isWaitOurs = end.retryAfterMs === undefined
    attempts += 1
    timer('wait', waitMs, () => void connect())
    setStatus('waiting', name)
  }

  return {
    get status() {
      return status
    },
    get transport() {
      return status === 'connected' ? transport : null
    },
    start: () => void connect(),
    send: (message: Message) => line?.send(message),
    /** Ends this line as if it had broken. */
    drop: (reason: string, retryAfterMs?: number) =>
      ended({ code: 1006, reason, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) }),

    /** The network or the page is back. */
    wake(): void {
      if (status === 'waiting' && isWaitOurs) {
        attempts = 0
        void connect()
      } else if (status === 'connected') {
        const before = heardMs
        options.ping().catch(() => undefined)
        timer('doubt', DOUBT_MS, () => {
          if (heardMs === before) ended({ code: 1006, reason: 'nothing was heard' })
        })
      }
    },

    close(): void {
      if (status === 'closed') return
      life += 1
      clearTimers()
      line?.close()
      line = undefined
      setStatus('closed')
    },
  }
}
