/** A disk that is really full (a small tmpfs): writes are refused whole, nothing is lost, and all goes on by itself. */
import { expect, setDefaultTimeout } from 'bun:test'
import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { createApi, type Answer, type Api } from '../support/api.ts'
import { plant } from '../support/planted.ts'
import { projectRoot, startProcess, tokenOf } from '../support/process.ts'
import { createRandom } from '../support/random.ts'
import { temporaryFolder } from '../support/server.ts'
import { createFollower, cursorFaults, recordFaults } from './follower.ts'
import { mountSmallDisk, testWithMount } from './small-disk.ts'
import { disagreements, readStore } from './store-copy.ts'
import { writeAway, type Promised } from './writers.ts'

setDefaultTimeout(60_000)

const DISK_KIB = 16 * 1024
const WRITERS = 16
const REFUSED_ENOUGH = 200
/** Writes that outgrow the page cache and are refused, among small ones. */
const HUGE_REFUSED = 25
/** Attempts until a write has to succeed once there is space. */
const ATTEMPTS_MAX = 100
/** Until the planted fault has to show. */
const CONTROL_RUNS_MAX = 8
const FILLER = 'filler'

const noLimits = { RATE_REQUESTS: '0', RATE_MESSAGES: '0', RATE_CONNECTIONS: '0' }

testWithMount('a full disk refuses writes with 503 and keeps what it acknowledged; reads go on', async () => {
  await using full = await fillDisk(1)

  const { refused } = full.promised
  const reads = await Promise.all(
    ['photos', 'sessions', 'jobs'].map((name) => full.api('GET', `/api/${name}`)),
  )
  const told = await healthAfterRefusals(full.api)
  const store = readStore(full.folder)

  expect(refused.length).toBeGreaterThanOrEqual(REFUSED_ENOUGH)
  expect(new Set(refused.map(outline))).toEqual(
    new Set(['503 application/problem+json storage_unavailable 1']),
  )
  expect(reads.map(({ status }) => status)).toEqual([200, 200, 200])
  expect(told).toContain('degraded')
  expect(missing(full.promised, store.photos)).toEqual([])
  expect(disagreements(store)).toEqual([])
})

testWithMount(
  'when there is space again the writes succeed by themselves, and a restart has all of them',
  async () => {
    await using full = await fillDisk(2)
    rmSync(join(full.folder, FILLER))

    const attempts = await attemptsUntilStored(full.api)
    const more = await full.write(({ acknowledged }) => acknowledged < 50)
    await full.follower.sync()
    await full.stop()
    const store = readStore(full.folder)
    const again = await startProcess({ folder: full.folder, env: noLimits })
    const recovery = await full.follower.join(again.url)
    await full.follower.sync()
    await again.kill('SIGTERM')

    console.log(
      'disk full:',
      JSON.stringify({ attempts, ...counted(full.promised), after: more.acknowledged }),
    )
    expect(attempts).toBeLessThan(ATTEMPTS_MAX)
    expect(more.refused).toEqual([])
    expect([...missing(full.promised, store.photos), ...missing(more, store.photos)]).toEqual([])
    expect(disagreements(store)).toEqual([])
    expect(new Set(Object.values(recovery).map(({ status }) => status))).toEqual(new Set(['recovered']))
    expect(recordFaults(full.follower.record, store)).toEqual([])
    expect(full.follower.record).toHaveLength(store.events.length)
    expect(cursorFaults([...full.promised.cursors, ...full.follower.shown], store)).toEqual([])
  },
)

testWithMount(
  'a server killed on a full disk starts again when there is space, with all it acknowledged',
  async () => {
    await using full = await fillDisk(3)

    await full.kill()
    rmSync(join(full.folder, FILLER))
    const again = await startProcess({ folder: full.folder, env: noLimits })
    const recovery = await full.follower.join(again.url)
    await full.follower.sync()
    await again.kill('SIGTERM')

    const store = readStore(full.folder)
    expect(new Set(Object.values(recovery).map(({ status }) => status))).toEqual(new Set(['recovered']))
    expect(missing(full.promised, store.photos)).toEqual([])
    expect(disagreements(store)).toEqual([])
    expect(recordFaults(full.follower.record, store)).toEqual([])
  },
)

testWithMount(
  'a first start on a full disk ends, and its folder can be used when there is space',
  async () => {
    using home = temporaryFolder()
    using _disk = mountSmallDisk(home.path, DISK_KIB)
    fill(join(home.path, FILLER))

    await expect(startProcess({ folder: home.path })).rejects.toThrow('exited with 1')
    rmSync(join(home.path, FILLER))
    const server = await startProcess({ folder: home.path })
    const { status } = await createApi(() => server.url, undefined)('GET', '/api/system/health')
    await server.kill()

    expect(status).toBe(200)
  },
)

/** So that a write outgrows it on a small disk: SQLite's own default. */
const smallCache = {
  file: 'lib/store/sqlite.ts',
  find: 'const CACHE_KIB = 65_536',
  replace: 'const CACHE_KIB = 2000',
}

testWithMount(
  'a write too large for the disk takes nothing of its neighbours in the same transaction',
  async () => {
    using small = plant([smallCache])

    const faults = await crowdedGroups(small.root)

    expect(faults).toEqual([])
  },
)

