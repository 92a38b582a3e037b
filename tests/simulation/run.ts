/** `bun run tests/simulation/run.ts --from 1 --count 500`, or `--seed 7 --trace`: one JSON line, exit 1 at a violation. */
import { mock } from 'bun:test'
import * as crypto from 'node:crypto'
import { parseArgs } from 'node:util'
import { createRandom } from '../support/random.ts'

const { values } = parseArgs({
  args: process.argv.slice(2),
  options: {
    from: { type: 'string', default: '1' },
    count: { type: 'string', default: '500' },
    seed: { type: 'string' },
    trace: { type: 'boolean', default: false },
  },
})

// Ids too come from the seed: the length of a compressed frame depends on them.
const ids = { random: createRandom(0) }
const randomBytes = (size: number) => Buffer.from(Array.from({ length: size }, () => ids.random.int(0, 255)))
await mock.module('node:crypto', () => ({ ...crypto, randomBytes }))
const { runSeed } = await import('./world.ts')
const { migratedImage } = await import('./image.ts')

const unhandled: unknown[] = []
process.on('unhandledRejection', (error) => unhandled.push(error))

const image = await migratedImage()
const from = Number(values.seed ?? values.from)
const count = values.seed === undefined ? Number(values.count) : 1
const started = performance.now()
const sums: Record<string, number> = {}
let violations = 0
let digest = 0
let seeds = 0
for (let seed = from; seed < from + count && violations === 0; seed += 1) {
  ids.random = createRandom(seed ^ 0x5eed)
  const report = runSeed(seed, image, { trace: values.trace })
  seeds += 1
  digest = (Math.imul(digest, 31) + report.hash) >>> 0
  // What was rejected and not looked at shows only after a turn of the real loop.
  await new Promise((resolve) => setImmediate(resolve))
  const stray = unhandled.splice(0).find((error) => !(error instanceof Error && error.name === 'Killed'))
  const violation = report.violation ?? (stray === undefined ? undefined : `unhandled: ${String(stray)}`)
  for (const line of report.trace) console.log(line)
  for (const [name, value] of Object.entries({ ...report.counts, steps: report.step }))
    sums[name] = (sums[name] ?? 0) + value
  if (values.seed !== undefined)
    console.log(JSON.stringify({ seed, hash: report.hash, virtualMs: Math.round(report.virtualMs) }))
  if (violation === undefined) continue
  violations += 1
  console.log(
    JSON.stringify({ seed, step: report.step, hash: report.hash, virtualMs: report.virtualMs, violation }),
  )
}
console.log(
  JSON.stringify({
    seeds,
    digest,
    violations,
    seconds: Math.round((performance.now() - started) / 100) / 10,
    ...sums,
  }),
)
process.exit(violations === 0 ? 0 : 1)
