/** Power cuts on a disk that forgets what was not synced: what was acknowledged, shown or published is there after. */
import { afterAll, expect, setDefaultTimeout } from 'bun:test'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { createApi } from '../support/api.ts'
import { needs } from '../support/needs.ts'
import { startProcess, tokenOf, type ServerProcess } from '../support/process.ts'
import { createRandom, type Random } from '../support/random.ts'
import { temporaryFolder } from '../support/server.ts'
import { tools } from '../support/tools.ts'
import { createFollower, cursorFaults, recordFaults, type Follower } from './follower.ts'
import { compileForgetful, createForgetfulDisk, type Cut } from './forgetful.ts'
import { disagreements, readStore, type StoreCopy } from './store-copy.ts'
import { writeAway, type Promised } from './writers.ts'

setDefaultTimeout(120_000)

const SEED = Number(process.env['SEED'] ?? 20_261)
/** `LANE=long` has more. */
const LINEAGES = process.env['LANE'] === 'long' ? 20 : 2
const CYCLES = 5
const WRITERS = 4
/** Paths so long that the log reaches the size of a checkpoint within a second. */
const LONG_PATH = 1200
/** A cut that was planned at a sync that never came happens here. */
const ACKNOWLEDGED_MAX = 1500

const noLimits = { RATE_REQUESTS: '0', RATE_MESSAGES: '0', RATE_CONNECTIONS: '0', LOG_LEVEL: 'info' }
const testWithCompiler = needs('cc')
const built = temporaryFolder()
const library = tools.cc === undefined ? '' : compileForgetful(tools.cc, built.path)
afterAll(() => built[Symbol.dispose]())

for (let lineage = 1; lineage <= LINEAGES; lineage += 1) {
  testWithCompiler(
    `power cuts lose nothing acknowledged, shown or published (${lineage} of ${LINEAGES})`,
    async () => {
      await using disk = createDisk()
      const seed = SEED + lineage
      const random = createRandom(seed)
      const follower = createFollower(() => disk.token)
      const inside = { 'lightwire.db': 0, 'lightwire.db-wal': 0, 'secret.': 0 }
      const sum = { seed, cycles: 0, acknowledged: 0, inside, faults: [] as string[] }
      let promised: Promised | undefined

      for (let cycle = 0; cycle < CYCLES; cycle += 1) {
        const plan = planOf(cycle, random)
        const server = await disk.start({}, plan.cut)
        const recovery = await follower.join(server.url)
        if (promised)
          sum.faults.push(...statusFaults(recovery), ...(await listFaults(server.url, disk.token, promised)))
        promised = await writeUntilDark(server, disk.token, plan, random)
        await follower.gone()
        disk.losePower(plan.keepsSome ? { random } : {})
        const faults = faultsOf(readStore(disk.folder), promised, follower)
        sum.faults.push(...faults.map((fault) => `cycle ${cycle}: ${fault}`))
        sum.cycles += 1
        sum.acknowledged += promised.acknowledged
        if (plan.cut && promised.acknowledged < plan.acknowledged) inside[plan.cut.file] += 1
      }
      sum.faults.push(...(await replayFaults(disk, follower, promised)))

      console.log(
        'power cuts:',
        JSON.stringify({ ...sum, published: follower.record.length, faults: sum.faults.length }),
      )
      expect(sum.faults).toEqual([])
      expect(sum.acknowledged).toBeGreaterThan(100)
      expect(inside).toEqual({ 'lightwire.db': 1, 'lightwire.db-wal': 2, 'secret.': 0 })
    },
  )
}

testWithCompiler(
  'the same cut loses acknowledged changes with DURABILITY=normal: the disk does forget',
  async () => {
    await using disk = createDisk()
    const random = createRandom(SEED)
    const follower = createFollower(() => disk.token)
    // Stopped in good order, so that at least the tables are in the database.
    await (await disk.start()).kill('SIGTERM')
    const server = await disk.start({ DURABILITY: 'normal' })
    await follower.join(server.url)

    const promised = await writeUntilDark(server, disk.token, { acknowledged: 100 }, random)
    await follower.gone()
    disk.losePower()

    const store = readStore(disk.folder)
    expect(promised.acknowledged).toBeGreaterThanOrEqual(100)
    expect(lostOf(store, promised).length).toBeGreaterThan(0)
    expect(recordFaults(follower.record, store).length).toBeGreaterThan(0)
    expect(cursorFaults([...promised.cursors, ...follower.shown], store).length).toBeGreaterThan(0)
  },
)

