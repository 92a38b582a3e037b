/** Each client behind a proxy that cuts at random, until it did some times; `npm run test:long` takes ten minutes for it. */
import { expect, setDefaultTimeout } from 'bun:test'
import { needs } from '../support/needs.ts'
import { runCutting, type CuttingReport } from './cutting.ts'
import { players } from './players.ts'

setDefaultTimeout(120_000)

const SEED = 20_261
const FAULTS = 4
const all = Object.values(players)

/** All at once, for most of the time each waits. */
const runs: Promise<CuttingReport>[] = []
function start(): void {
  if (runs.length > 0) return
  for (const player of all) {
    const run = runCutting(player, { seed: SEED, ms: 60_000, faultsMax: FAULTS, halfOpens: false })
    // Each test looks at its own.
    run.catch(() => undefined)
    runs.push(run)
  }
}

for (const [index, { name, needs: tools }] of all.entries()) {
  needs(...tools)(`${name} misses and repeats nothing on a line that is cut at random`, async () => {
    start()
    const report = await runs[index]

    console.log(JSON.stringify(report))
    expect(report?.violations).toEqual([])
    expect((report?.cut ?? 0) + (report?.stall ?? 0)).toBeGreaterThanOrEqual(FAULTS)
    expect(report?.published).toBeGreaterThan(0)
  })
}
