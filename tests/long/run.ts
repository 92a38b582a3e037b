/** `npm run test:long -- --minutes 30 --seed N`: soak, model, crowd; one line per part, exit 1 when one does not hold. */
import { parseArgs } from 'node:util'
import { checkClients, checkSequences } from '../domain/properties.ts'
import { runSlowConsumers } from './slow-consumers.ts'
import { soak } from './soak.ts'

/** What 200 stalled clients of 1000 may cost a server at default settings. */
const STALLED_MIB_MAX = 64

const { values } = parseArgs({
  args: process.argv.slice(2),
  options: { minutes: { type: 'string', default: '10' }, seed: { type: 'string', default: '1' } },
})

const kills = await soak({ minutes: Number(values.minutes), seed: Number(values.seed) })
console.log(`soak ${JSON.stringify(kills)}`)

const model = {
  seed: Number(values.seed),
  sequential: 60 * Number(values.minutes),
  parallel: 30 * Number(values.minutes),
}
// A counterexample is thrown, with what runs it again.
await checkSequences({ runs: model.sequential, seed: model.seed })
await checkClients({ runs: model.parallel, seed: model.seed })
console.log(`model ${JSON.stringify(model)}`)

const crowd = await runSlowConsumers({
  subscribers: 1000,
  stalled: 200,
  seconds: 30,
  rate: 40,
  eventBytes: 4000,
})
console.log(`slow consumers ${JSON.stringify(crowd)}`)

const { rssMiB, dropped, bugs, moves, faults } = crowd
const crowdHolds =
  rssMiB.peak - rssMiB.base <= STALLED_MIB_MAX &&
  dropped + bugs + faults.length === 0 &&
  moves > 0 &&
  crowd.convergedMs < Infinity
process.exit(kills.violations.length === 0 && crowdHolds ? 0 : 1)
