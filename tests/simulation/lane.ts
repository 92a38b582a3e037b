/** Runs seeds in a process of their own, whose clocks and timers are virtual. */
import { join } from 'node:path'
import { projectRoot } from '../support/process.ts'

/** The last line of a run: what it has seen, summed over its seeds. */
export interface Sums {
  readonly seeds: number
  /** Over the traces of all seeds. */
  readonly digest: number
  readonly violations: number
  readonly seconds: number
  readonly [what: string]: number
}

export interface Found {
  readonly seed: number
  readonly step: number
  readonly violation: string
}

export interface Lane {
  readonly sums: Sums
  readonly found: Found | undefined
}

/** Runs `count` seeds, or up to the first that breaks a promise. */
export async function runSeeds({
  from,
  count,
  root = projectRoot,
}: {
  from: number
  count: number
  root?: string
}): Promise<Lane> {
  const child = Bun.spawn(
    [
      process.execPath,
      'run',
      join(root, 'tests/simulation/run.ts'),
      '--from',
      String(from),
      '--count',
      String(count),
    ],
    { cwd: root, stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' },
  )
  const [text, errors, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ])
  const lines = text.trim().split('\n')
  const last = lines.at(-1)
  if (code > 1 || last === undefined || !last.startsWith('{'))
    throw new Error(`the simulation ended with ${code}: ${errors}${text}`)
  const sums = JSON.parse(last) as Sums
  const found = sums.violations > 0 ? (JSON.parse(lines.at(-2) ?? '{}') as Found) : undefined
  return { sums, found }
}

/** The same over several processes at once. */
export async function runLanes({
  from,
  count,
  lanes,
}: {
  from: number
  count: number
  lanes: number
}): Promise<Lane> {
  const share = Math.ceil(count / lanes)
  const all = await Promise.all(
    Array.from({ length: lanes }, (_, lane) =>
      runSeeds({ from: from + lane * share, count: Math.min(share, count - lane * share) }),
    ),
  )
  const sums: Record<string, number> = {}
  for (const lane of all)
    for (const [what, value] of Object.entries(lane.sums)) sums[what] = (sums[what] ?? 0) + value
  // Seconds of one process after the other; all that is in it are numbers.
  return { sums: sums as Sums, found: all.find(({ found }) => found)?.found }
}

/** What the long run reports of it. */
export function reportOf({ sums, found }: Lane): Readonly<Record<string, unknown>> {
  const of = (name: string) => sums[name] ?? 0
  return {
    seeds: sums.seeds,
    steps: of('steps'),
    crashes: of('deaths') - of('stop'),
    powerCuts: of('power cut'),
    restores: of('restore'),
    failedSyncs: of('sync fails'),
    fullDisks: of('full'),
    drains: of('stop'),
    brokenLinks: of('cut') + of('half-open') + of('stall'),
    acknowledged: of('committed'),
    events: of('events'),
    batches: of('batches'),
    pongs: of('pongs'),
    recovered: of('recovered'),
    leases: of('leases'),
    leasesExpired: of('leasesExpired'),
    ...(found ? { found } : {}),
  }
}
