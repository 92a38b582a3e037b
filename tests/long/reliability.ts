/** RELIABILITY.md: each promise with the tests that hold it and what the last long run counted for it. */
import { cpus, release, totalmem } from 'node:os'

export const partNames = [
  'soak',
  'planted faults',
  'model',
  'simulation',
  'fault sweep',
  'power cuts',
  'slow consumers',
  'floods',
  'mutations',
  'clients',
] as const
export type PartName = (typeof partNames)[number]

interface Promised {
  readonly promise: string
  /** Files that hold it, from the project's root. */
  readonly tests: readonly string[]
  /** Where the long run counts it, and which of its counts. */
  readonly counted?: Readonly<Partial<Record<PartName, readonly string[]>>>
}

const history = ['tests/reliability/kill.test.ts', 'tests/long/soak.ts']

export const promises: readonly Promised[] = [
  {
    promise: 'An acknowledged change is never lost: not by kill -9, not by a restart, not by a drain.',
    tests: [...history, 'tests/reliability/drain.test.ts', 'tests/simulation/simulation.test.ts'],
    counted: {
      soak: ['kills', 'drains', 'acknowledged', 'unanswered'],
      simulation: ['seeds', 'crashes', 'acknowledged'],
    },
  },
  {
    promise: 'Nothing that was acknowledged is lost when the power goes.',
    tests: ['tests/faults/power-cut.test.ts', 'tests/simulation/simulation.test.ts'],
    counted: { simulation: ['powerCuts'], 'power cuts': ['cycles', 'acknowledged', 'published', 'faults'] },
  },
  {
    promise:
      'Every subscriber gets every event of its channels once, in order and without a gap: on a socket in each framing, with filters, batches and conflation, over server-sent events, long-poll and pull.',
    tests: [
      ...history,
      'tests/realtime/resume.test.ts',
      'tests/realtime/filters.test.ts',
      'tests/realtime/batching.test.ts',
      'tests/transport',
    ],
    counted: {
      soak: ['connections', 'frames', 'websocket', 'sse', 'pull', 'faults'],
      simulation: ['events', 'steps'],
    },
  },
  {
    promise: 'A polling session gets each message at most once, in order.',
    tests: ['tests/transport/polling.test.ts', 'tests/walkthrough/lua.test.ts', ...history],
    counted: { soak: ['poll'] },
  },
  {
    promise: 'A cursor of a history that is gone is never told that it recovered.',
    tests: [
      'tests/faults/lineage.test.ts',
      'tests/faults/bit-flips.test.ts',
      'tests/simulation/simulation.test.ts',
    ],
    counted: { simulation: ['restores'] },
  },
  {
    promise: 'A write that is repeated with its key has one effect and one answer.',
    tests: ['tests/http/idempotency.test.ts', 'tests/reliability/idempotency.test.ts', ...history],
    counted: { soak: ['replays'] },
  },
  {
    promise:
      'State and stream never disagree: what a read answers at a cursor is what the events up to it make.',
    tests: [...history, 'tests/domain/model.test.ts'],
    counted: { soak: ['reads', 'routes'], model: ['sequential', 'parallel'] },
  },
  {
    promise: 'A slow client loses nothing, costs bounded memory, and holds up nobody.',
    tests: ['tests/realtime/slow-consumers.test.ts', 'tests/long/slow-consumers.ts'],
    counted: { 'slow consumers': ['moves', 'sweeps', 'dropped', 'rssMiB'] },
  },
  {
    promise:
      'A client beside floods of slow connections, fragments, pings and deflate bombs is served throughout, in bounded memory.',
    tests: ['tests/reliability/flood.test.ts', 'tests/long/floods.ts'],
    counted: { floods: ['attacks', 'slowestMs', 'growthMiB'] },
  },
  {
    promise: 'Whatever a client sends, the server goes on, and every framing answers the same value alike.',
    tests: ['tests/realtime/hostile-frames.test.ts', 'tests/realtime/mutations.test.ts'],
    counted: { mutations: ['values', 'bytes', 'bugs'] },
  },
  {
    promise:
      'Each client library hands every event of its channels to the application once and in order, and publishes once, over a line that is cut, stalled and half-opened at random.',
    tests: ['tests/clients/scenarios.ts', 'tests/clients/cutting.test.ts'],
    counted: { clients: ['events', 'published', 'cut', 'stall', 'halfOpen', 'violations'] },
  },
  {
    promise: 'A job is held by one worker at a time; a lease that runs out frees it.',
    tests: ['tests/http/shoot.test.ts', 'tests/domain/model.test.ts', 'tests/simulation/simulation.test.ts'],
    counted: { simulation: ['leases'] },
  },
  {
    promise:
      'A stop sends every client away evenly, finishes what it accepted, and ends within its deadline.',
    tests: ['tests/reliability/drain.test.ts', 'tests/realtime/departure.test.ts'],
    counted: { soak: ['drains'] },
  },
  {
    promise:
      'A disk that is full, fails or refuses loses nothing acknowledged: 503, or an end with an exit code, within five seconds.',
    tests: ['tests/faults'],
    counted: { 'fault sweep': ['runs', 'injected', 'acknowledged', 'refused', 'ended', 'lost', 'hangs'] },
  },
  {
    promise: 'Damage to the stored journal is found by verify.',
    tests: ['tests/faults/bit-flips.test.ts', 'tests/cli/verify.test.ts'],
  },
]