testWithCompiler(
  'a disk that refuses a sync ends the server, and what it could not store was told to nobody',
  async () => {
    await using disk = createDisk()
    const follower = createFollower(() => disk.token)
    const server = await disk.start({}, { file: 'lightwire.db-wal', sync: 60, moment: 'refuse' })
    await follower.join(server.url)

    const promised = await writeAway({
      url: server.url,
      token: disk.token,
      random: createRandom(SEED),
      writers: WRITERS,
      goOn: ({ acknowledged, refused }) => acknowledged < ACKNOWLEDGED_MAX && refused.length === 0,
    })
    const code = await server.exited
    disk.losePower()

    const store = readStore(disk.folder)
    expect(code).toBe(137)
    expect(promised.acknowledged).toBeGreaterThan(0)
    expect(promised.refused.every(({ status }) => status === 503)).toBe(true)
    expect(faultsOf(store, { ...promised, refused: [] }, follower)).toEqual([])
  },
)

testWithCompiler('a power cut during the very first start leaves a folder that starts', async () => {
  const cuts: Cut[] = [
    { file: 'secret.', sync: 1, moment: 'before' },
    { file: 'secret.', sync: 1, moment: 'after' },
    { file: 'lightwire.db', sync: 1, moment: 'before' },
    { file: 'lightwire.db', sync: 1, moment: 'after' },
    { file: 'lightwire.db-wal', sync: 1, moment: 'before' },
    { file: 'lightwire.db-wal', sync: 1, moment: 'after' },
  ]
  const healthy: boolean[] = []

  for (const cut of cuts) {
    await using disk = createDisk()
    await expect(disk.start({}, cut)).rejects.toThrow('exited with')
    disk.losePower()
    const server = await disk.start()
    const { status } = await createApi(() => server.url, undefined)('GET', '/api/system/health')
    healthy.push(status === 200)
  }

  expect(healthy).toEqual(cuts.map(() => true))
})

interface Plan {
  /** The power goes when so many writes are acknowledged… */
  readonly acknowledged: number
  /** …or at a sync, whichever comes first. */
  readonly cut?: Cut
  readonly pathLength?: number
  /** Some of what was not synced is kept: any blocks, in any order. */
  readonly keepsSome?: boolean
}

/** Each lineage sees two cuts between answers, two inside syncs of the log, and one around a checkpoint. */
function planOf(cycle: number, random: Random): Plan {
  const moment = random.chance(0.5) ? 'before' : 'after'
  const keepsSome = random.chance(0.5)
  if (cycle === 3) {
    // The first is the start's own, which copies what the last life left in the log.
    const cut: Cut = { file: 'lightwire.db', sync: 2, moment }
    return { acknowledged: ACKNOWLEDGED_MAX, cut, pathLength: LONG_PATH, keepsSome }
  }
  if (cycle === 1 || cycle === 4) return { acknowledged: random.int(20, 200), keepsSome }
  const cut: Cut = { file: 'lightwire.db-wal', sync: random.int(20, 120), moment }
  return { acknowledged: ACKNOWLEDGED_MAX, cut, keepsSome }
}

/** A data folder of its own on a forgetful disk, and the servers started on it. */
function createDisk() {
  const home = temporaryFolder()
  const folder = join(home.path, 'data')
  mkdirSync(folder, { mode: 0o700 })
  const disk = createForgetfulDisk(library, folder, join(home.path, 'shadow'))
  const started: ServerProcess[] = []
  return {
    folder,
    token: '',
    losePower: disk.losePower,
    async start(env: Record<string, string> = {}, cut?: Cut): Promise<ServerProcess> {
      const server = await startProcess({ folder, env: { ...noLimits, ...env, ...disk.environment(cut) } })
      started.push(server)
      this.token = await tokenOf(folder)
      return server
    },
    async [Symbol.asyncDispose]() {
      for (const server of started) await server.kill()
      home[Symbol.dispose]()
    },
  }
}

