/** Every route over 100,000 photos and jobs beside 1,000: two servers in one process, asked in turn; ratios of medians. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startServer } from '../server.ts'
import { fillFolder } from './support/fill.ts'
import { readRoutes, writeRoutes, type Ask } from './support/scale-routes.ts'

const SIZES = [1000, 100_000] as const
const RATIO_MAX = 3
const rounds = Number(process.argv[2] ?? 21)

interface Target {
  readonly ask: Ask
  readonly times: Map<string, number[]>
}

const folders = SIZES.map(() => mkdtempSync(join(tmpdir(), 'lightwire-scale-')))
try {
  for (const [index, size] of SIZES.entries()) await fillFolder(folders[index] ?? '', size)
  await measure()
} finally {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
}

async function measure(): Promise<void> {
  await using parts = new AsyncDisposableStack()
  const targets: Target[] = []
  for (const folder of folders) {
    const server = parts.use(
      await startServer({
        PORT: 0,
        LOG_LEVEL: 'silent',
        AUTH: 'off',
        RATE_REQUESTS: undefined,
        DATA_DIR: folder,
        MAX_BODY_BYTES: 2_097_152,
      }),
    )
    targets.push({ ask: asker(server.url), times: new Map() })
  }
  for (let round = 0; round < rounds; round += 1) {
    for (const { name, run } of readRoutes) {
      for (const target of targets) await timed(target, name, () => run(target.ask, round))
    }
    for (const target of targets)
      await writeRoutes(target.ask, (name, run) => timed(target, name, run), round)
  }
  report(targets)
}

async function timed<T>({ times }: Target, name: string, run: () => Promise<T>): Promise<T> {
  const started = performance.now()
  const value = await run()
  const list = times.get(name) ?? []
  times.set(name, list)
  list.push(performance.now() - started)
  return value
}

function report([small, large]: readonly Target[]): void {
  const rows = [...(small?.times.keys() ?? [])].map((name) => {
    const [few, many] = [median(small?.times.get(name)), median(large?.times.get(name))]
    return { name, few, many, ratio: many / few }
  })
  for (const { name, few, many, ratio } of rows.toSorted((a, b) => b.ratio - a.ratio)) {
    const mark = ratio > RATIO_MAX ? '  <-- over' : ''
    console.log(
      `${ratio.toFixed(2).padStart(6)}  ${few.toFixed(2)} ms → ${many.toFixed(2)} ms  ${name}${mark}`,
    )
  }
  const over = rows.filter(({ ratio }) => ratio > RATIO_MAX)
  process.exitCode = over.length > 0 ? 1 : 0
  console.log(`scale: ${rows.length} requests, ${rounds} rounds, ${over.length} over ${RATIO_MAX} ×`)
}

function median(values: readonly number[] = []): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

function asker(url: string): Ask {
  return async (method, path, body) => {
    const init =
      body === undefined
        ? {}
        : { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }
    const response = await fetch(`${url}${path}`, { method, ...init })
    const answer = (await response.json()) as Record<string, unknown>
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${JSON.stringify(answer)}`)
    return answer
  }
}
