/** The whole path: a POST to its durable row, its event on live sockets and the answer, against bare Bun. */
import { readFileSync } from 'node:fs'
import { startProcess, tokenOf } from '../tests/support/process.ts'
import { temporaryFolder } from '../tests/support/server.ts'
import { startChild } from './support/child.ts'
import { postFor } from './support/http-load.ts'
import { openMany, openRawSocket } from './support/raw-socket.ts'
import { alternate, show, summarize, table } from './support/rounds.ts'

const SECONDS_PER_ROUND = 2

interface Side extends AsyncDisposable {
  readonly url: string
  readonly pid: number
  readonly token: string
  /** Bytes that the subscribers got so far. */
  received(): number
}

interface Rate {
  readonly perSecond: number
  readonly perCpuSecond: number
}

async function startOurs(subscribers: number): Promise<Side> {
  const folder = temporaryFolder()
  // Its rate limit is for a subject that misbehaves; here one subject is the whole load.
  const { url, pid, kill } = await startProcess({ folder: folder.path, env: { RATE_REQUESTS: '0' } })
  const token = await tokenOf(folder.path)
  const sockets = await openMany(subscribers, async () => {
    const socket = await openRawSocket({ url, token, onFrame: ignore })
    socket.send({ type: 'subscribe', channels: ['sessions'] })
    return socket
  })
  return {
    url,
    pid,
    token,
    received: () => sockets.reduce((sum, { state }) => sum + state.bytes, 0),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.terminate()
      await kill()
      folder[Symbol.dispose]()
    },
  }
}

async function startBaseline(subscribers: number): Promise<Side> {
  const folder = temporaryFolder()
  const child = await startChild('path-baseline.ts', folder.path)
  const { url, pid } = child
  const sockets = await openMany(subscribers, () => openRawSocket({ url, onFrame: ignore }))
  return {
    url,
    pid,
    token: 'x'.repeat(200),
    received: () => sockets.reduce((sum, { state }) => sum + state.bytes, 0),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.terminate()
      child[Symbol.dispose]()
      folder[Symbol.dispose]()
    },
  }
}

/** Looking at frames also answers pings: who does not is closed after 45 s. */
const ignore = () => undefined

let written = 0

async function round(side: Side, clients: number): Promise<Rate> {
  const before = cpuSeconds(side.pid)
  const receivedBefore = side.received()
  const { answers, seconds } = await postFor({
    url: side.url,
    path: '/api/sessions',
    token: side.token,
    clients,
    ms: SECONDS_PER_ROUND * 1000,
    body: () => `{"name":"Wedding ${(written += 1)}","import_folder":"/photos/2025/wedding"}`,
  })
  const used = cpuSeconds(side.pid) - before
  if (side.received() === receivedBefore) throw new Error('the subscribers got nothing')
  return { perSecond: answers / seconds, perCpuSecond: answers / used }
}

/** Kernel's accounting of user and system time over all threads, in its ticks of 10 ms. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/** Prints two rows per number of clients and of subscribers. */
export async function benchPath({
  rounds = 5,
  parallel = [1, 16, 64] as readonly number[],
  audiences = [1, 100] as readonly number[],
} = {}): Promise<void> {
  const rows: string[][] = []
  for (const subscribers of audiences) {
    await using ours = await startOurs(subscribers)
    await using baseline = await startBaseline(subscribers)
    for (const clients of parallel) {
      const pairs = await alternate(
        rounds,
        () => round(ours, clients),
        () => round(baseline, clients),
      )
      for (const [unit, of] of units) {
        const rate = (side: 0 | 1) => Math.round(summarize(pairs.map((pair) => of(pair[side]))).median)
        const ratio = summarize(pairs.map(([a, b]) => of(a) / of(b)))
        const cells = [rate(0).toLocaleString('en'), rate(1).toLocaleString('en'), show(ratio)]
        rows.push([String(clients), String(subscribers), `writes/${unit}`, ...cells])
      }
    }
  }
  console.log(table(['clients', 'subscribers', '', 'ours', 'bare Bun', 'ratio (min–max)'], rows))
}

const units = [
  ['s', (rate: Rate) => rate.perSecond],
  ['CPU-s', (rate: Rate) => rate.perCpuSecond],
] as const

if (import.meta.main) {
  const [rounds = '5', ...parallel] = process.argv.slice(2)
  await benchPath({
    rounds: Number(rounds),
    ...(parallel.length > 0 ? { parallel: parallel.map(Number) } : {}),
  })
}
