/** An audience: raw subscribers of one channel, each checked for order and completeness; some stall. */
import { openMany, openRawSocket } from './raw-socket.ts'
import { quantile } from './rounds.ts'

/** So little that the window closes soon and bytes wait in the server itself. */
const STALLED_BUFFER_BYTES = 32_768
/** The envelope and the first fields of an event lie within. */
const HEAD_BYTES = 240

interface AudienceOptions {
  readonly url: string
  readonly token: string
  readonly channel: string
  readonly subscribers: number
  /** The first so many get a small receive buffer and can be stalled. */
  readonly stalled: number
}

export type Audience = Awaited<ReturnType<typeof openAudience>>

/** In milliseconds, over `count` deliveries. */
export interface Latency {
  readonly p50: number
  readonly p99: number
  readonly count: number
}

/** A subscriber and what is wrong with what it got. */
interface Member {
  readonly socket: Awaited<ReturnType<typeof openRawSocket>>
  /** Seq of the last event. */
  seq: number
  fault: string | undefined
}

/** A stamp for `session_name` or any other first field of an event; from it latency is read. */
export function stamp(): string {
  return `@${(performance.timeOrigin + performance.now()).toFixed(2)}@`
}

/** Resolves when everybody is subscribed, live. */
export async function openAudience({ url, token, channel, subscribers, stalled }: AudienceOptions) {
  const position = new RegExp(`"channel":"${channel}","seq":(\\d+)`)
  let latencies: number[] = []

  const openMember = async (index: number): Promise<Member> => {
    const confirmed = Promise.withResolvers<void>()
    const healthy = index >= stalled
    const member = { seq: 0, fault: undefined as string | undefined }
    const socket = await openRawSocket({
      url,
      token,
      ...(healthy ? {} : { receiveBufferBytes: STALLED_BUFFER_BYTES }),
      onFrame(payload) {
        const head = payload.toString('latin1', 0, HEAD_BYTES)
        const seq = Number(position.exec(head)?.[1] ?? NaN)
        if (Number.isNaN(seq)) {
          if (head.startsWith('{"type":"subscription_confirmed"')) confirmed.resolve()
          if (head.startsWith('{"type":"disconnect"')) member.fault ??= head
          return
        }
        if (seq !== member.seq + 1) member.fault ??= `seq ${seq} after ${member.seq}`
        member.seq = seq
        const sentMs = Number(/@([\d.]+)@/.exec(head)?.[1] ?? NaN)
        if (healthy) latencies.push(performance.timeOrigin + performance.now() - sentMs)
      },
    })
    void socket.ended.then((reason) => (member.fault ??= `closed: ${reason}`))
    socket.send({ type: 'subscribe', channels: [channel] })
    await confirmed.promise
    return Object.assign(member, { socket })
  }
  const members = await openMany(subscribers, openMember)
  const slow = members.slice(0, stalled)

  return {
    size: subscribers,
    stall: () => slow.forEach(({ socket }) => socket.pause()),
    resume: () => slow.forEach(({ socket }) => socket.resume()),
    /** How many have everything up to `head`. */
    complete: (head: number) => members.filter(({ seq }) => seq === head).length,
    /** What is wrong, per subscriber of whom something is. */
    faults: () => members.flatMap(({ fault }, index) => (fault === undefined ? [] : [`${index}: ${fault}`])),
    /** Quantile of the healthy ones' delivery latencies since the last call, in milliseconds. */
    takeLatencies(): Latency {
      const sorted = latencies.toSorted((a, b) => a - b)
      latencies = []
      return { p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99), count: sorted.length }
    },
    [Symbol.dispose]() {
      for (const { socket } of members) socket.terminate()
    },
  }
}

/** A metric without labels, from Prometheus text; 0 when it is not there. */
export async function readMetric(url: string, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text()
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1] ?? 0)
}
