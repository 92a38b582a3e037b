/** The properties as tests run them: how often, from which seed, and in lanes side by side. */
import fc from 'fast-check'
import type { Config } from '../../lib/settings.ts'
import { startTestServer } from '../support/server.ts'
import { concurrentSteps, steps, type StepName } from './commands.ts'
import { runParallel } from './parallel.ts'
import { Command, runSequence } from './sequence.ts'
import type { StartServer } from './world.ts'

/** Runs of the short lane; a longer one hands in more. */
export const RUNS = { sequential: 32, parallel: 16, postgres: 4 } as const
const SEED = 20_261_122
const COMMANDS_MAX = 80
const CLIENTS = 4
/** A sweep of leases comes once a second: while one lane waits for it, the others go on. */
const LANES = 4
/** Spent on a smaller counterexample; what is found by then is told. */
const SHRINK_MS = 30_000

export interface PropertyOptions {
  readonly runs: number
  /** A counterexample names its seed and path: as FC_SEED, FC_PATH and FC_REPLAY_PATH they run it again. */
  readonly seed?: number
  readonly lanes?: number
  readonly start?: StartServer
  readonly config?: () => Promise<Partial<Config>>
  /** Only these steps are drawn. */
  readonly only?: readonly StepName[]
  /** 0 tells the first counterexample as it is. */
  readonly shrinkMs?: number
}

const given = {
  seed: process.env['FC_SEED'],
  path: process.env['FC_PATH'],
  replayPath: process.env['FC_REPLAY_PATH'],
}

/** One command after the other. @throws with seed, path and the smallest sequence found that is not as the model says */
export async function checkSequences(options: PropertyOptions): Promise<void> {
  const { start = startTestServer, config = noConfig, only } = options
  const { replayPath } = given
  const commands = () =>
    fc.commands([steps(only).map((step) => new Command(step))], {
      maxCommands: COMMANDS_MAX,
      size: 'max',
      ...(replayPath === undefined ? {} : { replayPath }),
    })
  await inLanes(
    options,
    async (list: Parameters<typeof runSequence>[0]) => runSequence(list, start, await config()),
    commands,
  )
}

/** Several clients at once. @throws with seed, path and the smallest lists found that do not fit together */
export async function checkClients(options: PropertyOptions): Promise<void> {
  const { start = startTestServer, config = noConfig } = options
  const list = fc.array(steps(concurrentSteps), { minLength: 5, maxLength: COMMANDS_MAX / 2, size: 'max' })
  const lists = fc.array(list, { minLength: CLIENTS - 1, maxLength: CLIENTS })
  await inLanes(
    options,
    async (clients) => runParallel(clients, start, await config()),
    () => lists,
  )
}

const noConfig = () => Promise.resolve({})

async function inLanes<T>(
  { runs, seed = Number(given.seed ?? SEED), lanes = LANES, shrinkMs = SHRINK_MS }: PropertyOptions,
  run: (value: T) => Promise<void>,
  /** A lane's own: an arbitrary of commands remembers what it has shrunk. */
  values: () => fc.Arbitrary<T>,
): Promise<void> {
  const count = given.seed === undefined ? lanes : 1
  const lane = async (number: number) => {
    let enoughMs = Infinity
    const bounded = async (value: T) => {
      // What is not tried any more counts as holding: the last failure stays the one that is told.
      if (performance.now() > enoughMs) return
      await run(value).catch((error: unknown) => {
        enoughMs = Math.min(enoughMs, performance.now() + shrinkMs)
        throw error
      })
    }
    await fc.assert(fc.asyncProperty(fc.noBias(values()), bounded), {
      seed: seed + number,
      numRuns: Math.ceil(runs / count),
      endOnFailure: shrinkMs === 0,
      ...(given.path === undefined ? {} : { path: given.path }),
    })
  }
  const outcomes = await Promise.allSettled(Array.from({ length: count }, (_, number) => lane(number)))
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
}
