/** The hooks for React and the example, in a real Chromium against a real server. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { servePage, startBrowser, type PageServer } from '../support/browser.ts'
import { projectRoot } from '../support/process.ts'
import { startTestServer, type TestServer } from '../support/server.ts'
import { tools } from '../support/tools.ts'
import { PAGE_ORIGIN } from './driver.ts'
import { unique } from './stage.ts'

setDefaultTimeout(60_000)
const { chromium } = tools
const isMissing = chromium === undefined && process.env['CI'] !== 'true'
const example = join(projectRoot, 'clients', 'typescript', 'examples', 'progress', 'serve.ts')

/** What react-page.ts offers in the page. */
interface HooksPage {
  begin(setup: { url: string; token: string }): void
  show(...names: string[]): void
}

let exampleOrigin: string
let server: TestServer
let pages: PageServer
let progress: Bun.Subprocess<'ignore', 'pipe', 'inherit'>
let browser: Browser
let script: string | undefined

describe.skipIf(isMissing)('in Chromium', () => {
  beforeAll(async () => {
    // The server names the origin of the page, and the page the address of the server.
    const free = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response() })
    const { port } = free
    await free.stop(true)
    exampleOrigin = `http://localhost:${port}`
    server = await startTestServer({ ALLOWED_ORIGINS: [PAGE_ORIGIN, exampleOrigin] })
    pages = await servePage()
    const env = {
      PATH: process.env['PATH'] ?? '',
      PORT: String(port),
      LIGHTWIRE_URL: server.url,
      LIGHTWIRE_TOKEN: server.token,
    }
    progress = Bun.spawn([process.execPath, 'run', example], {
      env,
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'inherit',
    })
    await progress.stdout.getReader().read()
    browser = await startBrowser(chromium ?? '', [`MAP ${new URL(PAGE_ORIGIN).host} 127.0.0.1:${pages.port}`])
    const built = await Bun.build({
      entrypoints: [join(import.meta.dir, 'react-page.ts')],
      target: 'browser',
    })
    script = await built.outputs[0]?.text()
  })
  afterAll(async () => {
    progress.kill()
    await browser.close()
    await pages[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
  })

  /** A page with hooks, and what it sends to the server. */
  async function openHooks(): Promise<{
    page: Page
    sent: { type: string }[]
    show(...names: string[]): Promise<void>
  }> {
    const page = await browser.newPage()
    const sent: { type: string }[] = []
    page.on('websocket', (socket) =>
      socket.on('framesent', ({ payload }) => sent.push(JSON.parse(String(payload)) as { type: string })),
    )
    await page.goto(PAGE_ORIGIN)
    await page.addScriptTag({ content: script ?? '', type: 'module' })
    await page.waitForFunction('globalThis.begin')
    const { url, token } = server
    await page.evaluate((setup) => (globalThis as unknown as HooksPage).begin(setup), { url, token })
    await page.waitForFunction('globalThis.client.status === "connected"')
    const show = (...names: string[]) =>
      page.evaluate((all) => (globalThis as unknown as HooksPage).show(...all), names)
    return { page, sent, show }
  }
  const shows = (page: Page, texts: readonly unknown[]) =>
    page.waitForFunction(
      `document.body.innerText.split('\\n').filter(Boolean).join() === ${JSON.stringify(texts.map((text) => JSON.stringify(text)).join())}`,
    )
  const subscribed = (page: Page, channel: string) =>
    page.waitForFunction(`globalThis.client.cursor?.includes('${channel}=')`)
  const shoot = async (): Promise<number> => {
    const name = unique('shoot')
    const { body } = await server.api<{ id: number }>('POST', '/api/sessions', {
      name,
      import_folder: `/${name}`,
    })
    return body.id
  }
  const photo = async (session: number | undefined): Promise<number> => {
    const { body } = await server.api<{ id: number }>('POST', '/api/photos', {
      session_id: session,
      file_path: `/${unique('photo')}.raw`,
    })
    return body.id
  }
  const head = async (channel: string): Promise<number> => {
    const { cursor } = await server.api('GET', '/api/sessions?limit=1')
    return Number(new RegExp(`${channel}=(\\d+)`).exec(cursor ?? '')?.[1])
  }

  test('a component in StrictMode subscribes once, keeps the newest events, and lets go when it is gone', async () => {
    const { page, sent, show } = await openHooks()
    const types = () => sent.map(({ type }) => type).filter((type) => type !== 'ping')

    await show('events')
    await subscribed(page, 'sessions')
    for (let n = 0; n < 5; n += 1) await shoot()
    const last = await head('sessions')
    await shows(page, [[last - 2, last - 1, last]])
    await show()
    await page.waitForFunction('globalThis.client.channels.length === 0')

    expect(types()).toEqual(['register', 'subscribe', 'unsubscribe'])
    await page.close()
  })

  test('components that share a channel share its subscription, and each sees what it asked for', async () => {
    const pair = [await shoot(), await shoot()] as const
    const { page, sent, show } = await openHooks()
    await show(`one:${pair[0]}`, `two:${pair[1]}`)
    await subscribed(page, 'photos')
    // The second asked for something else than the first, so the channel came to be subscribed whole.
    await page.waitForFunction('globalThis.client.status === "connected"')
    await photo(pair[0])
    const one = await head('photos')
    await photo(pair[1])
    const two = await head('photos')
    await shows(page, [[one], [two]])
    await show(`two:${pair[1]}`)
    await photo(pair[1])

    await shows(page, [[two, two + 1]])
    expect(sent.filter(({ type }) => type === 'unsubscribe')).toEqual([])
    await page.close()
  })

  test('useLatest keeps the newest event per key, of so many keys', async () => {
    const { page, show } = await openHooks()
    await show('latest')
    await subscribed(page, 'sessions')
    const ids = [await shoot(), await shoot(), await shoot()]
    for (const id of [...ids, ids[1]]) await photo(id)

    await shows(page, [
      [
        [String(ids[2]), 1],
        [String(ids[1]), 2],
      ],
    ])
    await page.close()
  })

  test('useSnapshot is the state of the server, and follows it', async () => {
    const { page, show } = await openHooks()
    const read = async () => {
      const { body } = await server.api<{ sessions: { id: number }[] }>('GET', '/api/sessions?limit=500')
      return body.sessions.map(({ id }) => id).toSorted((a, b) => a - b)
    }
    await show('snapshot', 'status')
    await shows(page, [await read(), 'connected'])
    await shoot()

    await shows(page, [await read(), 'connected'])
    await page.close()
  })

  test('after a final close components still come and go, and useSnapshot has no state', async () => {
    const { page, show } = await openHooks()
    const errors: string[] = []
    page.on('pageerror', (error) => errors.push(String(error)))
    await page.evaluate('globalThis.client.close()')
    await show('events', 'snapshot', 'status')

    await shows(page, [[], null, 'closed'])
    expect(errors).toEqual([])
    await page.close()
  })

  test('the example shows each job as it goes on, also what began before it was opened', async () => {
    const session = await shoot()
    const start = async () => {
      await server.api('POST', '/api/jobs', { photo_id: await photo(session) })
      const { body } = await server.api<{ job: { id: string } }>('POST', '/api/jobs/claim', {
        worker: 'mill',
      })
      return body.job.id
    }
    const [early, late] = [await start(), await start()]
    await server.api('POST', `/api/jobs/${early}/progress`, { stage: 'denoise', progress: 40 })
    const page = await browser.newPage()
    const errors: string[] = []
    page.on('pageerror', (error) => errors.push(String(error)))
    await page.goto(exampleOrigin)
    const row = (words: string) => page.locator('li', { hasText: words }).first().waitFor({ timeout: 20_000 })
    await row('denoise')
    await server.api('POST', `/api/jobs/${late}/progress`, { stage: 'develop', progress: 75 })
    await row('develop')
    await server.api('POST', `/api/jobs/${early}/complete`, { result: {} })
    await row('100 %')

    await page.locator('small', { hasText: /^connected$/ }).waitFor()
    expect(errors).toEqual([])
    await page.close()
  })
})
