/** A server as a process of its own, a browser, and a small shoot to look at: what tests of the web app share. */
import { expect } from 'bun:test'
import type { Browser, BrowserContextOptions, Locator, Page } from 'playwright-core'
import { createApi, type Api } from '../support/api.ts'
import { startBrowser } from '../support/browser.ts'
import { startProcess, tokenOf, type ServerProcess } from '../support/process.ts'
import { temporaryFolder } from '../support/server.ts'

/** As long as the browser itself waits for an element. */
const PATIENCE_MS = 30_000

export const desk = { viewport: { width: 1280, height: 800 } } as const satisfies BrowserContextOptions
export const phone = {
  viewport: { width: 390, height: 844 },
  hasTouch: true,
  isMobile: true,
} as const satisfies BrowserContextOptions

export interface Studio extends AsyncDisposable {
  readonly api: Api
  readonly browser: Browser
  readonly folder: string
  readonly url: () => string
  readonly startLink: () => string
  /** Opens the start link in a browser profile of its own. */
  open(options?: BrowserContextOptions, token?: string): Promise<Page>
  kill(): Promise<unknown>
  /** On the same folder and port. */
  restart(): Promise<void>
}

export async function startStudio(
  chromium: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Studio> {
  await using parts = new AsyncDisposableStack()
  const { path: folder } = parts.use(temporaryFolder())
  let server: ServerProcess = await startProcess({ folder, env })
  parts.defer(async () => void (await server.kill()))
  const token = await tokenOf(folder, 'photographer')
  const browser = parts.use(await startBrowser(chromium))
  const owned = parts.move()
  return {
    api: createApi(() => server.url, token),
    browser,
    folder,
    url: () => server.url,
    startLink: () => `${server.url}/#token=${token}`,
    async open(options = desk, own = token) {
      const context = await browser.newContext({ locale: 'en-GB', ...options })
      const page = await context.newPage()
      await page.goto(`${server.url}/#token=${own}`)
      return page
    },
    kill: () => server.kill(),
    async restart() {
      server = await startProcess({ folder, env: { ...env, PORT: new URL(server.url).port } })
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

export interface Photo {
  readonly id: number
  readonly file_name: string
}

/** Imports photos into a session, the first one with the best score; `develop` puts them up for approval. */
export async function importShoot(api: Api, name: string, count: number): Promise<Photo[]> {
  const session = await api<{ id: number }>('POST', '/api/sessions', { name, import_folder: `/${name}` })
  const files = Array.from({ length: count }, (_, index) => ({
    session_id: session.body.id,
    file_path: `/${name}/${name}-${String(index + 1).padStart(3, '0')}.jpg`,
  }))
  const { body } = await api<{ photos: Photo[] }>('POST', '/api/photos', files)
  for (const [index, { id }] of body.photos.entries())
    await api('PATCH', `/api/photos/${id}`, { ai_score: Math.max(1, 5 - index / 10) })
  return body.photos
}

export async function develop(api: Api, photos: readonly Photo[]): Promise<void> {
  for (const { id } of photos) {
    await api('POST', '/api/jobs', { photo_id: id })
    const claimed = await api<{ job: { id: string } }>('POST', '/api/jobs/claim', { worker: 'tester' })
    await api('POST', `/api/jobs/${claimed.body.job.id}/complete`, { result: {} })
  }
}

export const cardOf = (page: Page, { id }: Photo): Locator => page.locator(`[data-photo="${id}"]`)

/** Resolves when the page shows these cards, by file name and in their order. */
export async function seeCards(page: Page, photos: readonly Photo[]): Promise<void> {
  const names = photos.map(({ file_name }) => file_name).join()
  await eventually(async () => (await page.locator('.card-name').allTextContents()).join(), names)
}

/** Resolves when what the page shows is that: it may still be on its way, or the last thing still leaving. */
export async function eventually(look: () => Promise<unknown>, wanted: unknown): Promise<void> {
  const endMs = performance.now() + PATIENCE_MS
  let seen = await look()
  while (!Bun.deepEquals(seen, wanted) && performance.now() < endMs) {
    await Bun.sleep(20)
    seen = await look()
  }
  expect(seen).toEqual(wanted)
}

export async function openView(page: Page, name: 'Live' | 'Approval' | 'Operations'): Promise<void> {
  await page.getByRole('navigation').getByRole('link', { name }).click()
}

/** A finger that is laid on an element and drawn aside, in steps as a screen reports them. */
export async function swipe(page: Page, element: Locator, pixels: number): Promise<void> {
  const box = await element.boundingBox()
  if (!box) throw new Error('there is nothing to swipe')
  const session = await page.context().newCDPSession(page)
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 3]
  const touch = (type: 'touchStart' | 'touchMove' | 'touchEnd', at: number) =>
    session.send('Input.dispatchTouchEvent', { type, touchPoints: type === 'touchEnd' ? [] : [{ x: at, y }] })
  await touch('touchStart', x)
  for (let step = 1; step <= 8; step += 1) await touch('touchMove', x + (pixels * step) / 8)
  await touch('touchEnd', x + pixels)
  await session.detach()
}
