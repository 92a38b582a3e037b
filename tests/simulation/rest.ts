/** REST without HTTP: writes and reads reach a node over the network, and each answer is held against the truth. */
import type { Positions } from '../../lib/protocol/cursor.ts'
import { channels, type StoredEvent } from '../../lib/protocol/events.ts'
import { queueState } from '../../lib/domain/counters.ts'
import { Refusal } from '../../lib/protocol/refusals.ts'
import type { WriteFunction } from '../../lib/store/write.ts'
import type { Random } from '../support/random.ts'
import { Killed } from './disk.ts'
import type { SimNode } from './node.ts'
import type { Owner, Scheduler } from './scheduler.ts'
import type { Slot } from './slots.ts'
import type { StateRead } from './subscriber.ts'
import { Violation, type Truth } from './truth.ts'
import type { Answer } from './writers.ts'

interface RestOptions {
  readonly scheduler: Scheduler
  readonly random: Random
  readonly truth: Truth
  readonly slots: readonly Slot[]
  readonly latencyMs: () => number
  /** A connection to the database may break at a commit: then nobody knows what became of it. */
  readonly mayBreak: boolean
  readonly counts: { writes: number; reads: number; committed: number; refused: number; lost: number }
  readonly fail: (error: unknown) => void
}

export function createRest({
  scheduler,
  random,
  truth,
  slots,
  latencyMs,
  mayBreak,
  counts,
  fail,
}: RestOptions) {
  function guard(act: () => void): void {
    try {
      act()
    } catch (error) {
      fail(error)
    }
  }

  /** Asks a node over HTTP; without an answer when it dies or is not there. */
  function request<T>(
    owner: Owner,
    act: (node: SimNode) => Promise<T>,
    got: (answer: { value: T } | { error: unknown } | undefined) => void,
  ): void {
    const slot = random.pick(slots)
    const { process, node } = slot
    let over = false
    const answer = (what: Parameters<typeof got>[0]) => {
      if (over) return
      over = true
      slot.unanswered.delete(lose)
      scheduler.post(owner, latencyMs(), 'answer', () => got(what))
    }
    const lose = () => answer(undefined)
    if (!node || slot.stopping) return lose()
    slot.unanswered.add(lose)
    scheduler.post(process, latencyMs(), 'request', () => {
      act(node).then(
        (value) => process.alive && answer({ value }),
        (error: unknown) => process.alive && answer({ error }),
      )
    })
  }

  function write<T>(
    owner: Owner,
    names: readonly string[],
    run: WriteFunction<T>,
    got: (answer: Answer<T>) => void,
  ) {
    let answered: Answer<T> = { lost: true }
    request(
      owner,
      async (node) => {
        counts.writes += 1
        try {
          const committed = await node.writer.write(run)
          if (!node.process.alive) return
          answered = { committed }
          guard(() => requireKept(committed, names))
        } catch (error) {
          if (!node.process.alive || error instanceof Killed) return
          if (!(error instanceof Refusal)) return fail(error)
          answered = { refused: error.code }
          guard(() => requireUndone(error, names))
        }
      },
      (answer) => {
        if (!answer) answered = { lost: true }
        const kind = 'committed' in answered ? 'committed' : 'refused' in answered ? 'refused' : 'lost'
        counts[kind] += 1
        scheduler.note(kind, owner.name)
        got(answered)
      },
    )
  }

  /** Acknowledged: durable, in the journal once, as it was told. */
  function requireKept(
    { events, heads }: { readonly events: readonly StoredEvent[]; readonly heads: Positions },
    names: readonly string[],
  ): void {
    truth.requireDurable(heads, 'an acknowledgement')
    for (const { channel, seq, data } of events) {
      const event = truth.event(channel, seq)
      if (!event?.text.endsWith(data.slice(1)))
        throw new Violation(`acknowledged was ${data}, ${channel}=${seq} is ${event?.text ?? 'nothing'}`)
    }
    for (const name of names)
      if (truth.placeOf(name) === undefined)
        throw new Violation(`${name} was acknowledged and is not in the journal`)
  }

  /** Refused: nothing of it is there, unless a connection broke and nobody can know. */
  function requireUndone({ code }: Refusal, names: readonly string[]): void {
    if (code === 'internal') throw new Violation('a write met a bug')
    if (mayBreak && code === 'storage_unavailable') return
    for (const name of names) {
      const place = truth.placeOf(name)
      if (place !== undefined)
        throw new Violation(`${name} was refused (${code}) and is in the journal at ${place}`)
    }
  }

  /** A GET: a state and the cursor of that very state. */
  function snapshot(owner: Owner, got: (read: StateRead | undefined) => void): void {
    request(
      owner,
      async ({ journal, writer, lineage, process }) => {
        const { heads, value } = await journal.snapshot(queueState)
        await writer.durable()
        if (!process.alive) return undefined
        counts.reads += 1
        guard(() => {
          truth.requireDurable(heads, 'a read')
          requireState(heads, value)
        })
        const chains = new Map(
          channels.map((channel) => [channel, truth.chainAt(channel, heads[channel] ?? 0) ?? 0]),
        )
        return { cursor: { epoch: lineage.epoch, positions: heads }, chains }
      },
      (answer) => got(answer && 'value' in answer ? answer.value : undefined),
    )
  }

  /** Exact join: the counts read are those of the newest queue_status at or before the cursor. */
  function requireState(heads: Positions, value: Readonly<Record<string, number>>): void {
    const told = truth.after('queue', 0, heads.queue ?? 0).findLast(({ type }) => type === 'queue_status')
    for (const [name, count] of Object.entries(value)) {
      const said = told ? told.fields[name] : 0
      if (said !== count)
        throw new Violation(
          `a read at queue=${heads.queue ?? 0} says ${count} ${name}, the event ${String(said)}`,
        )
    }
  }

  return { write, snapshot }
}
