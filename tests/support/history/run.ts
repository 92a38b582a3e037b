/** A whole run: writers, subscribers and a proxy against a server that is killed, drained and started again. */
import { parseCursor, type Positions } from '../../../lib/protocol/cursor.ts'
import { createApi } from '../api.ts'
import { tokenOf, tokensOf } from '../process.ts'
import { startProxy } from '../proxy.ts'
import { createRandom } from '../random.ts'
import { temporaryFolder } from '../server.ts'
import { Arrivals } from './arrivals.ts'
import { checkHistory } from './checker.ts'
import { count, type Counts } from './counts.ts'
import { startCrowd } from './crowd.ts'
import { readDatabase, readJournal } from './final-state.ts'
import { wait, type Follower } from './follower.ts'
import { Gate } from './gate.ts'
import { startLives, type Lives } from './lives.ts'
import { Passes } from './passes.ts'
import { emptyHistory, type History } from './record.ts'
import { StreamFollower } from './streams.ts'
import { Subscriber } from './subscribers.ts'
import { runWriter } from './writers.ts'

/** The kill comes at a random moment within this after the round's last awaited answer. */
const KILL_DELAY_MS = 20
/** Every so manieth life ends by SIGTERM instead of SIGKILL; the last one does in any case. */
const DRAIN_EVERY = 6
const CATCH_UP_MS = 30_000

export interface RunOptions {
  readonly seed: number
  /** Lives of the server. */
  readonly rounds: number
  readonly writers: number
  /** Over WebSocket; a fifth as many over each other transport. */
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

export interface RunReport extends Counts {
  readonly violations: string[]
  readonly seed: number
  readonly kills: number
  readonly drains: number
  readonly operations: number
  /** State events that a newer one stood for. */
  readonly conflated: number
  /** Events in answers of polls that never arrived. */
  readonly lostInTransit: number
  readonly proxyFaults: { readonly cut: number; readonly stall: number; readonly halfOpen: number }
}

export async function runHistory(options: RunOptions): Promise<RunReport> {
  const random = createRandom(options.seed)
  using folder = temporaryFolder()
  const token = await tokenOf(folder.path)
  const history = emptyHistory()
  const passes = new Passes(history, tokensOf(folder.path))
  using arrivals = new Arrivals()
  const gate = new Gate()
  const { root, env } = options
  const lives = await startLives({ folder: folder.path, gate, history, root, env })
  await using proxy = await startProxy(() => Number(new URL(lives.url()).port), random.fork())
  const shared = { gate, token, passes, arrivals, history }
  const { subscribers: sockets } = options
  const others = Math.ceil(sockets / 5)
  const crowd = startCrowd({ ...shared, sockets, others, random, proxyPort: proxy.port })
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

  for (let round = 1; round <= options.rounds && !options.isOver?.(); round += 1) {
    await enoughDone(history, random.int(5, options.acknowledgedPerRound * 2), options.roundMsMax)
    await wait(random.int(0, KILL_DELAY_MS))
    if (round === options.rounds) break
    if (round % DRAIN_EVERY === 0) await lives.drainAndStart()
    else await lives.killAndStart()
  }
  over = true
  const operations = (await Promise.all(writers)).reduce((sum, done) => sum + done, 0)
  await converge(crowd, lives, token)
  history.database = await readDatabase(lives.url(), token)
  // Nobody comes back; those who hold a connection are sent away by the drain, with everything that was committed.
  gate.stop()
  await Promise.all(crowd.filter((follower) => !holdsOn(follower)).map((follower) => follower.leave()))
  await lives.end()
  await Promise.all(crowd.map((follower) => follower.leave()))
  history.journal = readJournal(folder.path)
  history.lateMs = arrivals.lateMs
  const ended = (how: 'kill' | 'drain') => history.lives.filter((end) => end === how).length
  return {
    ...checkHistory(history),
    ...count(history),
    seed: options.seed,
    kills: ended('kill'),
    drains: ended('drain'),
    operations,
    proxyFaults: proxy.faults,
  }
}

function holdsOn(follower: Follower): boolean {
  return follower instanceof Subscriber || follower instanceof StreamFollower
}

/** Everybody gets everything up to now, past the proxy. */
async function converge(crowd: readonly Follower[], lives: Lives, token: string): Promise<void> {
  const api = createApi(lives.url, token)
  const { cursor } = await api('GET', '/api/queue')
  const target: Positions = parseCursor(cursor ?? '').positions
  for (const follower of crowd) follower.settle()
  await Promise.all(crowd.map((follower) => follower.reach(target)))
  // A stream says nothing of what it passes over; the server does.
  const deadline = performance.now() + CATCH_UP_MS
  while (performance.now() < deadline) {
    const { body } = await api<{ clients: { cursor_lag: number }[] }>('GET', '/api/websocket/clients')
    if (body.clients.every(({ cursor_lag: lag }) => lag === 0)) return
    await wait(10)
  }
}

/** Resolves when so many more writes were acknowledged; a server that refuses them all gets no more time than this. */
async function enoughDone(history: History, more: number, msMax: number): Promise<void> {
  const target = history.acknowledged + more
  const deadline = performance.now() + msMax
  while (history.acknowledged < target && performance.now() < deadline) await wait(2)
}
