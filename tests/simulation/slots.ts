/** The places of the processes: each boots, dies and is followed by another one, with what its death does to others. */
import type { Positions } from '../../lib/protocol/cursor.ts'
import { isStorageFault } from '../../lib/store/faults.ts'
import type { Database } from '../../lib/store/schema.ts'
import type { Random } from '../support/random.ts'
import { Killed } from './disk.ts'
import { startNode, type NodeOptions, type SimNode } from './node.ts'
import type { Profile } from './profile.ts'
import type { Owner, Scheduler } from './scheduler.ts'
import type { VirtualSocket } from './socket.ts'
import { Violation, type Truth } from './truth.ts'

/** A place for a process: it dies, and another one starts there. */
export interface Slot {
  readonly name: string
  process: Owner
  node: SimNode | undefined
  readonly sockets: Set<VirtualSocket>
  /** Requests without an answer yet: told when the process dies. */
  readonly unanswered: Set<() => void>
  buried: boolean
  stopping: boolean
}

interface SlotsOptions {
  readonly scheduler: Scheduler
  readonly random: Random
  readonly profile: Profile
  readonly truth: Truth
  readonly database: { open(process: Owner): Database }
  readonly latencyMs: () => number
  readonly counts: NodeOptions['counts'] & { deaths: number }
  /** Something broke a promise, or is a bug. */
  readonly fail: (error: unknown, where?: string) => void
}

export function createSlots({
  scheduler,
  random,
  profile,
  truth,
  database,
  latencyMs,
  counts,
  fail,
}: SlotsOptions) {
  const slots: Slot[] = []
  /** By epoch, how many commits there were before it began. */
  const epochs = new Map<string, number>()
  const lostEpochs = new Set<string>()

  function boot(slot: Slot): void {
    slot.process = { name: `${slot.name}.${counts.deaths}`, alive: true }
    slot.buried = false
    slot.stopping = false
    const { process } = slot
    scheduler.post(process, random.next() * 5, 'boot', () => {
      startNode({
        scheduler,
        process,
        database: database.open(process),
        config: profile.config,
        onHeads: (heads) => announce(slot, heads),
        onFatal: () => void (process.alive = false),
        onBug: (error, where) => {
          if (process.alive && !(error instanceof Killed)) fail(error, where)
        },
        finishRequests: (ms) => untilAnswered(slot, scheduler.nowMs + ms),
        onDropped: () => fail(new Violation('the program says that a frame was dropped')),
        counts,
      }).then(
        (node) => {
          if (!process.alive) return
          slot.node = node
          epochs.set(node.lineage.epoch, epochs.get(node.lineage.epoch) ?? truth.commits() - 1)
          scheduler.note('up', slot.name)
        },
        (error: unknown) => {
          if (!(error instanceof Killed) && !isStorageFault(error)) fail(error)
          process.alive = false
        },
      )
    })
  }

  function untilAnswered(slot: Slot, deadlineMs: number): Promise<number> {
    return new Promise((resolve) => {
      const look = () => {
        if (slot.unanswered.size === 0 || scheduler.nowMs >= deadlineMs) resolve(slot.unanswered.size)
        else scheduler.post(slot.process, 5, 'look', look)
      }
      look()
    })
  }

  /** The bus: hints that get lost, come late, twice, and in any order. */
  function announce(from: Slot, heads: Positions): void {
    for (const slot of slots) {
      if (slot === from || random.chance(profile.busLoss)) continue
      for (let copies = random.chance(0.1) ? 2 : 1; copies > 0; copies -= 1) {
        const { process } = slot
        scheduler.post(
          process,
          latencyMs() * 3,
          'hint',
          () => slot.process === process && slot.node?.relay.hint(heads),
        )
      }
    }
  }

  /** Once a process is dead its sockets are reset, its requests lost, and after a while another one starts. */
  function bury(slot: Slot): void {
    slot.buried = true
    slot.node = undefined
    counts.deaths += 1
    scheduler.note('dead', slot.name)
    for (const socket of slot.sockets) socket.reset()
    slot.sockets.clear()
    for (const tell of slot.unanswered) tell()
    slot.unanswered.clear()
    scheduler.post(scheduler.nobody, random.next() * 600, 'restart', () => boot(slot))
  }

  for (const name of profile.cluster ? ['a', 'b'] : ['a']) {
    const slot: Slot = {
      name,
      process: scheduler.nobody,
      node: undefined,
      sockets: new Set(),
      unanswered: new Set(),
      buried: false,
      stopping: false,
    }
    slots.push(slot)
    boot(slot)
  }
  scheduler.onStep(() => {
    for (const slot of slots) if (!slot.process.alive && !slot.buried) bury(slot)
  })

  return {
    all: slots as readonly Slot[],
    /** A restored backup has so many commits: the epochs since are gone. */
    forgetEpochs(commits: number): void {
      for (const [epoch, begun] of epochs) if (begun >= commits) lostEpochs.add(epoch)
    },
    isLost: (epoch: string) => lostEpochs.has(epoch),
  }
}