testWithMount('a server that goes on after the database gave up the transaction is found out', async () => {
  using planted = plant([
    smallCache,
    {
      file: 'lib/store/writer.ts',
      find: 'if (!database.transactionStands()) throw error',
      replace: '',
    },
    {
      file: 'lib/store/writer.ts',
      find: 'await queries.executeQuery(ROLLBACK_TO)',
      replace: 'await queries.executeQuery(ROLLBACK_TO).catch(() => undefined)',
    },
    {
      file: 'lib/store/writer.ts',
      find: `await queries.executeQuery(RELEASE)
      waiting.reject(`,
      replace: `await queries.executeQuery(RELEASE).catch(() => undefined)
      waiting.reject(`,
    },
  ])

  // Which writes share a transaction is the machine's choice.
  let faults: string[] = []
  for (let run = 0; faults.length === 0 && run < CONTROL_RUNS_MAX; run += 1) {
    faults = await crowdedGroups(planted.root)
  }

  expect(faults.join()).toMatch(/and no row|has (no|two) event|lost photo|there are|its last event/)
})

/**
 * Small writes and one that outgrows SQLite's page cache, so that the disk is full inside its savepoint, share their
 * transactions; what of the small ones' answers and of the store does not fit afterwards.
 */
async function crowdedGroups(root: string): Promise<string[]> {
  await using full = await startOnSmallDisk(4, { root, env: { MAX_BODY_BYTES: String(16 * 1024 * 1024) } })
  const huge = (n: number) =>
    Array.from({ length: 1000 }, (_, m) => ({ file_path: `/import/huge-${n}/1000/${m}/${'x'.repeat(3900)}` }))
  const faults: string[] = []
  let refused = 0
  const photos: number[] = []
  for (let round = 0; refused < HUGE_REFUSED && round < ATTEMPTS_MAX; round += 1) {
    const [told, { status }] = await Promise.all([
      full.write(({ acknowledged, refused: no }) => acknowledged + no.length < 20),
      full.api('POST', '/api/photos', huge(round)),
    ])
    if (status === 503) refused += 1
    photos.push(...told.photos)
  }
  const store = readStore(full.folder)
  if (refused === 0) faults.push('the disk was never full')
  return [
    ...faults,
    ...missing({ photos }, store.photos).map((id) => `lost photo ${id}`),
    ...disagreements(store),
  ]
}

/** What health says right after writes that were refused: chores that store nothing, and so succeed, may come between. */
async function healthAfterRefusals(api: Api): Promise<string[]> {
  const told: string[] = []
  for (let attempt = 0; attempt < ATTEMPTS_MAX && !told.includes('degraded'); attempt += 1) {
    const file_path = `/import/late-${attempt}/${'x'.repeat(3900)}`
    const { status } = await api('POST', '/api/photos', { file_path })
    const { body } = await api<{ status: string }>('GET', '/api/system/health')
    if (status === 503) told.push(body.status)
  }
  return told
}

/** A server on a small disk, a follower, a few changes, then a full disk and many refused writes in parallel. */
async function fillDisk(seed: number) {
  await using small = await startOnSmallDisk(seed)
  let filled = false
  const promised = await small.write(({ acknowledged, refused }) => {
    if (!filled && acknowledged >= 20) {
      filled = true
      fill(join(small.folder, FILLER))
    }
    return refused.length < REFUSED_ENOUGH
  })
  const { folder, follower, write, api, stop, kill } = small
  const parts = small.move()
  return {
    folder,
    follower,
    write,
    api,
    stop,
    kill,
    promised,
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  }
}

interface Start {
  /** Of the program, when it is not this one. */
  readonly root?: string
  readonly env?: Record<string, string>
}

async function startOnSmallDisk(seed: number, { root = projectRoot, env = {} }: Start = {}) {
  const parts = new AsyncDisposableStack()
  const folder = parts.use(temporaryFolder()).path
  parts.use(mountSmallDisk(folder, DISK_KIB))
  const server = await startProcess({ folder, root, env: { ...noLimits, ...env } })
  parts.defer(async () => void (await server.kill()))
  const token = await tokenOf(folder)
  const follower = createFollower(() => token)
  await follower.join(server.url)
  parts.defer(() => follower.leave())
  const random = createRandom(seed)
  return {
    folder,
    follower,
    write: (goOn: (promised: Promised) => boolean) =>
      writeAway({ url: server.url, token, random, writers: WRITERS, pathLength: 1000, goOn }),
    api: createApi(() => server.url, token),
    stop: () => server.kill('SIGTERM'),
    kill: () => server.kill('SIGKILL'),
    move: () => parts.move(),
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  }
}

/** Takes every byte that is left. */
function fill(path: string): void {
  const descriptor = openSync(path, 'w')
  try {
    for (const size of [65_536, 4096, 1]) {
      const block = Buffer.alloc(size)
      try {
        for (;;) if (writeSync(descriptor, block) < size) break
      } catch (error) {
        if ((error as { code?: string }).code !== 'ENOSPC') throw error
      }
    }
  } finally {
    closeSync(descriptor)
  }
}

async function attemptsUntilStored(api: ReturnType<typeof createApi>): Promise<number> {
  for (let attempt = 1; attempt < ATTEMPTS_MAX; attempt += 1) {
    const { status } = await api('POST', '/api/sessions', { name: `again ${attempt}`, import_folder: '/x' })
    if (status === 201) return attempt
  }
  return ATTEMPTS_MAX
}

function outline({ status, headers, body }: Answer<Record<string, unknown>>): string {
  return [status, headers.get('content-type')?.split(';')[0], body['code'], headers.get('retry-after')].join(
    ' ',
  )
}

function missing({ photos }: Pick<Promised, 'photos'>, rows: readonly { id: number }[]): number[] {
  const there = new Set(rows.map(({ id }) => id))
  return photos.filter((id) => !there.has(id))
}

function counted({ acknowledged, refused }: Promised) {
  return { acknowledged, refused: refused.length }
}
