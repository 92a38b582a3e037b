/** `npm run bench:web`: the web app in Chromium while thousands of events a second arrive, and what its first load costs. */
import type { Page } from 'playwright-core'
import { readOptions } from '../cli/options.ts'
import { createApi, type Api } from '../tests/support/api.ts'
import { startBrowser } from '../tests/support/browser.ts'
import { startProcess, tokenOf } from '../tests/support/process.ts'
import { temporaryFolder } from '../tests/support/server.ts'
import { tools } from '../tests/support/tools.ts'
import { table } from './support/rounds.ts'

const JOBS = 200
/** One request. */
const PUBLISHED_AT_ONCE = 250
const ACT_EVERY_MS = 400

/** Runs in the page before it: what the browser itself says of long tasks and of input until the next frame. */
const watch = `
  window.longTasks = []
  window.inputs = []
  // A collection of garbage that is asked for, so as to weigh what is left, stops everything; nobody asks for one otherwise.
  window.isWeighed = false
  const note = (list, wanted) => list.getEntries().forEach((entry) => window.isWeighed || (wanted(entry) && list.to.push(entry.duration)))
  new PerformanceObserver((list) => note(Object.assign(list, { to: window.longTasks }), () => true)).observe({ type: 'longtask' })
  new PerformanceObserver((list) => note(Object.assign(list, { to: window.inputs }), ({ interactionId }) => interactionId)).observe({ type: 'event', durationThreshold: 16 })
`

/** A mix as of many workers: progress above all, jobs that come and go, photos, and now and then something wrong. */
function eventAt(index: number): object {
  const job_id = `bench-${index % JOBS}`
  const about = { job_id, photo_id: null, session_id: null }
  const turn = index % 40
  if (turn === 0) return { type: 'job_started', ...about, worker: `worker-${index % 12}` }
  if (turn === 1) return { type: 'job_completed', ...about, result: {} }
  if (turn < 6)
    return {
      type: 'photo_imported',
      photo_id: index,
      file_name: `IMG_${index}.jpg`,
      file_path: `/p/IMG_${index}.jpg`,
    }
  if (turn === 6 && index % 4000 === 6)
    return { type: 'error_occurred', error_type: 'bench', error_message: `number ${index}` }
  const progress = (Math.floor(index / JOBS) * 2) % 100
  const stage = progress < 15 ? 'load' : progress < 85 ? 'develop' : 'write'
  return { type: 'job_progress', ...about, stage, progress }
}

async function publish(api: Api, perSecond: number, seconds: number): Promise<number> {
  const began = performance.now()
  let sent = 0
  while (performance.now() - began < seconds * 1000) {
    const due = Math.floor(((performance.now() - began) / 1000) * perSecond)
    if (due - sent < PUBLISHED_AT_ONCE) await Bun.sleep(5)
    else {
      const events = Array.from({ length: PUBLISHED_AT_ONCE }, (_, index) => eventAt(sent + index))
      const { status, body } = await api('POST', '/api/events', events)
      if (status !== 201) throw new Error(`publishing was answered with ${status}: ${JSON.stringify(body)}`)
      sent += PUBLISHED_AT_ONCE
    }
  }
  return sent / ((performance.now() - began) / 1000)
}

/** What people do meanwhile, again and again. */
async function use(page: Page, state: { isOver: boolean; isPaused: boolean }): Promise<void> {
  const acts = [
    () => page.getByRole('button', { name: 'photos', exact: true }).click(),
    () => page.getByLabel('Find').pressSequentially('img'),
    () => page.getByLabel('Find').fill(''),
    () => page.getByRole('button', { name: 'every step' }).click(),
    () => page.keyboard.press('2'),
    () => page.keyboard.press('1'),
    () => page.getByRole('button', { name: 'Settings' }).click(),
    () => page.keyboard.press('Escape'),
  ]
  for (let turn = 0; !state.isOver; turn += 1) {
    if (state.isPaused) {
      await Bun.sleep(ACT_EVERY_MS)
      continue
    }
    await acts[turn % acts.length]?.()
    await page.evaluate('document.activeElement?.blur()')
    await Bun.sleep(ACT_EVERY_MS)
  }
}

interface Memory {
  readonly heapMb: number
  readonly elements: number
}

async function memoryOf(page: Page): Promise<Memory> {
  const session = await page.context().newCDPSession(page)
  await session.send('HeapProfiler.collectGarbage')
  const { usedSize } = await session.send('Runtime.getHeapUsage')
  await session.detach()
  const elements = Number(await page.evaluate('document.querySelectorAll("*").length'))
  return { heapMb: usedSize / 1e6, elements }
}

function quantile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0
}

const { rate = '5000', seconds = '60' } = readOptions(process.argv.slice(2), ['rate', 'seconds'])
const chromium = tools.chromium
if (chromium === undefined) throw new Error('chromium is missing here')
await using parts = new AsyncDisposableStack()
const folder = parts.use(temporaryFolder())
const server = await startProcess({ folder: folder.path, env: { SAMPLE_INTERVAL: '1s' } })
parts.defer(async () => void (await server.kill()))
const token = await tokenOf(folder.path, 'bench')
const browser = parts.use(await startBrowser(chromium))
const page = await (await browser.newContext({ viewport: { width: 1440, height: 900 } })).newPage()

// The first load, of a page that has nothing yet.
let bytes = 0
const network = await page.context().newCDPSession(page)
await network.send('Network.enable')
network.on('Network.loadingFinished', ({ encodedDataLength }) => (bytes += encodedDataLength))
await fetch(server.url)
await page.addInitScript(watch)
await page.goto(`${server.url}/#token=${token}`)
await page.locator('.pill', { hasText: 'Live' }).waitFor()
const shownMs = Number(await page.evaluate('performance.now()'))
const paintMs = Number(
  await page.evaluate('performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0'),
)
console.log(
  `first load: ${(bytes / 1000).toFixed(0)} kB over the wire, first paint ${paintMs.toFixed(0)} ms, live ${shownMs.toFixed(0)} ms\n`,
)

const rows: string[][] = []
await page.evaluate('window.longTasks.length = 0; window.inputs.length = 0')
const state = { isOver: false, isPaused: false }
const using = use(page, state)
const spans = 4
for (let span = 0; span < spans; span += 1) {
  const reached = await publish(
    createApi(() => server.url, token),
    Number(rate),
    Number(seconds) / spans,
  )
  state.isPaused = true
  await Bun.sleep(2 * ACT_EVERY_MS)
  await page.evaluate('window.isWeighed = true')
  const { heapMb, elements } = await memoryOf(page)
  await Bun.sleep(ACT_EVERY_MS)
  await page.evaluate('window.isWeighed = false')
  state.isPaused = false
  rows.push([
    `${((span + 1) * Number(seconds)) / spans} s`,
    reached.toFixed(0),
    heapMb.toFixed(1),
    String(elements),
  ])
}
state.isOver = true
await using
const inputs = (await page.evaluate<number[]>('window.inputs')).sort((a, b) => a - b)
const longTasks = await page.evaluate<number[]>('window.longTasks')
console.log(table(['after', 'events/s', 'heap MB', 'elements'], rows))
console.log(
  `\n${inputs.length} inputs of 16 ms and more until the next frame: half within ${quantile(inputs, 0.5)} ms, ` +
    `98 % within ${quantile(inputs, 0.98)} ms, the slowest ${inputs.at(-1) ?? 0} ms`,
)
console.log(`${longTasks.length} tasks over 50 ms, the longest ${Math.max(0, ...longTasks).toFixed(0)} ms`)
