/** The TypeScript client in pages of one Chromium, through every scenario. */
import { afterAll } from 'bun:test'
import { servePage, startSharedBrowser } from '../support/browser.ts'
import { tools } from '../support/tools.ts'
import { PAGE_ORIGIN } from './driver.ts'
import { playAll } from './play.ts'
import { players } from './players.ts'

const { chromium } = tools
const { words, ...player } = players.chromium
const endpoint: string[] = []
if (chromium !== undefined) {
  const pages = await servePage()
  const { host } = new URL(PAGE_ORIGIN)
  const browser = await startSharedBrowser(chromium, [`MAP ${host} 127.0.0.1:${pages.port}`])
  endpoint.push(browser.wsEndpoint())
  afterAll(async () => {
    await browser.close()
    await pages[Symbol.asyncDispose]()
  })
}

const shared = { ...player, words: [...words, ...endpoint] }
playAll(shared, ...player.needs)
playAll({ ...shared, transport: 'any' }, ...player.needs)
