/** The writer: the writes waiting now, in one transaction, their events numbered; nothing is told before it is durable. */
import { CompiledQuery } from 'kysely'
import type { StoredEvent } from '../protocol/events.ts'
import type { Positions } from '../protocol/cursor.ts'
import { Refusal } from '../protocol/refusals.ts'
import { createClockWatch } from './clock-watch.ts'
import { isStorageFault, isSyncFault, storageRefusal } from './faults.ts'
import type { Database, Queries } from './schema.ts'
import {
  writeInto,
  type BeforeCommit,
  type Committed,
  type PendingEvent,
  type Write,
  type WriteFunction,
} from './write.ts'

/** One group takes at most this many writes, or as many as fit into GROUP_MS. */
const GROUP_WRITES_MAX = 256
const GROUP_MS = 2

// Compiled once: building a query costs Kysely more than SQLite needs to run these.
const COMMIT = CompiledQuery.raw('commit')
const ROLLBACK = CompiledQuery.raw('rollback')
const SAVEPOINT = CompiledQuery.raw('savepoint one_write')
const RELEASE = CompiledQuery.raw('release savepoint one_write')
const ROLLBACK_TO = CompiledQuery.raw('rollback to savepoint one_write')

interface WriterJournal {
  /** Numbers and inserts the events on the open transaction; answers the new heads of all channels. */
  append(
    queries: Queries,
    pending: readonly PendingEvent[],
    now: string,
  ): Promise<{ events: StoredEvent[]; heads: Positions }>
}

interface WriterOptions {
  readonly database: Database
  readonly journal: WriterJournal
  /** Emits the events of the derived values that the group touched. */
  readonly derive: (write: Write, touched: ReadonlySet<string>) => Promise<void>
  readonly now: () => Date
  /** A clock that no time setting moves. */
  readonly monotonicMs?: () => number
  /** Called first in a group when the wall clock was set: moves stored times that somebody waits for. */
  readonly onClockSet?: (write: Write, byMs: number) => Promise<void>
  readonly pendingMax: number
  /** Called in commit order, at commit: durable or not yet. */
  readonly onCommit: (events: readonly StoredEvent[], heads: Positions) => void
  /** Called in commit order, once per group, as soon as the group is durable; `committedMs` is monotonic time. */
  readonly onDurable: (events: readonly StoredEvent[], heads: Positions, committedMs: number) => void
  /** A sync failed: what is on the disk is unknown, and no retry can tell. The process must end. */
  readonly onFatal: (error: unknown) => void
  readonly observe: { commit(seconds: number): void; sync(seconds: number): void }
}

interface Waiting {
  readonly run: WriteFunction<unknown>
  /** Exactly one of the two is called, once. */
  readonly resolve: (committed: Committed<unknown>) => void
  readonly reject: (error: unknown) => void
}

interface Outcome {
  readonly waiting: Waiting
  readonly value: unknown
  /** Where the write's events lie in the group's. */
  readonly from: number
  readonly to: number
  readonly steps: readonly BeforeCommit[]
}

interface Group {
  readonly outcomes: readonly Outcome[]
  readonly events: readonly StoredEvent[]
  readonly heads: Positions
  readonly committedMs: number
}

/** What the writes of one group have collected so far. */
interface Collected {
  readonly now: string
  readonly events: PendingEvent[]
  readonly touched: Set<string>
}

export type Writer = ReturnType<typeof createWriter>

