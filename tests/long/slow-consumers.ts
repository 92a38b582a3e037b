/** Slow consumers at default settings: what they cost the server and the others; all must end complete. */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { openAudience, readMetric, stamp, type Audience, type Latency } from '../../bench/support/audience.ts'
import { alternate, show, summarize } from '../../bench/support/rounds.ts'
import { startProcess, tokenOf } from '../support/process.ts'
import { temporaryFolder } from '../support/server.ts'

const MIB = 1024 * 1024
/** One that takes nothing for 30 s is closed (PROTOCOL §5); here they come back before. */
const STALL_SECONDS_MAX = 25
const CONVERGE_MS = 60_000
const SETTLE_MS = 2000

export interface SlowConsumersOptions {
  readonly subscribers: number
  readonly stalled: number
  /** Of traffic; the stalled ones stall for up to 25 s of it, then catch up beside the others. */
  readonly seconds: number
  /** Events a second, one write each. */
  readonly rate: number
  readonly eventBytes: number
}

export interface SlowConsumersReport {
  readonly events: number
  /** Of the healthy ones: while the others stalled, and from when they read again. */
  readonly latency: { readonly stalled: Latency; readonly catchingUp: Latency }
  readonly rssMiB: { readonly base: number; readonly peak: number; readonly after: number }
  readonly moves: number
  readonly sweeps: number
  readonly dropped: number
  readonly bugs: number
  /** Until everybody was complete after the last write; Infinity when somebody never was. */
  readonly convergedMs: number
  readonly faults: readonly string[]
}

/** One run against a server process of its own. */
export async function runSlowConsumers(options: SlowConsumersOptions): Promise<SlowConsumersReport> {
  using folder = temporaryFolder()
  const server = await startProcess({ folder: folder.path })
  try {
    const token = await tokenOf(folder.path)
    using audience = await openAudience({ ...options, url: server.url, token, channel: 'sessions' })
    await Bun.sleep(SETTLE_MS)
    return await measure(options, server, token, audience)
  } finally {
    await server.kill()
  }
}

async function measure(
  { seconds, rate, eventBytes }: SlowConsumersOptions,
  { url, pid }: { readonly url: string; readonly pid: number },
  token: string,
  audience: Audience,
): Promise<SlowConsumersReport> {
  const base = rssOf(pid)
  let peak = base
  const watch = setInterval(() => (peak = Math.max(peak, rssOf(pid))), 100)
  const write = createWriterOf({ url, token, eventBytes })
  const stallSeconds = Math.min(seconds, STALL_SECONDS_MAX)
  try {
    audience.stall()
    await drive(write, rate, stallSeconds)
    const stalled = audience.takeLatencies()
    audience.resume()
    await drive(write, rate, seconds - stallSeconds)
    const events = await write.finish()
    const convergedMs = await converge(audience, events)
    const catchingUp = audience.takeLatencies()
    await Bun.sleep(SETTLE_MS)
    return {
      events,
      latency: { stalled, catchingUp },
      rssMiB: { base: base / MIB, peak: peak / MIB, after: rssOf(pid) / MIB },
      moves: await readMetric(url, 'lightwire_slow_moves_total'),
      sweeps: await readMetric(url, 'lightwire_sweeps_total'),
      dropped: await readMetric(url, 'lightwire_dropped_total'),
      bugs: await readMetric(url, 'lightwire_bugs_total'),
      convergedMs,
      faults: audience.faults(),
    }
  } finally {
    clearInterval(watch)
  }
}

interface EventWriter {
  (): void
  /** Waits for every answer; how many events there are. @throws when an answer was not 201 */
  finish(): Promise<number>
}

/** Each call posts a session whose event is of that size, and does not wait. */
function createWriterOf({
  url,
  token,
  eventBytes,
}: {
  url: string
  token: string
  eventBytes: number
}): EventWriter {
  const pending: Promise<number>[] = []
  const pad = 'x'.repeat(Math.max(1, Math.min(4096, eventBytes - 200)))
  const write = () => {
    const body = JSON.stringify({ name: `${stamp()} ${pending.length}`, import_folder: pad })
    const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }
    pending.push(fetch(`${url}/api/sessions`, { method: 'POST', headers, body }).then(({ status }) => status))
  }
  const finish = async () => {
    const refused = (await Promise.all(pending)).filter((status) => status !== 201)
    if (refused.length > 0)
      throw new Error(`${refused.length} writes were refused, the first with ${refused[0]}`)
    return pending.length
  }
  return Object.assign(write, { finish })
}

/** Calls at an even rate; what a late timer missed follows at once. */
async function drive(act: () => void, rate: number, seconds: number): Promise<void> {
  const started = performance.now()
  for (let done = 0; done < rate * seconds;) {
    const due = Math.min(rate * seconds, ((performance.now() - started) / 1000) * rate)
    for (; done < due; done += 1) act()
    await Bun.sleep(1000 / rate)
  }
}

async function converge(audience: Audience, head: number): Promise<number> {
  const started = performance.now()
  while (audience.complete(head) < audience.size) {
    if (performance.now() - started > CONVERGE_MS) return Infinity
    await Bun.sleep(10)
  }
  return performance.now() - started
}

function rssOf(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kilobytes) * 1024
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      subscribers: { type: 'string', default: '1000' },
      stalled: { type: 'string', default: '200' },
      seconds: { type: 'string', default: '30' },
      rate: { type: 'string', default: '30' },
      bytes: { type: 'string', default: '4300' },
      rounds: { type: 'string', default: '1' },
    },
  })
  const [subscribers, stalled] = [Number(values.subscribers), Number(values.stalled)]
  const options = {
    subscribers,
    stalled,
    seconds: Number(values.seconds),
    rate: Number(values.rate),
    eventBytes: Number(values.bytes),
  }
  const tell = async (name: string, run: Promise<SlowConsumersReport>) => {
    const report = await run
    console.log(name, JSON.stringify({ ...report, faults: report.faults.slice(0, 5) }))
    return report
  }
  const pairs = await alternate(
    Number(values.rounds),
    () => tell('with stalled ones', runSlowConsumers(options)),
    () =>
      tell('without them', runSlowConsumers({ ...options, subscribers: subscribers - stalled, stalled: 0 })),
    { warmUp: false },
  )
  const ratioOf = (phase: 'stalled' | 'catchingUp') =>
    show(summarize(pairs.map(([ours, control]) => ours.latency[phase].p99 / control.latency[phase].p99)))
  console.log(
    `p99 ratio while they stall ${ratioOf('stalled')}, while they catch up ${ratioOf('catchingUp')}`,
  )
  const failed = pairs.flat().some(({ dropped, bugs, faults, convergedMs }) => {
    return dropped + bugs + faults.length > 0 || convergedMs === Infinity
  })
  process.exit(failed ? 1 : 0)
}

if (import.meta.main) await main()
