/** The floods of tests/reliability/flood.test.ts at several times their size, and slowhttptest's own where it is there. */
import { startProcess, tokenOf } from '../support/process.ts'
import { temporaryFolder } from '../support/server.ts'
import { tools } from '../support/tools.ts'
import {
  deflateBombs,
  fragments,
  pings,
  residentMiB,
  slowClaims,
  slowConnections,
  startHealthy,
  type Target,
} from '../reliability/flood.ts'

const SLOWEST_MS_MAX = 5000
const GROWTH_MIB_MAX = 200
const SLOW_SECONDS = 30

interface Flood {
  readonly name: string
  readonly holds: boolean
  readonly seconds: number
  readonly slowestMs: number
  readonly growthMiB: number
  readonly statuses: Readonly<Record<string, number>>
}

/** Each flood beside a client that has to be served: answered with 200 only, every event once, in bounded memory. */
export async function runFloods(): Promise<Flood[]> {
  using folder = temporaryFolder()
  const server = await startProcess({ folder: folder.path, env: { RATE_MESSAGES: '100/60s' } })
  const target = { url: server.url, pid: server.pid, token: await tokenOf(folder.path) }
  const floods: Flood[] = []
  const run = async (
    name: string,
    flood: (target: Target) => Promise<unknown>,
    slowestMsMax = SLOWEST_MS_MAX,
  ) => {
    const before = await residentMiB(target.pid)
    const healthy = await startHealthy(target)
    const began = performance.now()
    await flood(target)
    const { statuses, gaps, events, changes, slowestMs, mostMiB } = await healthy.stop()
    const growthMiB = mostMiB - before
    const served = Object.keys(statuses).join() === '200' && gaps.length === 0 && events === changes
    const holds = served && slowestMs < slowestMsMax && growthMiB < GROWTH_MIB_MAX
    const seconds = Math.round((performance.now() - began) / 1000)
    floods.push({
      name,
      holds,
      seconds,
      slowestMs: Math.round(slowestMs),
      growthMiB: Math.round(growthMiB),
      statuses,
    })
  }
  try {
    await run('2000 slow connections', (to) => slowConnections(to, 2000))
    await run('500 half bodies of claims', (to) => slowClaims(to, 500))
    await run('10 × a million empty fragments', (to) =>
      Promise.all(Array.from({ length: 10 }, () => fragments(to, 1_000_000, Buffer.alloc(0)))),
    )
    await run('10 × 300,000 pings', (to) => Promise.all(Array.from({ length: 10 }, () => pings(to, 300_000))))
    await run('1000 deflate bombs', (to) => deflateBombs(to, 1000))
    const { slowhttptest } = tools
    for (const [kind, words] of slowhttptest === undefined ? [] : slowKinds) {
      await run(
        `slowhttptest, ${kind}`,
        (to) => attack(String(slowhttptest), words, to),
        kind === 'readers' ? Infinity : undefined,
      )
    }
  } finally {
    await server.kill()
  }
  return floods
}

/** Slow headers, slow bodies, and readers that take their answer by the byte. */
const slowKinds: readonly (readonly [string, readonly string[]])[] = [
  ['headers', ['-H', '-t', 'GET']],
  ['bodies', ['-B', '-t', 'POST']],
  // What the kernel holds for slow readers is memory that all of the machine's TCP shares (tcp_mem). Under pressure it makes
  // every connection wait, whoever its server is, so this one is held to what is served and not to how soon.
  ['readers', ['-X', '-c', '300', '-w', '10', '-y', '20', '-z', '5']],
]

async function attack(program: string, words: readonly string[], { url }: Target): Promise<void> {
  const path = words.includes('-X') ? '/docs' : '/api/sessions'
  const common = [
    '-c',
    '1000',
    '-r',
    '500',
    '-i',
    '2',
    '-p',
    '3',
    '-l',
    String(SLOW_SECONDS),
    '-u',
    `${url}${path}`,
  ]
  const child = Bun.spawn([program, ...words, ...common], {
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'ignore',
  })
  await child.exited
}

if (import.meta.main) for (const flood of await runFloods()) console.log(JSON.stringify(flood))
