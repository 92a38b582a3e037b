/** A TCP proxy that cuts, stalls and half-opens connections at random bytes. */
import { connect, createServer, type Socket } from 'node:net'
import type { AddressInfo } from 'node:net'
import type { Random } from './random.ts'

/** Longest that a stall lasts before the bytes flow again, in milliseconds. */
const STALL_MS_MAX = 300

export interface Proxy extends AsyncDisposable {
  readonly port: number
  /** Faults so far. */
  readonly faults: { cut: number; stall: number; halfOpen: number }
  /** Connections that begin from now on meet none. */
  relent(): void
}

type Fault = keyof Proxy['faults'] | 'none'
const allFaults: readonly Fault[] = ['cut', 'stall', 'halfOpen', 'none']

interface ProxyOptions {
  /** Drawn from, one for each direction of a connection. */
  readonly kinds?: readonly Fault[]
  /** A connection meets its fault after at most this many bytes of one direction. */
  readonly bytesMax?: number
}

/** @param targetPort asked at each connection: the server behind may have moved */
export async function startProxy(
  targetPort: () => number,
  random: Random,
  { kinds = allFaults, bytesMax = 60_000 }: ProxyOptions = {},
): Promise<Proxy> {
  const faults = { cut: 0, stall: 0, halfOpen: 0 }
  let isWell = false
  const sockets = new Set<Socket>()
  const plan = (): Plan => {
    const fault = isWell ? 'none' : random.pick(kinds)
    return {
      bytesLeft: random.int(1, bytesMax),
      fault,
      stallMs: random.int(1, STALL_MS_MAX),
      happened: () => {
        if (fault !== 'none') faults[fault] += 1
      },
    }
  }
  const server = createServer((client) => {
    const upstream = connect(targetPort(), '127.0.0.1')
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.setNoDelay(true)
      socket.on('close', () => sockets.delete(socket))
      socket.on('error', () => {
        client.destroy()
        upstream.destroy()
      })
    }
    forward(client, upstream, plan())
    forward(upstream, client, plan())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    faults,
    relent: () => void (isWell = true),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

interface Plan {
  bytesLeft: number
  readonly fault: Fault
  readonly stallMs: number
  readonly happened: () => void
}

function forward(from: Socket, to: Socket, plan: Plan): void {
  let met = false
  from.on('data', (chunk: Buffer) => {
    if (met && plan.fault === 'halfOpen') return
    if (met || plan.fault === 'none' || chunk.length < plan.bytesLeft) {
      plan.bytesLeft -= chunk.length
      pass(from, to, chunk)
      return
    }
    met = true
    plan.happened()
    // Up to the very byte: half a frame is what a real cut leaves.
    to.write(chunk.subarray(0, plan.bytesLeft))
    const rest = chunk.subarray(plan.bytesLeft)
    if (plan.fault === 'cut') {
      from.destroy()
      to.destroy()
    } else if (plan.fault === 'stall') {
      from.pause()
      setTimeout(() => {
        to.write(rest)
        from.resume()
      }, plan.stallMs)
    }
  })
  from.on('end', () => {
    if (!(met && plan.fault === 'halfOpen')) to.end()
  })
  from.on('close', () => {
    if (!(met && plan.fault === 'halfOpen')) to.destroy()
  })
}

function pass(from: Socket, to: Socket, chunk: Buffer): void {
  if (to.write(chunk)) return
  from.pause()
  to.once('drain', () => from.resume())
}
