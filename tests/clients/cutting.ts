/** A client behind a proxy that cuts, stalls and half-opens at random: what it saw is checked against the journal. */
import { startProxy } from '../support/proxy.ts'
import { createRandom } from '../support/random.ts'
import { openStage, unique, type Player, type Stage } from './stage.ts'
import { RefusedCommand, type Driver, type Seen } from './driver.ts'

/** Tokens so short that the client needs many. */
const TOKEN_MS = 8000
const RENEW_MS = 3000
/** Of one direction of a connection, until something happens to it. */
const LIFE_BYTES_MAX = 12_000
/** The same where each answer has a connection of its own: more would be lost than can come. */
const POLL_LIFE_BYTES_MAX = 60_000
const CATCH_UP_MS = 60_000
/** Changes a second, about. */
const PAUSE_MS = 20

export interface CuttingOptions {
  readonly seed: number
  readonly ms: number
  /** It ends before when the line has met so many faults. */
  readonly faultsMax?: number
  /** A connection that is open on one side only is found after 12 s at the earliest. */
  readonly halfOpens: boolean
}

export interface CuttingReport {
  readonly client: string
  readonly seed: number
  readonly seconds: number
  readonly events: number
  readonly published: number
  readonly cut: number
  readonly stall: number
  readonly halfOpen: number
  readonly violations: string[]
}

export async function runCutting(
  player: Player,
  { seed, ms, faultsMax = Infinity, halfOpens }: CuttingOptions,
): Promise<CuttingReport> {
  const random = createRandom(seed)
  await using stage = await openStage({ HEARTBEAT: '8s' })
  const kinds = halfOpens ? (['cut', 'cut', 'stall', 'halfOpen'] as const) : (['cut', 'stall'] as const)
  await using proxy = await startProxy(() => Number(new URL(stage.url).port), random.fork(), {
    kinds,
    bytesMax: player.transport === 'poll' ? POLL_LIFE_BYTES_MAX : LIFE_BYTES_MAX,
  })
  const token = () => stage.token({ expiresInMs: TOKEN_MS })
  const url = `http://127.0.0.1:${proxy.port}`
  const driver = await stage.play(player, { token: await token(), url })
  const mine = await stage.shoot()
  await driver.tell({ do: 'subscribe', channels: ['photos', 'sessions', 'system'] })
  await driver.tell({ do: 'subscribe', channels: ['jobs'], where: { session_id: mine }, batchMs: 100 })
  const heads = await stage.heads()

  const started = performance.now()
  const faults = () => proxy.faults.cut + proxy.faults.stall + proxy.faults.halfOpen
  const isOver = () => performance.now() - started >= ms || faults() >= faultsMax
  const pause = (most: number) => new Promise((resolve) => setTimeout(resolve, random.int(1, most)))
  const acknowledged = new Map<string, number>()
  const refusals: string[] = []
  const write = async () => {
    while (!isOver()) {
      await change(stage, random.pick([mine, await stage.shoot()]))
      await pause(PAUSE_MS * 2)
    }
  }
  const renew = async () => {
    while (!isOver()) {
      await driver.tell({ do: 'token', token: await token() })
      await pause(RENEW_MS)
    }
  }
  const publish = async () => {
    while (!isOver()) {
      const status = unique('said')
      await driver
        .tell({ do: 'publish', event: { type: 'system_status', status } })
        .then((seq) => acknowledged.set(status, Number(seq)))
        .catch((error: unknown) => {
          if (!(error instanceof RefusedCommand)) throw error
          refusals.push(error.message)
        })
      await pause(PAUSE_MS * 5)
    }
  }
  await Promise.all([write(), renew(), publish()])
  // Whether who fell behind can keep up is the machine's choice; that nothing is lost is not.
  proxy.relent()
  await driver.tell({ do: 'token', token: await stage.token() })
  await stage.photos(await stage.shoot(), 1)
  await stage.api('POST', '/api/system/status', { status: unique('the last') })
  await change(stage, mine)

  const journal = await stage.journal()
  const expected = (channel: string) =>
    journal.filter(
      (event) => event.channel === channel && (channel !== 'jobs' || event['session_id'] === mine),
    )
  const late = await caughtUp(driver, ['photos', 'sessions', 'system', 'jobs'].map(expected))
  const violations = [
    ...late,
    ...['photos', 'sessions', 'system', 'jobs'].flatMap((channel) =>
      differences(
        channel,
        driver.events.filter((event) => event.channel === channel),
        expected(channel).filter(({ seq }) => seq > (heads[channel as keyof typeof heads] ?? 0)),
      ),
    ),
    ...publishFaults(acknowledged, journal),
    ...refusals,
  ]
  return {
    client: player.name,
    seed,
    seconds: Math.round((performance.now() - started) / 1000),
    events: driver.events.length,
    published: acknowledged.size,
    ...proxy.faults,
    violations,
  }
}

/** A photo, and a job on it. */
async function change(stage: Stage, session: number): Promise<void> {
  const file_path = `/${unique('photo')}.raw`
  const { body } = await stage.api<{ id: number }>('POST', '/api/photos', { session_id: session, file_path })
  await stage.api('POST', '/api/jobs', { photo_id: body.id })
}

async function caughtUp(driver: Driver, channels: readonly (readonly Seen[])[]): Promise<string[]> {
  const isThere = () =>
    channels.every((events) => {
      const last = events.at(-1)
      return !last || driver.events.some(({ channel, seq }) => channel === last.channel && seq >= last.seq)
    })
  return await driver.until('the last events', isThere, CATCH_UP_MS).then(
    () => [],
    (error: unknown) => [String(error)],
  )
}

/** What was seen beside what had to be; events before the first one expected may have been seen too. */
function differences(channel: string, seen: readonly Seen[], wanted: readonly Seen[]): string[] {
  const found: string[] = []
  for (const [index, event] of seen.entries()) {
    const before = seen[index - 1]?.seq ?? 0
    if (event.seq <= before) found.push(`${channel} ${event.seq} came after ${before}`)
  }
  const bySeq = new Map(seen.map((event) => [event.seq, event]))
  for (const event of wanted) {
    const got = bySeq.get(event.seq)
    if (!got) found.push(`${channel} ${event.seq} was never seen`)
    else if (!Bun.deepEquals(got, event)) found.push(`${channel} ${event.seq} was seen otherwise`)
  }
  const last = wanted.at(-1)?.seq ?? 0
  const known = new Set(wanted.map(({ seq }) => seq))
  const first = wanted[0]?.seq ?? 0
  for (const { seq } of seen) {
    if (seq >= first && seq <= last && !known.has(seq)) found.push(`${channel} ${seq} was none of its events`)
  }
  return found
}

/** Each acknowledged publish stands once, where its answer said. */
function publishFaults(acknowledged: ReadonlyMap<string, number>, journal: readonly Seen[]): string[] {
  return [...acknowledged].flatMap(([status, seq]) => {
    const there = journal.filter((event) => event['status'] === status).map((event) => event.seq)
    return there.length === 1 && there[0] === seq
      ? []
      : [`${status} was acknowledged as ${seq} and stands at ${there.join()}`]
  })
}
