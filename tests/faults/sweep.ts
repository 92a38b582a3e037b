/** One system call after the other fails on the database's files, with real clients: what each answer promised must hold. */
import { join } from 'node:path'
import { verify } from '../../cli/verify.ts'
import { configWith } from '../../lib/config.ts'
import { startProcess } from '../support/process.ts'
import { temporaryFolder } from '../support/server.ts'
import { serveFolder, type Served } from './served.ts'
import { inject, tracing } from './strace.ts'

/** No request and no exit may take longer. */
const HANG_MS = 5000
/** Of a start that took longer. */
const TRIES = 3
/** Writes while a fault waits for its call. */
const WRITES_MAX = 150
const LONG_PATH = 600

const files = ['lightwire.db', 'lightwire.db-wal', 'lightwire.db-shm'] as const

interface Kind {
  readonly calls: string
  readonly error: string
  readonly files: readonly (typeof files)[number][]
}

const disk = ['lightwire.db', 'lightwire.db-wal'] as const

/** Sockets are written with other calls or have other paths. */
export const kinds: Readonly<Record<string, Kind>> = {
  'sync EIO': { calls: 'fdatasync,fsync', error: 'EIO', files: disk },
  'write ENOSPC': { calls: 'pwrite64,write,ftruncate', error: 'ENOSPC', files: disk },
  'write EIO': { calls: 'pwrite64,write,ftruncate', error: 'EIO', files: disk },
  'read EIO': { calls: 'pread64,read', error: 'EIO', files: disk },
  'open EMFILE': { calls: 'openat', error: 'EMFILE', files },
  'open EACCES': { calls: 'openat', error: 'EACCES', files },
}

export interface SweepCounts {
  runs: number
  /** Calls that were made to fail. */
  hits: number
  acknowledged: number
  refused: number
  /** Times that the server ended itself. */
  ended: number
  readonly faults: string[]
}

/** Each number of each kind against a running server; at the end everything acknowledged has to be there. */
export async function sweepRunning(
  strace: string,
  names: readonly string[],
  numbers: readonly number[],
  seed = 1,
): Promise<SweepCounts> {
  const counts: SweepCounts = { runs: 0, hits: 0, acknowledged: 0, refused: 0, ended: 0, faults: [] }
  for (const name of names) {
    const kind = kinds[name]
    if (!kind) throw new Error(`there is no kind ${name}`)
    await using served = await serveFolder({ seed })
    await served.write(({ acknowledged }) => acknowledged < 20)
    for (const number of numbers) {
      const faults = await runOne(strace, served, kind, number, counts)
      counts.faults.push(...faults.map((fault) => `${name} at call ${number}: ${fault}`))
    }
    await served.server.kill()
    await served.follower.gone()
    const recovery = await served.restart()
    if (recovery.join() !== 'recovered')
      counts.faults.push(`${name}: the follower was told ${recovery.join()}`)
    await served.server.kill()
    await served.follower.gone()
    const lines: string[] = []
    if (!(await verify(configWith({ DATA_DIR: served.folder }), [], (line) => lines.push(line)))) {
      counts.faults.push(
        ...lines.filter((line) => line.startsWith('  FAILED')).map((line) => `${name}: ${line}`),
      )
    }
    counts.faults.push(...served.faults().map((fault) => `${name}: ${fault}`))
    counts.acknowledged += served.promised.acknowledged
    counts.refused += served.promised.refused.length
  }
  return counts
}

