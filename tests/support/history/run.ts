/** A whole run: writers, subscribers and a proxy against a server that is killed and started again. */
import { channels } from '../../../lib/protocol/events.ts'
import { framings } from '../../../lib/protocol/codec.ts'
import { startProcess, tokenOf, type ServerProcess } from '../process.ts'
import { startProxy } from '../proxy.ts'
import { createRandom } from '../random.ts'
import { temporaryFolder } from '../server.ts'
import { checkHistory } from './checker.ts'
import { readDatabase, readJournal } from './final-state.ts'
import { Gate } from './gate.ts'
import { clientTypes } from './operator-acts.ts'
import { Passes } from './passes.ts'
import { covers, emptyHistory, type History } from './record.ts'
import { Subscriber } from './subscribers.ts'
import { runWriter } from './writers.ts'

/** The kill comes at a random moment within this after the round's last awaited answer. */
const KILL_DELAY_MS = 20

export interface RunOptions {
  readonly seed: number
  /** Lives of the server; every one but the last ends by SIGKILL. */
  readonly rounds: number
  readonly writers: number
  readonly subscribers: number
  /** Acknowledged writes of an average round: a slow machine takes longer and sees as much. */
  readonly acknowledgedPerRound: number
  /** A round ends after this in any case. */
  readonly roundMsMax: number
  /** Where server.ts lies; a copy with a planted fault, say. */
  readonly root?: string
  readonly env?: Readonly<Record<string, string>>
  /** Ends the run early. */
  readonly isOver?: () => boolean
}

export interface RunReport {
  readonly violations: string[]
  readonly seed: number
  readonly kills: number
  readonly operations: number
  readonly acknowledged: number
  /** Writes whose answer never came. */
  readonly lost: number
  readonly unavailable: number
  readonly events: number
  readonly reads: number
  readonly connections: number
  readonly frames: number
  /** Ephemeral messages that were received. */
  readonly words: number
  /** Connections by the code they ended with. */
  readonly endings: Readonly<Record<string, number>>
  /** Of those with 4503: whose token was revoked. */
  readonly revoked: number
  readonly proxyFaults: { readonly cut: number; readonly stall: number; readonly halfOpen: number }
  /** 2xx answers by declared route. */
  readonly routes: Readonly<Record<string, number>>
}

export async function runHistory(options: RunOptions): Promise<RunReport> {
  const random = createRandom(options.seed)
  using folder = temporaryFolder()
  const token = await tokenOf(folder.path)
  const history = emptyHistory()
  const passes = new Passes(history.revocations)
  const gate = new Gate()
  const start = async () => {
    const { root, env } = options
    const process = await startProcess({
      folder: folder.path,
      ...(root ? { root } : {}),
      ...(env ? { env } : {}),
    })
    gate.open(process.url)
    return process
  }
  let server: ServerProcess = await start()
  await using proxy = await startProxy(() => Number(new URL(server.url).port), random.fork())
  const shared = { gate, token, passes, history }
  const subscribers = startSubscribers(options, { ...shared, random, proxyPort: proxy.port })
  let over = false
  let numbers = 0
  const writers = Array.from({ length: options.writers }, (_, index) =>
    runWriter({
      ...shared,
      name: `w${index}`,
      random: random.fork(),
      serial: () => (numbers += 1),
      isOver: () => over,
    }),
  )

  let kills = 0
  for (let round = 1; round <= options.rounds && !options.isOver?.(); round += 1) {
    await enoughDone(history, random.int(5, options.acknowledgedPerRound * 2), options.roundMsMax)
    await new Promise((resolve) => setTimeout(resolve, random.int(0, KILL_DELAY_MS)))
    if (round === options.rounds) break
    gate.shut()
    await server.kill()
    kills += 1
    server = await start()
  }
  over = true
  const operations = (await Promise.all(writers)).reduce((sum, done) => sum + done, 0)
  await Promise.all(subscribers.map((subscriber) => subscriber.finish()))
  history.database = await readDatabase(server.url, token)
  gate.stop()
  const code = await server.kill('SIGTERM')
  if (code !== 0)
    history.unexpected.push(`the server exited with ${code}: ${server.output.slice(-5).join('\n')}`)
  history.journal = readJournal(folder.path)
  return {
    violations: checkHistory(history),
    ...count(history),
    seed: options.seed,
    kills,
    operations,
    proxyFaults: proxy.faults,
  }
}

/** Resolves when so many more writes were acknowledged; a server that refuses them all gets no more time than this. */
async function enoughDone(history: History, more: number, msMax: number): Promise<void> {
  const target = history.acknowledged + more
  const deadline = performance.now() + msMax
  while (history.acknowledged < target && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

interface Shared {
  readonly gate: Gate
  readonly token: string
  readonly passes: Passes
  readonly history: History
  readonly random: ReturnType<typeof createRandom>
  readonly proxyPort: number
}

function startSubscribers(
  { subscribers }: RunOptions,
  { gate, token, passes, history, random, proxyPort }: Shared,
): Subscriber[] {
  return Array.from({ length: subscribers }, (_, index) => {
    const some = channels.filter(() => random.chance(0.5))
    return new Subscriber({
      name: `s${index}`,
      framing: framings[index % framings.length] ?? 'json',
      clientType: random.pick(clientTypes),
      channels: index % 4 === 3 && some.length > 0 ? some : channels,
      gate,
      history,
      token,
      random: random.fork(),
      ...(index % 4 < 2 ? { passes } : {}),
      ...(index % 2 === 1 ? { proxyPort } : {}),
    })
  })
}

function count(history: History) {
  const { writes, acknowledged, unavailable, journal, reads, subscribers, routes, revocations } = history
  const segments = subscribers.flatMap((subscriber) => subscriber.segments)
  const received = segments.flatMap((segment) => segment.received)
  const endings = subscribers.flatMap((subscriber) => subscriber.endings)
  const codes = Map.groupBy(endings, ({ code }) => String(code))
  const sentAway = codes.get('4503') ?? []
  return {
    acknowledged,
    lost: writes.filter(({ outcome }) => outcome === 'lost').length,
    unavailable,
    events: [...journal.values()].reduce((sum, events) => sum + events.length, 0),
    reads: reads.length,
    connections: segments.length,
    frames: received.length,
    words: received.filter(({ type }) => type === 'word').length,
    endings: Object.fromEntries([...codes].map(([code, { length }]) => [code, length])),
    revoked: sentAway.filter(({ pass }) => pass && revocations.some((by) => covers(by, pass))).length,
    routes: Object.fromEntries(routes),
  }
}
