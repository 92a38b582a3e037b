/** `server.ts demo`: plays a shoot over the public API and shows that every client saw all of it. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Config } from '../lib/settings.ts'
import type { Framing } from '../lib/protocol/codec.ts'
import { parseCursor, type Positions } from '../lib/protocol/cursor.ts'
import { channels } from '../lib/protocol/events.ts'
import { createDemoApi, CliFailure } from './rest-client.ts'
import { attachClient, type DemoClient } from './demo-client.ts'
import { findPhotos, PHOTOS_MAX, writePhotos, type PhotoFolder } from './demo-photos.ts'
import { compareRecords, countByChannel } from './demo-records.ts'
import { notStarted, playShoot, prepareServer, type Progress } from './demo-shoot.ts'
import { chooseTarget, startOwn, type StartServer, type Target } from './demo-target.ts'
import { readOptions, readServerUrl } from './options.ts'

const WORKERS_DEFAULT = 8
const WORKERS_MAX = 64
/** Far within the lease of a job. */
const PAUSE_MAX_MS = 10_000
const REPORT_INTERVAL_MS = 1000
const SECOND_MS = 1000
const CATCH_UP_TRIES = 100
const CATCH_UP_PAUSE_MS = 100

const clientTypes = [
  ['gui', 'json'],
  ['web', 'json'],
  ['mobile', 'msgpack'],
  ['lightroom', 'json'],
] as const satisfies readonly (readonly [string, Framing])[]

interface Played {
  readonly progress: Progress
  readonly clients: readonly DemoClient[]
  /** What a client that came afterwards was given since the starting cursor. */
  readonly journal: DemoClient
  /** How far each client had come when it was compared. */
  readonly upto: ReadonlyMap<DemoClient, Positions>
  readonly seconds: number
}

/** Exit code 1 when a client's record differs from the journal. @throws {CliFailure} */
export async function runDemo(config: Config, words: readonly string[], start: StartServer): Promise<void> {
  const options = optionsOf(words)
  await using parts = new AsyncDisposableStack()
  const temporary = await mkdtemp(join(tmpdir(), 'lightwire-demo-'))
  parts.defer(() => rm(temporary, { recursive: true, force: true }))
  const folder = options.photos === undefined ? join(temporary, 'photos') : resolve(options.photos)
  if (options.photos === undefined) await writePhotos(folder)
  const photos = await findPhotos(folder)
  const target = await chooseTarget(config, options, () => startOwn(start, join(temporary, 'data'), parts))

  console.log(
    `Lightwire demo: ${photos.files.length} photos from ${folder}, ${options.workers} workers, ${target.url}`,
  )
  if (photos.truncated)
    console.log(`  only the first ${photos.files.length} photos are taken (at most ${PHOTOS_MAX})`)
  const played = await play(target, folder, photos, options, parts)
  const equal = summarise(target, folder, photos, options.workers, played)
  if (!equal) process.exitCode = 1
}

function optionsOf(words: readonly string[]) {
  // `bun run demo -- --photos DIR` hands the dashes on.
  const own = words[0] === '--' ? words.slice(1) : words
  try {
    const {
      photos,
      url,
      token,
      workers = String(WORKERS_DEFAULT),
      pause = '0',
    } = readOptions(own, ['photos', 'url', 'token', 'workers', 'pause'])
    if (!/^[1-9]\d?$/.test(workers) || Number(workers) > WORKERS_MAX) {
      throw new CliFailure(`--workers=${workers}: expected a whole number from 1 to ${WORKERS_MAX}`)
    }
    if (!/^\d{1,5}$/.test(pause) || Number(pause) > PAUSE_MAX_MS) {
      throw new CliFailure(`--pause=${pause}: expected milliseconds, at most ${PAUSE_MAX_MS}`)
    }
    if (token !== undefined && url === undefined) throw new CliFailure('--token belongs to --url')
    const server = url === undefined ? undefined : readServerUrl('url', url)
    return { photos, url: server, token, workers: Number(workers), pauseMs: Number(pause) }
  } catch (error) {
    if (error instanceof TypeError) throw new CliFailure(error.message)
    throw error
  }
}

