/**
 * The driver of the TypeScript client in a page: the client runs in Chromium, commands and reports pass through here.
 * Usage: chromium.ts [ENDPOINT of a shared browser that knows the page's origin]; without it a browser of its own.
 */
import { createInterface } from 'node:readline'
import { join } from 'node:path'
import { joinBrowser, servePage, startBrowser } from '../../support/browser.ts'
import { tools } from '../../support/tools.ts'
import { PAGE_ORIGIN } from '../driver.ts'

/** What chromium-page.ts offers. */
interface DriverPage {
  actOnLine(line: string): Promise<boolean>
}

const { chromium } = tools
if (chromium === undefined) throw new Error('there is no chromium here')
const bundle = await Bun.build({
  entrypoints: [join(import.meta.dir, 'chromium-page.ts')],
  target: 'browser',
})
const script = await bundle.outputs[0]?.text()
if (script === undefined) throw new AggregateError(bundle.logs, 'the page cannot be built')

// An origin of its own, as a web application has one; its page must come from this machine, or Chromium shuts it out.
await using pages = await servePage()
const { host } = new URL(PAGE_ORIGIN)
const [endpoint] = process.argv.slice(2)
await using browser =
  endpoint === undefined
    ? await startBrowser(chromium, [`MAP ${host} 127.0.0.1:${pages.port}`])
    : await joinBrowser(endpoint)
process.once('SIGTERM', () => void browser.close().finally(() => process.exit(143)))
const page = await browser.newPage()
page.on('console', (message) => console.error(message.text()))
page.on('pageerror', (error) => console.error(String(error)))
await page.exposeFunction('sayLine', (line: string) => void process.stdout.write(`${line}\n`))
await page.goto(PAGE_ORIGIN)
await page.addScriptTag({ content: script, type: 'module' })
await page.waitForFunction('globalThis.actOnLine')
const lines = createInterface({ input: process.stdin })
for await (const line of lines) {
  const isLast = await page.evaluate((text) => (globalThis as unknown as DriverPage).actOnLine(text), line)
  if (isLast) break
}
lines.close()
