/** A whole run: writers, subscribers and a proxy against a server that is killed and started again. */
import { Database } from 'bun:sqlite'
import { join } from 'node:path'
import { channels, eventJson, type Channel, type StoredEvent } from '../../../lib/protocol/events.ts'
import { framings } from '../../../lib/protocol/codec.ts'
import { createApi } from '../api.ts'
import { startProcess, tokenOf, type ServerProcess } from '../process.ts'
import { startProxy } from '../proxy.ts'
import { createRandom } from '../random.ts'
import { temporaryFolder } from '../server.ts'
import { checkHistory } from './checker.ts'
import { Gate } from './gate.ts'
import { emptyHistory, type History, type JournalEvent } from './record.ts'
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
  readonly unavailable: number
  readonly events: number
  readonly reads: number
  readonly connections: number
  readonly frames: number
  readonly proxyFaults: { readonly cut: number; readonly stall: number; readonly halfOpen: number }
}

export async function runHistory(options: RunOptions): Promise<RunReport> {
  const random = createRandom(options.seed)
  using folder = temporaryFolder()
  const token = await tokenOf(folder.path)
  const history = emptyHistory()
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
  const subscribers = startSubscribers(options, { gate, token, random, proxyPort: proxy.port })
  history.subscribers.push(...subscribers.map(({ record }) => record))
  let over = false
  const writers = Array.from({ length: options.writers }, (_, index) =>
    runWriter({ name: `w${index}`, gate, token, random: random.fork(), history, isOver: () => over }),
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
async function enoughDone({ acknowledged }: History, more: number, msMax: number): Promise<void> {
  const target = acknowledged.length + more
  const deadline = performance.now() + msMax
  while (acknowledged.length < target && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

function startSubscribers(
  { subscribers }: RunOptions,
  shared: { gate: Gate; token: string; random: ReturnType<typeof createRandom>; proxyPort: number },
): Subscriber[] {
  const { gate, token, random, proxyPort } = shared
  return Array.from({ length: subscribers }, (_, index) => {
    const some = channels.filter(() => random.chance(0.5))
    return new Subscriber({
      name: `s${index}`,
      framing: framings[index % framings.length] ?? 'json',
      channels: index % 4 === 3 && some.length > 0 ? some : channels,
      gate,
      token,
      random: random.fork(),
      ...(index % 2 === 1 ? { proxyPort } : {}),
    })
  })
}

function count({ acknowledged, unavailable, journal, reads, subscribers }: History) {
  const segments = subscribers.flatMap((subscriber) => subscriber.segments)
  return {
    acknowledged: acknowledged.length,
    unavailable,
    events: [...journal.values()].reduce((sum, events) => sum + events.length, 0),
    reads: reads.length,
    connections: segments.length,
    frames: segments.reduce((sum, { received }) => sum + received.length, 0),
  }
}

/** All rows, page by page, over REST. */
async function readDatabase(url: string, token: string): Promise<History['database']> {
  const api = createApi(() => url, token)
  const all = async (kind: 'jobs' | 'sessions' | 'photos') => {
    const rows: Record<string, unknown>[] = []
    for (let total = 1; rows.length < total;) {
      const { body } = await api<{ total: number } & Record<string, never[]>>(
        'GET',
        `/api/${kind}?limit=500&offset=${rows.length}`,
      )
      rows.push(...(body[kind] ?? []))
      if ((body[kind] ?? []).length === 0) break
      total = body.total
    }
    return rows
  }
  return { jobs: await all('jobs'), sessions: await all('sessions'), photos: await all('photos') }
}

/** The stored events, read from the file itself. */
export function readJournal(folder: string): ReadonlyMap<Channel, readonly JournalEvent[]> {
  using file = new Database(join(folder, 'lightwire.db'))
  const rows = file
    .query<StoredEvent, []>('select channel, seq, type, timestamp, data from events order by channel, seq')
    .all()
  const events = rows.map((row) => JSON.parse(eventJson(row)) as JournalEvent)
  return Map.groupBy(events, ({ channel }) => channel)
}
