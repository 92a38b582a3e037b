/** Each of the first system calls on the database's files fails once, under load and during a start. */
import { kinds, sweepRunning, sweepStarts, type SweepCounts } from '../faults/sweep.ts'
import { tools } from '../support/tools.ts'

interface FaultSweepOptions {
  /** Calls of each kind that fail, one after the other. */
  readonly upTo: number
  readonly seed: number
}

/** @throws where strace is missing */
export async function sweepFaults({ upTo, seed }: FaultSweepOptions): Promise<SweepCounts> {
  const { strace } = tools
  if (strace === undefined) throw new Error('strace is missing, or may not trace here')
  const numbers = Array.from({ length: upTo }, (_, index) => index + 1)
  const all = await Promise.all([
    sweepRunning(strace, Object.keys(kinds), numbers, seed),
    sweepStarts(strace, Object.keys(kinds), numbers),
  ])
  const sum = (of: (counts: SweepCounts) => number) => all.reduce((total, counts) => total + of(counts), 0)
  return {
    runs: sum(({ runs }) => runs),
    hits: sum(({ hits }) => hits),
    acknowledged: sum(({ acknowledged }) => acknowledged),
    refused: sum(({ refused }) => refused),
    ended: sum(({ ended }) => ended),
    faults: all.flatMap(({ faults }) => faults),
  }
}

if (import.meta.main) {
  const [upTo = '100', seed = '1'] = process.argv.slice(2)
  const counts = await sweepFaults({ upTo: Number(upTo), seed: Number(seed) })
  console.log(`fault sweep ${JSON.stringify(counts)}`)
  process.exit(counts.faults.length === 0 ? 0 : 1)
}
