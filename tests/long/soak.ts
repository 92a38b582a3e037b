/** `bun run soak -- --minutes 30 --seed N`: the history checker for as long as one likes; prints seed and counts. */
import { parseArgs } from 'node:util'
import { declaredRoutes } from '../../cli/openapi-text.ts'
import { restless } from '../reliability/planted-delivery.ts'
import { routeName } from '../support/history/calls.ts'
import { runHistory, type RunReport } from '../support/history/run.ts'
import { plant } from '../support/planted.ts'

/** One history holds every frame in memory; a soak is many of them, each with a seed of its own. */
const ROUNDS_PER_RUN = 40

interface SoakOptions {
  readonly minutes: number
  readonly seed: number
}

/** Runs until the time is over or something is violated; the sums over all runs. */
export async function soak({ minutes, seed }: SoakOptions) {
  const end = performance.now() + minutes * 60_000
  const sums = {
    runs: 0,
    kills: 0,
    drains: 0,
    drained: 0,
    operations: 0,
    acknowledged: 0,
    unanswered: 0,
    replays: 0,
    rescued: 0,
    events: 0,
    frames: 0,
    connections: 0,
    reads: 0,
    words: 0,
    revoked: 0,
    conflated: 0,
    lostInTransit: 0,
  }
  const byTransport: Record<string, Record<string, number>> = {}
  const routes = new Map(declaredRoutes().map((route) => [routeName(route), 0]))
  const endings: Record<string, number> = {}
  const faults = { cut: 0, stall: 0, halfOpen: 0 }
  let failed: RunReport | undefined
  using moving = plant(restless)
  for (let own = seed; performance.now() < end && !failed; own += 1) {
    const report = await runHistory({
      seed: own,
      rounds: ROUNDS_PER_RUN,
      writers: 4,
      subscribers: 20,
      acknowledgedPerRound: 60,
      roundMsMax: 5000,
      isOver: () => performance.now() >= end,
      // Clients that the kernel's buffers keep from being slow are moved aside at random in every second run.
      ...(own % 2 === 0 ? { root: moving.root } : {}),
    })
    sums.runs += 1
    for (const name of Object.keys(sums) as (keyof typeof sums)[])
      if (name !== 'runs') sums[name] += report[name]
    for (const transport of ['websocket', 'sse', 'pull', 'poll', 'rights'] as const)
      byTransport[transport] = added(byTransport[transport] ?? {}, report[transport])
    for (const [name, count] of Object.entries(report.routes))
      routes.set(name, (routes.get(name) ?? 0) + count)
    for (const [code, count] of Object.entries(report.endings)) endings[code] = (endings[code] ?? 0) + count
    for (const name of ['cut', 'stall', 'halfOpen'] as const) faults[name] += report.proxyFaults[name]
    if (report.violations.length > 0) failed = report
  }
  return {
    seed,
    minutes,
    ...sums,
    ...byTransport,
    endings,
    faults,
    routes: routes.size,
    // A route that no run reached would show here as 0.
    leastUsed: [...routes].toSorted(([, a], [, b]) => a - b).slice(0, 3),
    violations: failed?.violations ?? [],
    failedSeed: failed?.seed,
  }
}

function added(to: Record<string, number>, counts: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).map(([name, count]) => [name, (to[name] ?? 0) + count]))
}

if (import.meta.main) {
  const { values } = parseArgs({
    args: process.argv.slice(2),
    options: { minutes: { type: 'string', default: '30' }, seed: { type: 'string', default: '1' } },
  })
  const report = await soak({ minutes: Number(values.minutes), seed: Number(values.seed) })
  console.log(JSON.stringify(report))
  process.exit(report.violations.length === 0 ? 0 : 1)
}
