/** Several clients at once: nothing is predicted; what was answered, told and listed in the end must fit together. */
import { parseCursor } from '../../lib/protocol/cursor.ts'
import type { Draft } from '../../lib/protocol/events.ts'
import type { Config } from '../../lib/settings.ts'
import type { Message } from '../support/client.ts'
import { buildOf, expiryOf, opening, type Step } from './commands.ts'
import {
  checkFilters,
  checkRebuilt,
  checkRows,
  listPaths,
  readLists,
  rowsOf,
  same,
  type Kind,
} from './invariants.ts'
import type { Fields } from './model.ts'
import type { ListedExport } from './operations.ts'
import { draftOf, State } from './state.ts'
import { startWorld, type Answered, type StartServer, type World } from './world.ts'

/** Longer than any lease. */
const ALL_LEASES_MS = 200_000
const allowed = [200, 201, 404, 409]

interface Read {
  readonly kind: Kind
  readonly rows: readonly Fields[]
  readonly cursor: string
}

/** Runs each list of steps as a client of its own, all at once. @throws when something does not fit */
export async function runParallel(
  clients: readonly (readonly Step[])[],
  start: StartServer,
  config: Partial<Config> = {},
): Promise<void> {
  await using world = await startWorld(start, config)
  try {
    await new Crowd(world).run(clients)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new Error(`${reason}\n\nafter\n${world.log.join('\n')}`, { cause: error })
  }
}

class Crowd {
  private readonly live = new State()
  private readonly told: Message[] = []
  private readonly reads: Read[] = []
  private readonly claims = new Set<string>()
  /** Answers of 2xx to completions and failures of jobs. */
  private readonly ended: string[] = []
  /** Sessions whose totals a client has set. */
  private readonly overridden = new Set<unknown>()
  private exports: readonly ListedExport[] = []

  constructor(private readonly world: World) {}

  async run(clients: readonly (readonly Step[])[]): Promise<void> {
    await this.client(opening)
    await this.absorbAll()
    await Promise.all(clients.map((steps) => this.client(steps)))
    await this.absorbAll()
    await this.endLeases()
    const { world, live } = this
    const cursor = await this.absorbAll()
    const lists = await readLists(world.api, cursor)
    for (const kind of ['sessions', 'photos', 'jobs', 'exports'] as const)
      checkRebuilt(kind, lists[kind], live)
    checkRows(lists, live, this.overridden)
    await checkFilters(world.api, lists, 'all')
    checkLives(this.told.map(draftOf))
    this.checkEnds()
    this.checkReads()
  }

  private async client(steps: readonly Step[]): Promise<void> {
    for (const [index, { name, choices }] of steps.entries()) {
      if (index % 4 === 3) await this.read(choices.row)
      this.absorb()
      this.world.clock.ms += name === 'expire' ? expiryOf(choices) : 1
      if (name === 'expire') continue
      const operation = buildOf(name)({ state: this.live, exports: this.exports }, choices)
      if (!operation) continue
      const { rest } = operation
      if (name === 'patchSession' && rest) this.overridden.add(Number(rest[1].split('/').at(-1)))
      const answered = await this.world.send(operation, choices.subject)
      same('an answer is one of the contract', allowed.includes(answered.status), true)
      this.note(answered, rest?.[1] ?? '')
    }
  }

  private note({ status, body }: Answered, path: string): void {
    if (status >= 400) return
    const job = body['job'] as Fields | null | undefined
    if (job) {
      const claim = `${String(job['id'])} at attempt ${String(job['attempts'])}`
      same(`a second claim of ${claim}`, this.claims.has(claim), false)
      this.claims.add(claim)
    }
    if (path.endsWith('/complete') || path.endsWith('/fail')) {
      if (path.startsWith('/api/jobs/') && body['status'] !== 'pending') this.ended.push(String(body['id']))
    }
  }