/** What nobody should take for tested. */
const untested = [
  'Operating systems other than Linux, processors other than x64, file systems other than the one of these runs and tmpfs; network file systems.',
  'Power cuts of real disks: they are simulated by forgetting what was not synced.',
  'Several nodes under kill and partition beyond the simulated bus; Redis; a failover of Postgres.',
  'Networks that reorder, delay or lose packets below TCP; TLS.',
  'Runs longer than these, and more clients than they say.',
]

/** What a part reported when it last ran. */
export interface PartOutcome {
  readonly held: boolean
  /** `2026-11-24` */
  readonly date: string
  readonly version: string
  readonly report: Readonly<Record<string, unknown>>
}

export type Outcomes = ReadonlyMap<PartName, PartOutcome>

const ROW = /^\| ([a-z ]+) \| (held|\*\*did not hold\*\*) · (\d{4}-\d\d-\d\d) · version (\S+) · `(.*)` \|$/gm

/** The outcomes that the document has: a run of some parts leaves the others as they were. */
export function readOutcomes(text: string): Map<PartName, PartOutcome> {
  const rows = [...text.matchAll(ROW)].flatMap(([, name, held, date = '', version = '', json = '']) => {
    const part = partNames.find((known) => known === name)
    const report = JSON.parse(json) as PartOutcome['report']
    return part ? [[part, { held: held === 'held', date, version, report }] as const] : []
  })
  return new Map(rows)
}

export function reliabilityText(outcomes: Outcomes, bun: string): string {
  const machine = `Linux ${release().split('-')[0]}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB`
  const rows = promises.map(
    ({ promise, tests, counted = {} }) =>
      `| ${promise} | ${tests.map((path) => `\`${path}\``).join(' ')} | ${evidence(counted, outcomes)} |`,
  )
  return [
    '# Reliability',
    '',
    'What Lightwire promises, which tests hold it, and what the last long run counted for it. Written by `npm run test:long`;',
    'the short lane, `npm test`, runs every test named here but those of `tests/long`.',
    '',
    `Bun ${bun} · ${machine}`,
    '',
    '| promise | tests | counted |',
    '| --- | --- | --- |',
    ...rows,
    '',
    '## The parts of the long run',
    '',
    'Each with the date and version of its last run and what it reported; a part that fails prints the seed that replays it.',
    '',
    '| part | outcome |',
    '| --- | --- |',
    ...partNames.map((name) => `| ${name} | ${told(outcomes.get(name))} |`),
    '',
    '## Not tested',
    '',
    ...untested.map((line) => `- ${line}`),
    '',
  ].join('\n')
}

function evidence(counted: NonNullable<Promised['counted']>, outcomes: Outcomes): string {
  const texts = partNames.flatMap((name) => {
    const fields = counted[name]
    if (!fields) return []
    const report = outcomes.get(name)?.report
    if (!report) return [`${name}: not run yet`]
    const counts = fields.flatMap((field) =>
      field in report ? [`${words(field)} ${shown(report[field])}`] : [],
    )
    return [`${name}: ${counts.join(', ')}`]
  })
  return texts.length > 0 ? texts.join(' · ') : 'short lane only'
}

function told(outcome: PartOutcome | undefined): string {
  if (!outcome) return 'not run yet'
  const { held, date, version, report } = outcome
  const json = JSON.stringify(report).replaceAll('|', '/')
  return `${held ? 'held' : '**did not hold**'} · ${date} · version ${version} · \`${json}\``
}

/** `powerCuts` as "power cuts", `growthMiB` as "growth MiB". */
function words(field: string): string {
  return field.replaceAll(/MiB|[A-Z]/g, (part) => ` ${part === 'MiB' ? part : part.toLowerCase()}`)
}

function shown(value: unknown): string {
  if (typeof value === 'number') return Math.round(value).toLocaleString('en-US')
  if (typeof value !== 'object' || value === null) return String(value)
  return Object.entries(value)
    .map(([name, part]) => `${words(name)} ${shown(part)}`)
    .join(' / ')
}
