/** `npm run test:long -- --minutes 30 --seed N [--only soak,model]`: one line per part, RELIABILITY.md, exit 1 when one does not hold. */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { version } from '../../package.json' with { type: 'json' }
import { runCutting } from '../clients/cutting.ts'
import { players } from '../clients/players.ts'
import { checkClients, checkSequences } from '../domain/properties.ts'
import { checkMutations } from '../realtime/mutations.ts'
import { reportOf, runLanes } from '../simulation/lane.ts'
import { projectRoot } from '../support/process.ts'
import { startTestServer } from '../support/server.ts'
import { sweepFaults } from './fault-sweep.ts'
import { runFloods } from './floods.ts'
import { partNames, readOutcomes, reliabilityText, type PartName } from './reliability.ts'
import { runSlowConsumers } from './slow-consumers.ts'
import { soak } from './soak.ts'

/** What 200 stalled clients of 1000 may cost a server at default settings. */
const STALLED_MIB_MAX = 64
/** Of the simulation. */
const SEEDS = 10_000

/** What the runs of clients add up. */
const countedFields = ['events', 'published', 'cut', 'stall', 'halfOpen'] as const
type CountedField = (typeof countedFields)[number]

const { values } = parseArgs({
  args: process.argv.slice(2),
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string', default: partNames.join(',') },
  },
})
const [minutes, seed] = [Number(values.minutes), Number(values.seed)]
const wanted = values.only.split(',')
const unknown = wanted.filter((name) => !partNames.includes(name as PartName))
if (unknown.length > 0)
  throw new Error(`there is no part ${unknown.join(', ')}; there are ${partNames.join(', ')}`)

interface Outcome {
  readonly report: Readonly<Record<string, unknown>>
  readonly holds: boolean
}

const parts: Readonly<Partial<Record<PartName, () => Promise<Outcome>>>> = {
  async soak() {
    const report = await soak({ minutes, seed })
    return { report, holds: report.violations.length === 0 }
  },
  async model() {
    const report = { seed, sequential: 60 * minutes, parallel: 30 * minutes }
    // A counterexample is thrown, with what runs it again.
    await checkSequences({ runs: report.sequential, seed })
    await checkClients({ runs: report.parallel, seed })
    return { report, holds: true }
  },
  async simulation() {
    // Every run has seeds of its own: the short lane has the first.
    const lane = await runLanes({ from: seed * 1_000_000, count: SEEDS, lanes: 2 })
    return { report: reportOf(lane), holds: lane.sums.violations === 0 }
  },
  async 'planted faults'() {
    const { passed, failed, holds } = await runTests([
      'tests/reliability/planted.test.ts',
      'tests/simulation/planted.test.ts',
      'tests/clients/planted.test.ts',
    ])
    return { report: { passed, failed }, holds: holds && passed > 55 }
  },
  async 'fault sweep'() {
    const { hits: injected, faults, ...report } = await sweepFaults({ upTo: 100, seed })
    for (const fault of faults) console.error(`fault sweep: ${fault}`)
    const lost = faults.filter((fault) => fault.includes('lost')).length
    const hangs = faults.filter((fault) => /took|not answered/.test(fault)).length
    return {
      report: {
        ...report,
        injected,
        lost,
        hangs,
        faults: faults.slice(0, 5).map((fault) => fault.split(/[:\n]/)[0]),
      },
      holds: faults.length === 0,
    }
  },
  async 'power cuts'() {
    const { said, failed, holds } = await runTests(['tests/faults/power-cut.test.ts'])
    const lineages = [...said.matchAll(/^power cuts: (.*)$/gm)].map(
      ([, json = '']) =>
        JSON.parse(json) as Record<'cycles' | 'acknowledged' | 'published' | 'faults', number>,
    )
    const sum = (field: keyof (typeof lineages)[number]) =>
      lineages.reduce((total, lineage) => total + lineage[field], 0)
    const counts = { cycles: sum('cycles'), acknowledged: sum('acknowledged'), published: sum('published') }
    return { report: { seed, lineages: lineages.length, ...counts, faults: sum('faults'), failed }, holds }
  },
  async 'slow consumers'() {
    const crowd = { subscribers: 1000, stalled: 200, seconds: 30, rate: 40, eventBytes: 4000 }
    const { faults, ...report } = await runSlowConsumers(crowd)
    const { rssMiB, dropped, bugs, moves, convergedMs } = report
    const sound = dropped + bugs + faults.length === 0 && moves > 0 && convergedMs < Infinity
    return {
      report: { ...crowd, ...report, faults: faults.slice(0, 5) },
      holds: sound && rssMiB.peak - rssMiB.base <= STALLED_MIB_MAX,
    }
  },
  async floods() {
    const floods = await runFloods()
    const most = (field: 'slowestMs' | 'growthMiB') => Math.max(...floods.map((flood) => flood[field]))
    const failed = floods.filter(({ holds }) => !holds)
    const report = { attacks: floods.length, slowestMs: most('slowestMs'), growthMiB: most('growthMiB') }
    return { report: { ...report, failed }, holds: failed.length === 0 }
  },
  async mutations() {
    await using server = await startTestServer({ DURABILITY: 'normal' })
    const { faults, ...report } = await checkMutations(server, { seed, perFraming: 100_000 })
    return {
      report: { seed, ...report, faults: faults.slice(0, 5) },
      holds: faults.length === 0 && report.bugs === 0,
    }
  },
  async clients() {
    const options = { seed, ms: minutes * 60_000, halfOpens: true }
    const runs = await Promise.all(Object.values(players).map((player) => runCutting(player, options)))
    const sum = (field: CountedField) => runs.reduce((total, run) => total + run[field], 0)
    const violations = runs.flatMap((run) => run.violations.map((text) => `${run.client}: ${text}`))
    for (const violation of violations) console.error(violation)
    const counted = countedFields.map((field) => [field, sum(field)] as const)
    const report = {
      seed,
      minutes,
      clients: runs.map(({ client }) => client),
      ...Object.fromEntries(counted),
    }
    return { report: { ...report, violations: violations.length }, holds: violations.length === 0 }
  },
}

/** Test files as the long lane runs them, from the seeds of this run on. */
async function runTests(files: readonly string[]) {
  const child = Bun.spawn([process.execPath, 'test', ...files.map((file) => join(projectRoot, file))], {
    env: { ...process.env, LANE: 'long', SEED: String(seed * 1000) },
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const [said, output] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ])
  process.stdout.write(said)
  const count = (what: string) => Number(new RegExp(`^ *(\\d+) ${what}$`, 'm').exec(output)?.[1] ?? 0)
  for (const [line] of output.matchAll(/^\(fail\) .*$/gm)) console.error(line)
  return { said, passed: count('pass'), failed: count('fail'), holds: (await child.exited) === 0 }
}

const path = join(projectRoot, 'RELIABILITY.md')
let failed = false
for (const name of partNames) {
  if (!wanted.includes(name)) continue
  const { report, holds } = (await parts[name]?.()) ?? { report: {}, holds: false }
  console.log(`${name} ${JSON.stringify(report)}${holds ? '' : ' DOES NOT HOLD'}`)
  // Read anew: parts may run beside one another.
  const file = Bun.file(path)
  const outcomes = readOutcomes((await file.exists()) ? await file.text() : '')
  outcomes.set(name, { held: holds, date: new Date().toISOString().slice(0, 10), version, report })
  failed ||= !holds
  await Bun.write(path, reliabilityText(outcomes, Bun.version))
}
process.exit(failed ? 1 : 0)