export function createWriter(options: WriterOptions) {
  const { database, now: wallClock, monotonicMs = () => performance.now(), pendingMax } = options
  const clock = createClockWatch({ now: wallClock, monotonicMs })
  const queue: Waiting[] = []
  const unsynced: Group[] = []
  const idle: (() => void)[] = []
  let busy = false
  let syncing: Promise<void> | undefined
  let stopping = false
  let failure: Refusal | undefined
  let lastGroupStored = true
  let pending = 0
  let paused: Promise<void> | undefined

  /** Runs until the queue is empty; between groups the event loop gets a turn, or readers would starve. */
  async function work(): Promise<void> {
    busy = true
    while (queue.length > 0) {
      if (paused) await paused
      const group = await runGroup()
      if (group) {
        options.onCommit(group.events, group.heads)
        unsynced.push(group)
        syncing ??= syncAll()
      }
      await new Promise((resolve) => setImmediate(resolve))
    }
    busy = false
    tellIdle()
  }

  async function runGroup(): Promise<Group | undefined> {
    const taken = queue.splice(0, 1)
    const started = performance.now()
    try {
      const group = await database.queries
        .connection()
        .execute((queries) => transact(queries, taken, started))
      options.observe.commit((performance.now() - started) / 1000)
      lastGroupStored = true
      return group
    } catch (error) {
      lastGroupStored = false
      const told = isStorageFault(error) ? storageRefusal(error) : error
      for (const { reject } of taken) reject(told)
      // SQLite syncs by itself when it begins its log anew.
      if (isSyncFault(error)) fail(error)
      return undefined
    }
  }

  async function transact(queries: Queries, taken: Waiting[], started: number): Promise<Group> {
    await database.begin(queries)
    try {
      const wall = wallClock()
      const collected: Collected = { now: wall.toISOString(), events: [], touched: new Set() }
      const { setMs, accept } = clock.look(wall)
      if (setMs !== 0) {
        await options.onClockSet?.(
          writeInto(queries, collected.now, collected.events, collected.touched),
          setMs,
        )
      }
      const outcomes: Outcome[] = []
      for (const waiting of taken) {
        const outcome = await runOne(queries, waiting, collected)
        if (outcome) outcomes.push(outcome)
        const more = taken.length < GROUP_WRITES_MAX && performance.now() - started < GROUP_MS
        if (more) taken.push(...queue.splice(0, 1))
      }
      const { now, events: drafts, touched } = collected
      await options.derive(writeInto(queries, now, drafts, touched), touched)
      const { events, heads } = await options.journal.append(queries, drafts, now)
      for (const { steps, from, to } of outcomes) {
        for (const step of steps) await step({ events: events.slice(from, to), group: events, heads })
      }
      await queries.executeQuery(COMMIT)
      accept()
      return { outcomes, events, heads, committedMs: performance.now() }
    } catch (error) {
      if (database.transactionStands()) await queries.executeQuery(ROLLBACK).catch(() => undefined)
      throw error
    }
  }

  /** One write in its savepoint: it fails alone, unless the database gave up the whole transaction. */
  async function runOne(queries: Queries, waiting: Waiting, group: Collected): Promise<Outcome | undefined> {
    const own: PendingEvent[] = []
    const touched = new Set<string>()
    const steps: BeforeCommit[] = []
    await queries.executeQuery(SAVEPOINT)
    try {
      const value = await waiting.run(writeInto(queries, group.now, own, touched, steps))
      await queries.executeQuery(RELEASE)
      const from = group.events.length
      group.events.push(...own)
      for (const key of touched) group.touched.add(key)
      return { waiting, value, from, to: from + own.length, steps }
    } catch (error) {
      // SQLITE_FULL inside a savepoint rolls back everything; going on would commit the next write alone.
      if (!database.transactionStands()) throw error
      await queries.executeQuery(ROLLBACK_TO)
      await queries.executeQuery(RELEASE)
      waiting.reject(isStorageFault(error) ? storageRefusal(error) : error)
      return undefined
    }
  }

  /** One sync covers every group committed before it began; the next begins when it ends. */
  async function syncAll(): Promise<void> {
    while (unsynced.length > 0) {
      const covered = unsynced.length
      const started = performance.now()
      try {
        await database.sync()
      } catch (error) {
        fail(error)
        break
      }
      options.observe.sync((performance.now() - started) / 1000)
      for (const group of unsynced.splice(0, covered)) acknowledge(group)
    }
    syncing = undefined
    tellIdle()
  }

  function acknowledge({ outcomes, events, heads, committedMs }: Group): void {
    options.onDurable(events, heads, committedMs)
    for (const { waiting, value, from, to } of outcomes) {
      waiting.resolve({ value, events: events.slice(from, to), group: events, heads })
    }
  }

  function fail(error: unknown): void {
    if (failure) return
    const refusal = new Refusal('storage_unavailable', 'the disk refused to make writes durable', {
      cause: error,
    })
    failure = refusal
    for (const { outcomes } of unsynced.splice(0)) for (const { waiting } of outcomes) waiting.reject(refusal)
    for (const waiting of queue.splice(0)) waiting.reject(refusal)
    options.onFatal(error)
  }

  function tellIdle(): void {
    if (!busy && unsynced.length === 0) for (const resolve of idle.splice(0)) resolve()
  }

  return {
    /**
     * Queues a write; resolves when it is durable.
     * @throws {Refusal} what the function refused, or `storage_unavailable` when nothing was committed.
     */
    write<T>(run: WriteFunction<T>): Promise<Committed<T>> {
      if (failure) return Promise.reject(failure)
      if (stopping) return Promise.reject(new Refusal('draining', 'the server is stopping'))
      if (pending >= pendingMax) {
        const sentence = `${pendingMax} writes are waiting already`
        return Promise.reject(new Refusal('storage_unavailable', sentence, { retryAfterMs: 1000 }))
      }
      pending += 1
      const committed = new Promise<Committed<T>>((resolve, reject) => {
        queue.push({ run, resolve: resolve as Waiting['resolve'], reject })
      })
      if (!busy) void work()
      return committed.finally(() => {
        pending -= 1
      })
    },

    /** Resolves when everything committed before the call is durable. @throws {Refusal} if it cannot become so. */
    async durable(): Promise<void> {
      const last = unsynced.at(-1)
      while (last && unsynced.includes(last)) await syncing
      if (failure) throw failure
    },

    /** Whether the last group was stored; false means trouble with disk or database. */
    works: () => lastGroupStored && !failure,

    /** Writes that wait for their commit or its sync. */
    pending: () => pending,

    /** A sync failed elsewhere: nothing is stored or acknowledged any more. */
    fail,

    /** Whether something committed waits for its sync. */
    hasUnsynced: () => unsynced.length > 0,

    /** Holds back the next group while `task` runs. */
    async pauseWhile(task: () => Promise<unknown>): Promise<void> {
      const running = task().then(
        () => undefined,
        () => undefined,
      )
      paused = running
      await running
      if (paused === running) paused = undefined
    },

    /** Refuses new writes and waits for those accepted. */
    async stop(): Promise<void> {
      stopping = true
      if (busy || unsynced.length > 0) await new Promise<void>((resolve) => idle.push(resolve))
    },
  }
}
