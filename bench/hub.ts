/** The hub alone: deliveries per CPU-second of the server, against a bare publish of the same bytes. */
import { startChild, type Child } from './support/child.ts'
import type { Order } from './support/hub-server.ts'
import { openMany, openRawSocket, type RawSocket } from './support/raw-socket.ts'
import { alternate, show, summarize, table } from './support/rounds.ts'

interface Case {
  readonly name: string
  readonly subscribers: number
  readonly events: number
  readonly perTurn: number
  readonly pauseMs: number
  readonly coalesceMs: number
}

const calm = { pauseMs: 0, coalesceMs: 0 }
/** What a round hands out fits into the kernel's buffers: a reader who lags costs the server nothing. */
const cases: readonly Case[] = [
  { name: 'singly', subscribers: 200, events: 1000, perTurn: 1, ...calm },
  { name: 'singly', subscribers: 1000, events: 200, perTurn: 1, ...calm },
  { name: '16 per tick', subscribers: 200, events: 4800, perTurn: 16, ...calm },
  { name: '16 per tick', subscribers: 1000, events: 960, perTurn: 16, ...calm },
  { name: 'stream, 1 per ms', subscribers: 200, events: 1000, perTurn: 1, pauseMs: 1, coalesceMs: 5 },
]

interface Side extends Disposable {
  readonly child: Child
  readonly sockets: readonly RawSocket[]
}

async function startSide(mode: 'ours' | 'bare', { subscribers, coalesceMs }: Case): Promise<Side> {
  const child = await startChild('hub-server.ts', mode, String(coalesceMs))
  const sockets = await openMany(subscribers, async () => {
    const socket = await openRawSocket({ url: child.url })
    if (mode === 'ours') socket.send({ type: 'subscribe', channels: ['jobs'] })
    return socket
  })
  await quiet(sockets)
  return {
    child,
    sockets,
    [Symbol.dispose]() {
      for (const socket of sockets) socket.terminate()
      child[Symbol.dispose]()
    },
  }
}

/** Greeting and confirmation have come when no byte does any more. */
async function quiet(sockets: readonly RawSocket[]): Promise<void> {
  for (let before = -1, total = 0; before !== total; await Bun.sleep(100)) {
    before = total
    total = sockets.reduce((sum, { state }) => sum + state.bytes, 0)
  }
}

/** Deliveries per CPU-second of one round. */
async function round({ child, sockets }: Side, { events, perTurn, pauseMs }: Case): Promise<number> {
  const order = (wish: Order) => child.order(wish)
  const bytes = await order({ do: 'prepare', events })
  const expected = sockets.map(({ state }) => state.bytes + bytes)
  const before = await order({ do: 'cpu' })
  await order({ do: 'emit', perTurn, pauseMs })
  while (sockets.some(({ state }, index) => state.bytes < (expected[index] ?? 0))) await Bun.sleep(5)
  const used = (await order({ do: 'cpu' })) - before
  if (sockets.some(({ state }, index) => state.bytes !== expected[index]))
    throw new Error('a subscriber got too much')
  return (events * sockets.length) / used
}

/** Prints a row per case: the median over the rounds, with the least and the greatest. */
export async function benchHub({ rounds = 9, only = '' } = {}): Promise<void> {
  const rows: string[][] = []
  for (const one of cases.filter(({ name }) => name.includes(only))) {
    using ours = await startSide('ours', one)
    using bare = await startSide('bare', one)
    const pairs = await alternate(
      rounds,
      () => round(ours, one),
      () => round(bare, one),
    )
    const ratio = summarize(pairs.map(([a, b]) => a / b))
    const perSecond = (side: 0 | 1) =>
      Math.round(summarize(pairs.map((pair) => pair[side])).median).toLocaleString('en')
    rows.push([one.name, String(one.subscribers), perSecond(0), perSecond(1), show(ratio)])
  }
  console.log(
    table(['events', 'subscribers', 'ours: deliveries/CPU-s', 'bare publish', 'ratio (min–max)'], rows),
  )
}

if (import.meta.main) {
  const [rounds = '9', only = ''] = process.argv.slice(2)
  await benchHub({ rounds: Number(rounds), only })
}
