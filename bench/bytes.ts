/** `npm run bench:bytes`: bytes of one import's progress on the wire, per framing, with batches and without, in real time. */
import { readOptions } from '../cli/options.ts'
import { decodeFrame, framings, type Framing } from '../lib/protocol/codec.ts'
import { createApi, type Api } from '../tests/support/api.ts'
import { startProcess, tokenOf } from '../tests/support/process.ts'
import { temporaryFolder } from '../tests/support/server.ts'
import { importReports, JOBS } from './support/import-reports.ts'
import { openRawSocket } from './support/raw-socket.ts'
import { table } from './support/rounds.ts'

const FRAME_BYTES_MAX = 65_536
const BATCH_MS = 500
const modes = {
  'one by one': {},
  'batch_ms 500': { batch_ms: BATCH_MS },
  'and conflate': { batch_ms: BATCH_MS, conflate: true },
} as const
type Mode = keyof typeof modes
const modeNames = Object.keys(modes) as readonly Mode[]

interface Line {
  readonly framing: Framing
  readonly mode: Mode
  /** Seq up to which everything came. */
  upto: number
  /** Of the server's side of the TCP stream since the subscription was confirmed. */
  readonly bytes: () => number
}

/** Every framing in every mode, side by side on one server, while four jobs report so many times a second. */
async function measure(perSecond: number, events: number): Promise<Line[]> {
  using folder = temporaryFolder()
  const { url, kill } = await startProcess({ folder: folder.path, env: { RATE_REQUESTS: '0' } })
  await using parts = new AsyncDisposableStack()
  parts.defer(async () => void (await kill()))
  const token = await tokenOf(folder.path)
  const api = createApi(() => url, token)
  const jobs = await claimJobs(api)
  const lines = await Promise.all(
    framings.flatMap((framing) => modeNames.map((mode) => openLine({ url, token, framing, mode }, parts))),
  )

  const beganMs = performance.now()
  for (const [index, { job, ...report }] of importReports(events).entries()) {
    await Bun.sleep(Math.max(0, beganMs + (index * 1000) / perSecond - performance.now()))
    const { status } = await api('POST', `/api/jobs/${jobs[job]}/progress`, report)
    if (status !== 200) throw new Error(`a report was answered with ${status}`)
  }
  const took = (performance.now() - beganMs) / 1000
  console.error(`${events} reports in ${took.toFixed(1)} s (${(events / took).toFixed(1)} a second)`)
  const head = headOf(await api('GET', '/api/queue'))
  while (lines.some(({ upto }) => upto < head)) await Bun.sleep(10)
  return lines.map((line) => ({
    ...line,
    bytes: (
      (bytes) => () =>
        bytes
    )(line.bytes()),
  }))
}

async function claimJobs(api: Api): Promise<string[]> {
  const { body } = await api<{ id: number }>('POST', '/api/sessions', {
    name: 'Import',
    import_folder: '/card',
  })
  const claimed: string[] = []
  for (let n = 1; n <= JOBS; n += 1) {
    const photo = { session_id: body.id, file_path: `/card/IMG_${400 + n}.CR3` }
    const { body: row } = await api<{ id: number }>('POST', '/api/photos', photo)
    await api('POST', '/api/jobs', { photo_id: row.id })
    const { body: claim } = await api<{ job: { id: string } }>('POST', '/api/jobs/claim', {
      worker: 'import',
    })
    claimed.push(claim.job.id)
  }
  return claimed
}

async function openLine(
  { url, token, framing, mode }: { url: string; token: string; framing: Framing; mode: Mode },
  parts: AsyncDisposableStack,
): Promise<Line> {
  const confirmed = Promise.withResolvers<void>()
  let before = 0
  const line = { framing, mode, upto: 0, bytes: () => socket.state.bytes - before }
  const socket = await openRawSocket({
    url,
    token,
    framing,
    onFrame(payload) {
      const frame = framing === 'json' ? payload.toString() : payload
      const message = decodeFrame(framing, frame, FRAME_BYTES_MAX) as Record<string, unknown>
      if (message['type'] === 'subscription_confirmed') {
        before = socket.state.bytes
        line.upto = Number(String(message['cursor']).split('=')[1])
        confirmed.resolve()
      }
      const [after, upto] = message['seq']
        ? [Number(message['seq']) - 1, message['seq']]
        : [message['after'], message['upto']]
      if (upto === undefined) return
      if (after !== line.upto) throw new Error(`${framing}, ${mode}: ${String(after)} after ${line.upto}`)
      line.upto = Number(upto)
    },
  })
  parts.defer(() => void socket.terminate())
  socket.send({ type: 'subscribe', channels: ['jobs'], ...modes[mode] })
  await confirmed.promise
  return line
}

const headOf = ({ cursor }: { readonly cursor: string | null }) =>
  Number(/jobs=(\d+)/.exec(cursor ?? '')?.[1])

const { rate = '4,40', events = '2000' } = readOptions(process.argv.slice(2), ['rate', 'events'])
const rates = rate.split(',').map(Number)
const measured = await Promise.all(rates.map((perSecond) => measure(perSecond, Number(events))))
const rows = rates.flatMap((perSecond, index) => {
  const lines = measured[index] ?? []
  const bytesOf = (framing: Framing, mode: Mode) =>
    lines.find((line) => line.framing === framing && line.mode === mode)?.bytes() ?? NaN
  const plain = bytesOf('json', 'one by one')
  const cell = (bytes: number) =>
    `${Math.round(bytes / Number(events))} B (${((bytes / plain) * 100).toFixed(1)} %)`
  return framings.map((framing) => [
    String(perSecond),
    framing,
    ...modeNames.map((mode) => cell(bytesOf(framing, mode))),
  ])
})
console.log(table(['a second', 'framing', ...modeNames], rows))
