/** Virtual time: every macrotask of a run waits in one queue, and the seed says when each comes. */
import { drainMicrotasks } from 'bun:jsc'
import type { Random } from '../support/random.ts'

/** Longest turn that an immediate waits for, in milliseconds. */
const TURN_MS = 0.2
/** How late a timer may fire, as a share of its delay. */
const LATE_SHARE = 0.1
/** What keeps the order of two immediates that come at once. */
const NEXT_MS = 1e-6

/** What tasks belong to: a process, whose tasks die with it, or a client. */
export interface Owner {
  readonly name: string
  alive: boolean
}

export interface Task {
  readonly due: number
  /** Breaks ties, drawn. */
  readonly order: number
  readonly owner: Owner
  readonly label: string
  run: (() => void) | undefined
}

export type Scheduler = ReturnType<typeof createScheduler>

/** @param creepMs time that passes with every look at the clock: the CPU's share of a task */
export function createScheduler(random: Random, { creepMs, trace }: { creepMs: number; trace: boolean }) {
  const heap: Task[] = []
  const afterStep: (() => void)[] = []
  /** Immediates of one process keep their order. */
  const lastImmediate = new WeakMap<Owner, number>()
  const nobody: Owner = { name: 'world', alive: true }
  let nowMs = 0
  let steps = 0
  let hash = 0x811c9dc5
  let current = nobody
  const lines: string[] = []

  function mix(value: number): void {
    hash = Math.imul(hash ^ (value | 0), 0x01000193) >>> 0
  }

  const scheduler = {
    get nowMs() {
      return nowMs
    },
    get steps() {
      return steps
    },
    /** Over all tasks and notes so far: equal hashes, equal runs. */
    get hash() {
      return hash
    },
    /** Whose task runs now. */
    get current() {
      return current
    },
    lines: lines as readonly string[],
    nobody,

    post(owner: Owner, delayMs: number, label: string, run: () => void): Task {
      const task = { due: nowMs + Math.max(0, delayMs), order: random.next(), owner, label, run }
      push(heap, task)
      return task
    },

    /** Called after each task and its microtasks. */
    onStep: (act: () => void) => void afterStep.push(act),

    /** Adds a fact to the hash, and to the trace where one is kept. */
    note(label: string, ...values: readonly (number | string)[]): void {
      for (const value of [label, ...values]) {
        if (typeof value === 'number') mix(Math.round(value * 1000))
        else for (let at = 0; at < value.length; at += 1) mix(value.charCodeAt(at))
      }
      if (trace) lines.push(`${nowMs.toFixed(3).padStart(10)} ${current.name}: ${label} ${values.join(' ')}`)
    },

    /** A line of the trace alone. */
    tell(line: () => string): void {
      if (trace) lines.push(`${nowMs.toFixed(3).padStart(10)} ${current.name}: ${line()}`)
    },

    /** Runs tasks until none is due by `untilMs`, or `enough` says so. */
    run(untilMs: number, enough: () => boolean = () => false): void {
      while (!enough()) {
        const first = heap[0]
        if (!first || first.due > untilMs) break
        const task = pop(heap)
        const { run } = task
        task.run = undefined
        if (!run || !task.owner.alive) continue
        nowMs = Math.max(nowMs, task.due)
        steps += 1
        current = task.owner
        mix(Math.round(nowMs * 1000))
        run()
        drainMicrotasks()
        for (const act of afterStep) act()
        drainMicrotasks()
        current = nobody
      }
      if (!enough()) nowMs = Math.max(nowMs, untilMs)
    },

    /** Puts virtual clocks and timers in the place of the real ones until disposed. */
    install(): Disposable {
      const { setTimeout, clearTimeout, setImmediate } = globalThis
      const now = performance.now.bind(performance)
      const later = (run: (...args: unknown[]) => void, ms = 0) =>
        scheduler.post(current, ms * (1 + random.next() * LATE_SHARE), 'timer', () => run())
      const soon = (run: (...args: unknown[]) => void) => {
        const due = Math.max((lastImmediate.get(current) ?? 0) + NEXT_MS, nowMs + random.next() * TURN_MS)
        lastImmediate.set(current, due)
        return scheduler.post(current, due - nowMs, 'immediate', () => run())
      }
      const cancel = (task: unknown) => {
        // A handle is the task itself; the program only ever hands it back.
        if (task) (task as Task).run = undefined
      }
      Object.assign(globalThis, { setTimeout: later, clearTimeout: cancel, setImmediate: soon })
      performance.now = () => (nowMs += creepMs)
      return {
        [Symbol.dispose]() {
          Object.assign(globalThis, { setTimeout, clearTimeout, setImmediate })
          performance.now = now
        },
      }
    },
  }
  return scheduler
}

function before(a: Task, b: Task): boolean {
  return a.due === b.due ? a.order < b.order : a.due < b.due
}

function push(heap: Task[], task: Task): void {
  let at = heap.push(task) - 1
  while (at > 0) {
    const parent = (at - 1) >> 1
    const above = heap[parent]
    if (!above || before(above, task)) break
    heap[at] = above
    at = parent
  }
  heap[at] = task
}

function pop(heap: Task[]): Task {
  const first = heap[0]
  const last = heap.pop()
  if (!first || !last) throw new Error('no task waits')
  if (heap.length === 0) return first
  let at = 0
  for (;;) {
    let child = 2 * at + 1
    let below = heap[child]
    if (!below) break
    const other = heap[child + 1]
    if (other && before(other, below)) {
      child += 1
      below = other
    }
    if (before(last, below)) break
    heap[at] = below
    at = child
  }
  heap[at] = last
  return first
}