async function play(
  { url, token }: Target,
  folder: string,
  { files }: PhotoFolder,
  { workers, pauseMs }: { readonly workers: number; readonly pauseMs: number },
  parts: AsyncDisposableStack,
): Promise<Played> {
  const api = createDemoApi(url, token)
  await prepareServer(api, folder)
  const { cursor: since } = await api('GET', '/api/sessions?limit=1')
  const socketUrl = `${url.replace(/^http/, 'ws')}/ws`
  const attach = async (clientType: string, framing: Framing) =>
    parts.use(await attachClient({ url: socketUrl, token, clientType, framing, since }))
  const clients = await Promise.all(clientTypes.map(([clientType, framing]) => attach(clientType, framing)))

  const progress = { ...notStarted }
  const started = performance.now()
  const reports = setInterval(
    () => console.log(progressLine(progress, files.length, started)),
    REPORT_INTERVAL_MS,
  )
  let last: string
  try {
    last = await playShoot({ api, folder, files, workers, progress, pauseMs })
  } finally {
    clearInterval(reports)
  }
  const end = parseCursor(last).positions
  const upto = new Map(
    await Promise.all(clients.map(async (client) => [client, await catchUp(client, end)] as const)),
  )
  const seconds = (performance.now() - started) / SECOND_MS
  const journal = await attach('journal', 'json')
  await catchUp(journal, end)
  return { progress, clients, journal, upto, seconds }
}

/** Pings until the pong covers the shoot's last change; at once on one node, soon on several. */
async function catchUp(client: DemoClient, end: Positions): Promise<Positions> {
  for (let tries = 0; tries < CATCH_UP_TRIES; tries += 1) {
    const positions = await client.ping()
    if (channels.every((channel) => (positions[channel] ?? -1) >= (end[channel] ?? 0))) return positions
    await Bun.sleep(CATCH_UP_PAUSE_MS)
  }
  throw new CliFailure(`the ${client.clientType} client did not reach the last change of the shoot`)
}

function progressLine(
  { imported, analyzed, completed, retried, approved, rejected }: Progress,
  total: number,
  started: number,
): string {
  const seconds = ((performance.now() - started) / SECOND_MS).toFixed(0).padStart(4)
  const photos = `photos ${imported} imported, ${analyzed} analyzed`
  const jobs = `jobs ${completed} of ${total} completed, ${retried} retried`
  return `${seconds} s  ${photos} · ${jobs} · ${approved} approved, ${rejected} rejected`
}

/** Prints what happened and whether each record equals the journal; whether all do. */
function summarise(
  target: Target,
  folder: string,
  photos: PhotoFolder,
  workers: number,
  played: Played,
): boolean {
  const { progress, clients, journal, upto, seconds } = played
  const bytes = photos.files.reduce((sum, { file_size }) => sum + file_size, 0)
  const rate = Math.round(progress.requests / seconds)
  const { completed, retried, approved, rejected, exported } = progress
  console.log('')
  console.log(`  server    ${target.url}, ${target.whose}`)
  console.log(`  photos    ${progress.imported} from ${folder}, ${(bytes / 1e6).toFixed(2)} MB`)
  console.log(`  jobs      ${completed} completed by ${workers} workers, ${retried} of them after a retry`)
  console.log(`  approval  ${approved} approved, ${rejected} rejected, ${exported} exported`)
  console.log(`  requests  ${progress.requests} in ${seconds.toFixed(1)} s, ${rate} per second`)
  console.log(`  events    ${countByChannel(journal.record)}`)
  console.log('')
  let equal = true
  for (const client of clients) {
    const { events, difference } = compareRecords(client.record, journal.record, upto.get(client) ?? {})
    const verdict =
      difference === undefined ? 'equal to the journal' : `DIFFERENT from the journal: ${difference}`
    console.log(`  ${client.clientType}: ${events} events, ${verdict}`)
    equal &&= difference === undefined
  }
  return equal
}