  private async read(choice: number): Promise<void> {
    const kind = (['sessions', 'photos', 'jobs', 'exports'] as const)[choice % 4] ?? 'jobs'
    const { status, body, cursor } = await this.world.api<Fields>('GET', listPaths[kind])
    same(`GET ${kind}`, [status, cursor === null], [200, false])
    const rows = rowsOf(kind, body)
    // Rows of a list have the columns of their kind.
    if (kind === 'exports') this.exports = rows as unknown as readonly ListedExport[]
    this.reads.push({ kind, rows, cursor: cursor ?? '' })
  }

  /** Takes what has come, and checks each derived value against the facts before it. */
  private absorb(): void {
    for (const event of this.world.events()) {
      const draft = draftOf(event)
      this.live.apply(draft)
      this.told.push(event)
      if (draft.type === 'queue_status') same('queue_status', draft.data, this.live.counts())
      if (draft.type === 'approval_queue_updated') {
        same('queue_count', draft.data.queue_count, this.live.waiting().length)
      }
    }
  }

  private async absorbAll(): Promise<string> {
    const { cursor } = await this.world.subscriber.sync()
    this.absorb()
    return String(cursor)
  }

  /** So that no sweep changes anything any more. */
  private async endLeases(): Promise<void> {
    this.world.clock.ms += ALL_LEASES_MS
    const held = [...this.live.jobs.values()].filter(({ status }) => status === 'processing')
    const claims = held.map(({ id, attempts }) => ({ id, attempts }))
    await Promise.all(claims.map(({ id, attempts }) => this.world.freed(id, attempts)))
  }

  /** A job ends once, by the one who was told so or by its last lease. */
  private checkEnds(): void {
    same('jobs that ended twice', this.ended.length, new Set(this.ended).size)
    const events = this.told.filter(({ type }) => type === 'job_completed' || type === 'job_failed')
    const ids = new Set(events.map(({ job_id }) => job_id))
    same(
      'ends that no event tells',
      this.ended.filter((id) => !ids.has(id)),
      [],
    )
  }

  /** What was read is what the events up to its cursor make. */
  private checkReads(): void {
    const state = new State()
    let rest: readonly Message[] = this.told
    const sum = ({ cursor }: Read) => Object.values(parseCursor(cursor).positions).reduce((a, b) => a + b, 0)
    for (const { kind, rows, cursor } of this.reads.toSorted((a, b) => sum(a) - sum(b))) {
      const { positions } = parseCursor(cursor)
      const isCovered = ({ channel, seq }: Message) =>
        Number(seq) <= ((positions as Readonly<Record<string, number>>)[String(channel)] ?? 0)
      for (const event of rest) if (isCovered(event)) state.apply(draftOf(event))
      rest = rest.filter((event) => !isCovered(event))
      checkRebuilt(kind, rows, state)
    }
  }
}

/** Each job goes from claim to end by one owner at a time, attempt after attempt. */
function checkLives(events: readonly Draft[]): void {
  const lives = new Map<string, { status: string; attempt: number }>()
  const state = new State()
  for (const event of events) {
    const isForeign = state.isForeign(event)
    state.apply(event)
    if (isForeign || !event.type.startsWith('job_') || !('job_id' in event.data)) continue
    const { type, data } = event
    const id = String(data.job_id)
    const { status, attempt } = lives.get(id) ?? { status: 'none', attempt: 0 }
    const told = 'attempt' in data ? data.attempt : attempt
    const [from, to] = moves[type] ?? ['unknown', 'unknown']
    same(`status before ${type} of job ${id}`, status, from)
    same(`attempt of ${type} of job ${id}`, told, type === 'job_started' ? attempt + 1 : attempt)
    lives.set(id, { status: to, attempt: told })
  }
}

const moves: Readonly<Record<string, readonly [from: string, to: string]>> = {
  job_created: ['none', 'pending'],
  job_started: ['pending', 'processing'],
  job_progress: ['processing', 'processing'],
  job_completed: ['processing', 'over'],
  job_failed: ['processing', 'over'],
  job_requeued: ['processing', 'pending'],
  job_cancelled: ['pending', 'over'],
}
