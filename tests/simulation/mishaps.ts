/** What goes wrong, when the seed says so: kills, power cuts, restored backups, full disks, broken links. */
import type { Random } from '../support/random.ts'
import type { Disk, DiskFaults } from './disk.ts'
import type { Mishap, Profile } from './profile.ts'
import type { Scheduler } from './scheduler.ts'
import type { Subscriber } from './subscriber.ts'
import type { Slot } from './slots.ts'

/** A disk stays full, a link stalls, for at most so long. */
const TROUBLE_MS = 1500

interface MishapOptions {
  readonly scheduler: Scheduler
  readonly random: Random
  readonly profile: Profile
  readonly slots: readonly Slot[]
  readonly subscribers: readonly Subscriber[]
  readonly disk: Disk | undefined
  readonly faults: DiskFaults
  readonly counts: Record<string, number>
  readonly onRestore: (commits: number) => void
}

export function createMishaps({
  scheduler,
  random,
  profile,
  slots,
  subscribers,
  disk,
  faults,
  counts,
  onRestore,
}: MishapOptions) {
  let ended = false
  const backups: number[] = []
  const later = (act: () => void) =>
    scheduler.post(scheduler.nobody, random.next() * TROUBLE_MS, 'relief', act)

  const acts: Readonly<Record<Mishap, () => void>> = {
    kill: () => die(random.pick(slots)),
    'kill at commit': () => void (faults.killAtCommit = random.pick(['before', 'after'] as const)),
    'power cut': () => {
      if (!disk) return
      for (const slot of slots) die(slot)
      disk.cutPower()
    },
    restore: () => {
      const backup = backups.length > 0 && random.chance(0.5) ? random.pick(backups) : undefined
      if (!disk) return
      if (backup === undefined || backup > disk.backup()) return void backups.push(disk.backup())
      for (const slot of slots) die(slot)
      onRestore(backup)
      disk.restore(backup)
      backups.splice(0)
    },
    words: () => {
      const { node, process } = random.pick(slots)
      const text = 'x'.repeat(random.int(0, profile.shape.padding))
      scheduler.post(process, 0, 'words', () => void node?.hub.broadcast({ type: 'words', text }))
    },
    stop: () => stop(random.pick(slots)),
    'sync fails': () => {
      faults.syncFails = () => {
        faults.syncFails = () => false
        return true
      }
    },
    full: () => {
      faults.full = true
      later(() => void (faults.full = false))
    },
    cut: () => random.pick(subscribers).drop(false),
    'half-open': () => random.pick(subscribers).drop(true),
    stall: () => {
      const { socket } = random.pick(subscribers)
      if (!socket) return
      socket.stalled = true
      later(() => socket.unstall())
    },
  }

  function die(slot: Slot): void {
    slot.process.alive = false
  }

  /** As SIGTERM: what was accepted is finished, then the process ends. */
  function stop(slot: Slot): void {
    const { node, process } = slot
    if (!node || slot.stopping) return
    slot.stopping = true
    scheduler.post(process, 0, 'stop', () => {
      void node.stop().then(() => {
        // What was accepted has been answered by now.
        scheduler.post(process, 1, 'exit', () => void (process.alive = false))
      })
    })
  }

  function next(): void {
    if (profile.mishaps.length === 0) return
    scheduler.post(scheduler.nobody, random.next() * 2 * profile.mishapMs, 'mishap', () => {
      if (ended) return
      const mishap = random.pick(profile.mishaps)
      counts[mishap] = (counts[mishap] ?? 0) + 1
      scheduler.note('mishap', mishap)
      acts[mishap]()
      next()
    })
  }
  next()

  return {
    /** From now on nothing goes wrong any more. */
    end(): void {
      ended = true
      faults.full = false
      faults.killAtCommit = undefined
      faults.syncFails = () => false
    },
  }
}
