/** Writers: random work over every declared route, until the run is over. */
import type { Random } from '../random.ts'
import { approvalActs } from './approval-acts.ts'
import { createCalls, LostAnswer } from './calls.ts'
import type { Gate } from './gate.ts'
import { jobActs } from './job-acts.ts'
import { operatorActs } from './operator-acts.ts'
import type { Passes } from './passes.ts'
import { readActs } from './read-acts.ts'
import type { History } from './record.ts'
import { shootActs } from './shoot-acts.ts'
import type { Act, Work } from './work.ts'

interface WriterOptions {
  readonly name: string
  readonly gate: Gate
  readonly token: string
  readonly random: Random
  readonly history: History
  readonly passes: Passes
  readonly serial: () => number
  readonly isOver: () => boolean
}

/** Works until the run is over; a connection that breaks is an answer that never came. How much it did. */
export async function runWriter(options: WriterOptions): Promise<number> {
  const { name, gate, token, random, history, isOver } = options
  const calls = createCalls({ writer: name, history, token, gate, random: random.fork() })
  const state = { sessions: [], photos: [], idle: [], pending: [], claims: [], awaiting: [], exports: [] }
  const work: Work = { ...options, calls, state }
  const acts = [shootActs, jobActs, approvalActs, operatorActs, readActs].flatMap((make) => make(work))
  const draw = createDraw(acts, random)
  let done = 0
  while (!isOver()) {
    if ((await gate.whenUp()) === undefined) break
    try {
      const running = draw().run()
      if (!running) continue
      await running
      done += 1
    } catch (error) {
      if (!(error instanceof LostAnswer)) throw error
    }
  }
  return done
}

/** Draws an act by its weight. */
function createDraw(acts: readonly Act[], random: Random): () => Act {
  const all = acts.flatMap((act) => Array.from({ length: act.weight }, () => act))
  return () => random.pick(all)
}