/** Four writers, until the power goes; what they were told. */
async function writeUntilDark(
  server: ServerProcess,
  token: string,
  plan: Plan,
  random: Random,
): Promise<Promised> {
  let dark = false
  const promised = await writeAway({
    url: server.url,
    token,
    random,
    writers: WRITERS,
    ...(plan.pathLength === undefined ? {} : { pathLength: plan.pathLength, importsOnly: true }),
    goOn: ({ acknowledged }) => {
      // In the middle of the others' writes: nobody waits for them.
      if (acknowledged >= plan.acknowledged && !dark) {
        dark = true
        void server.kill()
      }
      return !dark
    },
  })
  await server.exited
  return promised
}

function faultsOf(store: StoreCopy, promised: Promised, { record, shown }: Follower): string[] {
  return [
    ...disagreements(store),
    ...lostOf(store, promised),
    ...recordFaults(record, store),
    ...cursorFaults([...promised.cursors, ...shown], store).map(
      (cursor) => `${cursor} lies beyond the journal`,
    ),
    ...promised.refused.map(({ status }) => `a write was answered ${status}`),
  ]
}

/** Acknowledged rows that are gone; their events go with them (`disagreements` pairs both). */
function lostOf(store: StoreCopy, { sessions, photos, jobs }: Promised): string[] {
  const without = <T>(kind: string, ids: readonly T[], rows: readonly { id: T }[]) => {
    const there = new Set(rows.map(({ id }) => id))
    return ids.flatMap((id) => (there.has(id) ? [] : [`lost ${kind} ${String(id)}`]))
  }
  return [
    ...without('session', sessions, store.sessions),
    ...without('photo', photos, store.photos),
    ...without('job', jobs, store.jobs),
  ]
}

/** After the last cut: the follower comes back, and its record becomes exactly the journal. */
async function replayFaults(
  disk: ReturnType<typeof createDisk>,
  follower: Follower,
  promised: Promised | undefined,
): Promise<string[]> {
  const server = await disk.start()
  const recovery = await follower.join(server.url)
  const faults = promised ? await listFaults(server.url, disk.token, promised) : []
  await follower.sync()
  await server.kill()
  await follower.gone()
  const store = readStore(disk.folder)
  const complete = follower.record.length === store.events.length
  return [
    ...statusFaults(recovery),
    ...faults,
    ...recordFaults(follower.record, store),
    ...(complete ? [] : [`the record has ${follower.record.length} of ${store.events.length} events`]),
  ]
}

function statusFaults(recovery: Record<string, { status: string }>): string[] {
  return Object.entries(recovery).flatMap(([channel, { status }]) =>
    status === 'recovered' ? [] : [`${channel} was told ${status}`],
  )
}

/** Acknowledged rows that the server's own lists do not show. */
async function listFaults(
  url: string,
  token: string,
  { sessions, photos, jobs }: Promised,
): Promise<string[]> {
  const api = createApi(() => url, token)
  const faults: string[] = []
  for (const [plural, ids, sort] of [
    ['sessions', sessions, '-id'],
    ['photos', photos, '-id'],
    ['jobs', jobs, '-created_at'],
  ] as const) {
    const missing = new Set<unknown>(ids)
    for (let offset = 0; missing.size > 0; offset += 500) {
      const { body } = await api<Record<string, { id: unknown }[]>>(
        'GET',
        `/api/${plural}?sort=${sort}&limit=500&offset=${offset}`,
      )
      const page = body[plural] ?? []
      for (const { id } of page) missing.delete(id)
      if (page.length === 0) break
    }
    for (const id of missing) faults.push(`GET /api/${plural} lacks ${String(id)}`)
  }
  return faults
}
