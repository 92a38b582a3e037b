/** The deterministic simulation: hundreds of seeds through kills, power cuts, full disks and bad links, each of which replays. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { runLanes, runSeeds } from './lane.ts'

// A busy machine takes many times as long as a quiet one.
setDefaultTimeout(900_000)

const SEEDS = 500

test('in 500 seeds of every interleaving that was drawn no promise is broken, and all converge', async () => {
  const from = Number(process.env['SEED'] ?? 1)
  const { sums, found } = await runLanes({ from, count: SEEDS, lanes: 2 })

  console.log(JSON.stringify(sums))
  expect(found).toBeUndefined()
  expect(sums.seeds).toBe(SEEDS)
  // Nothing is proved by what did not happen.
  for (const what of [
    'committed',
    'refused',
    'lost',
    'events',
    'pongs',
    'recovered',
    'snapshots',
    'moves',
    'overtaken',
  ])
    expect(sums[what] ?? 0, what).toBeGreaterThan(0)
  for (const mishap of [
    'kill',
    'kill at commit',
    'power cut',
    'restore',
    'stop',
    'sync fails',
    'full',
    'cut',
    'half-open',
    'stall',
  ])
    expect(sums[mishap] ?? 0, mishap).toBeGreaterThan(0)
})

test('the same seeds run the same way, step by step', async () => {
  const [one, other] = await Promise.all([runSeeds({ from: 1, count: 40 }), runSeeds({ from: 1, count: 40 })])

  expect(one.sums.digest).toBe(other.sums.digest)
  expect({ ...one.sums, seconds: 0 }).toEqual({ ...other.sums, seconds: 0 })
})
