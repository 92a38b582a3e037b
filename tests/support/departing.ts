/** Clients of a server that drains: cheap raw sockets that check each event's place and note how they were sent away. */
import { openMany, openRawSocket } from '../../bench/support/raw-socket.ts'

/** The envelope and the first fields of an event lie within. */
const HEAD_BYTES = 300

/** How a client was sent away, `atMs` on the monotonic clock. */
export interface Dismissal {
  readonly code: number
  readonly reconnect: boolean
  readonly retryAfterMs: number
  readonly atMs: number
}

export interface Departing {
  /** Seq of the last event. */
  seq: number
  readonly faults: string[]
  dismissal: Dismissal | undefined
  /** Close code and reason, once closed; '' without a close frame. */
  closed: string | undefined
  readonly ended: Promise<unknown>
  readonly socket: Awaited<ReturnType<typeof openRawSocket>>
}

interface CrowdOptions {
  readonly url: string
  readonly token: string
  readonly size: number
  readonly channel: string
  /** Where the client of that index goes on, as `epoch:channel=seq`; else live. */
  readonly since?: (index: number) => { readonly cursor: string; readonly seq: number }
  /** What each event says beside its place, by seq: whoever differs is at fault. */
  readonly contents: Map<number, string>
  readonly receiveBufferBytes?: number
}

/** Resolves when all are subscribed. */
export function openCrowd(options: CrowdOptions): Promise<Departing[]> {
  return openMany(options.size, (index) => openDeparting(options, index))
}

async function openDeparting(options: CrowdOptions, index: number): Promise<Departing> {
  const { url, token, channel, contents } = options
  const place = new RegExp(`"channel":"${channel}","seq":(\\d+),(.*)`)
  const from = options.since?.(index)
  const confirmed = Promise.withResolvers<void>()
  const client = {
    seq: from?.seq ?? NaN,
    faults: [] as string[],
    dismissal: undefined as Dismissal | undefined,
    closed: undefined as string | undefined,
  }
  const takeEvent = (seq: number, content: string) => {
    if (!Number.isNaN(client.seq) && seq !== client.seq + 1) client.faults.push(`${seq} after ${client.seq}`)
    if (client.dismissal) client.faults.push(`${seq} after the disconnect`)
    client.seq = seq
    const known = contents.get(seq)
    if (known === undefined) contents.set(seq, content)
    else if (known !== content) client.faults.push(`${seq} says ${content}, to others ${known}`)
  }
  const socket = await openRawSocket({
    url,
    token,
    ...(options.receiveBufferBytes === undefined ? {} : { receiveBufferBytes: options.receiveBufferBytes }),
    onFrame(payload) {
      const head = payload.toString('latin1', 0, HEAD_BYTES)
      const event = place.exec(head)
      if (event) return takeEvent(Number(event[1]), event[2] ?? '')
      const message = JSON.parse(payload.toString()) as Record<string, unknown>
      if (message['type'] === 'subscription_confirmed') {
        const cursor = String(message['cursor'])
        if (from === undefined) client.seq = Number(/=(\d+)/.exec(cursor)?.[1])
        else if (!JSON.stringify(message['recovery']).includes('"recovered"')) client.faults.push(cursor)
        confirmed.resolve()
      }
      if (message['type'] !== 'disconnect') return
      client.dismissal = {
        code: Number(message['code']),
        reconnect: message['reconnect'] === true,
        retryAfterMs: Number(message['retry_after_ms']),
        atMs: performance.now(),
      }
    },
  })
  const ended = socket.ended.then((closing) => (client.closed = closing))
  socket.send({ type: 'subscribe', channels: [channel], ...(from ? { since: from.cursor } : {}) })
  await confirmed.promise
  return Object.assign(client, { ended, socket })
}

/** The most of these moments that lie in any window of that length. */
export function mostWithin(moments: readonly number[], windowMs: number): number {
  const sorted = moments.toSorted((a, b) => a - b)
  let most = 0
  for (let from = 0, to = 0; to < sorted.length; to += 1) {
    while ((sorted[to] ?? 0) - (sorted[from] ?? 0) > windowMs) from += 1
    most = Math.max(most, to - from + 1)
  }
  return most
}