async function runOne(
  strace: string,
  served: Served,
  { calls, error, files: names }: Kind,
  number: number,
  counts: SweepCounts,
): Promise<string[]> {
  const { server } = served
  const paths = names.map((name) => join(served.folder, name))
  await using fault = await inject(strace, server.pid, { calls, error, when: String(number), paths })
  const wrong: string[] = []
  let slowest = 0
  const told = await served.write(
    ({ acknowledged, refused }) =>
      acknowledged + refused.length < WRITES_MAX && (refused.length === 0 || acknowledged < 20),
    { pathLength: LONG_PATH, onAnswer: (ms) => (slowest = Math.max(slowest, ms)) },
  )
  await fault.end()
  const hits = fault.calls().filter((line) => line.includes('(INJECTED)')).length
  counts.runs += 1
  counts.hits += hits
  if (slowest > HANG_MS) wrong.push(`an answer took ${Math.round(slowest)} ms`)
  const other = told.refused.find(
    ({ status, body }) => status !== 503 || body['code'] !== 'storage_unavailable',
  )
  if (other) wrong.push(`a write was answered ${other.status} ${JSON.stringify(other.body)}`)
  const alive = await Promise.race([
    served.api('GET', '/api/photos?limit=1').then(
      ({ status }) => status,
      () => 0,
    ),
    new Promise<number>((resolve) => setTimeout(resolve, HANG_MS, -1)),
  ])
  if (alive === 200) return wrong
  if (alive !== 0) wrong.push(alive === -1 ? 'a read was not answered' : `a read was answered ${alive}`)
  const code = await server.exited
  counts.ended += 1
  if (code !== 137 || !calls.includes('sync')) wrong.push(`the server ended with ${code}`)
  await served.follower.gone()
  const recovery = await served.restart()
  if (recovery.join() !== 'recovered') wrong.push(`the follower was told ${recovery.join()}`)
  return wrong
}

/**
 * Each number of each kind while a server starts: it serves or ends soon, and the folder can be used afterwards. A start
 * makes the same calls each time, so that what hangs by the fault hangs again; what is slow once was the machine.
 */
export async function sweepStarts(
  strace: string,
  names: readonly string[],
  numbers: readonly number[],
): Promise<SweepCounts> {
  const counts: SweepCounts = { runs: 0, hits: 0, acknowledged: 0, refused: 0, ended: 0, faults: [] }
  for (const name of names) {
    const kind = kinds[name]
    if (!kind) throw new Error(`there is no kind ${name}`)
    for (const number of numbers) {
      const tries: Start[] = []
      do tries.push(await startOnce(strace, kind, number))
      while (tries.length < TRIES && tries.at(-1)?.isSlow)
      counts.runs += 1
      counts.ended += tries[0]?.hasEnded ? 1 : 0
      const slow = tries.every(({ isSlow }) => isSlow) ? [`took over ${HANG_MS} ms, ${TRIES} times`] : []
      const wrong = [...slow, ...tries.flatMap(({ faults }) => faults)]
      counts.faults.push(...wrong.map((fault) => `start, ${name} at call ${number}: ${fault}`))
    }
  }
  return counts
}

interface Start {
  readonly isSlow: boolean
  readonly hasEnded: boolean
  readonly faults: readonly string[]
}

async function startOnce(
  strace: string,
  { calls, error, files: names }: Kind,
  number: number,
): Promise<Start> {
  using home = temporaryFolder()
  const folder = home.path
  const paths = names.map((file) => join(folder, file))
  const through = tracing(strace, { calls, error, when: String(number), paths })
  const begun = performance.now()
  const server = await startProcess({ folder, through }).catch((cause: unknown) => cause as Error)
  const isSlow = performance.now() - begun > HANG_MS
  const hasEnded = server instanceof Error
  const faults: string[] = []
  if (hasEnded) {
    // Log lines may come before it.
    const said = server.message.replace(/^exited with (1|137): /, '').split('\n')
    const plain = said.filter((line) => !line.startsWith('{"level"'))
    if (plain.length !== 1 || !plain[0]?.startsWith('lightwire: ')) faults.push(server.message)
  } else await server.kill()
  const again = await startProcess({ folder }).catch((cause: unknown) => cause as Error)
  if (again instanceof Error) return { isSlow, hasEnded, faults: [...faults, `afterwards ${again.message}`] }
  await again.kill('SIGTERM')
  if (!(await verify(configWith({ DATA_DIR: folder }), [], () => undefined)))
    faults.push('the data does not hold')
  return { isSlow, hasEnded, faults }
}
