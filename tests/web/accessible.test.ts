/** Every view in both themes, on a desk and on a phone, as axe sees it; and the ways through it without a mouse. */
import { expect, setDefaultTimeout } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { needs } from '../support/needs.ts'
import { projectRoot } from '../support/process.ts'
import { desk, develop, eventually, importShoot, openView, phone, startStudio } from './studio.ts'

setDefaultTimeout(120_000)

const axe = readFileSync(join(projectRoot, 'node_modules', 'axe-core', 'axe.min.js'), 'utf8')

interface Violation {
  readonly id: string
  readonly nodes: readonly string[]
}

async function violations(page: Page): Promise<Violation[]> {
  // By the debugger, which the page's policy does not bind.
  return await page.evaluate<Violation[]>(`${axe};
    axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations.map(({ id, nodes }) =>
      ({ id, nodes: nodes.map(({ html, failureSummary }) => html.slice(0, 160) + ' ' + failureSummary) })))`)
}

needs('chromium')('axe finds no violation in any view, theme and size', async ({ chromium }) => {
  await using studio = await startStudio(chromium)
  const { api } = studio
  const photos = await importShoot(api, 'wedding', 8)
  await develop(api, photos.slice(0, 4))
  await api('POST', '/api/jobs', { photo_id: photos[5]?.id })
  await api('POST', '/api/jobs', { photo_id: photos[6]?.id })
  const { body } = await api<{ job: { id: string } }>('POST', '/api/jobs/claim', { worker: 'atelier-1' })
  await api('POST', `/api/jobs/${body.job.id}/progress`, { stage: 'develop', progress: 40 })
  await api('POST', '/api/system/errors', { error_type: 'profile', error_message: 'missing' })
  await api('POST', '/api/system/status', { status: 'running' })

  const found: Record<string, Violation[]> = {}
  for (const colorScheme of ['light', 'dark'] as const) {
    // Colours are the same in both sizes.
    const sizes = colorScheme === 'light' ? [desk] : [desk, phone]
    for (const options of sizes) {
      const look = async (name: string) => {
        const wrong = await violations(page)
        if (wrong.length > 0) found[`${name} ${colorScheme} ${options.viewport.width}`] = wrong
      }
      const page = await studio.open({ ...options, colorScheme, reducedMotion: 'reduce' })
      await page.locator('.job').waitFor()
      await look('live')
      await openView(page, 'Approval')
      await page.locator('.card').nth(3).waitFor()
      await page.locator('.card').first().focus()
      await page.keyboard.press('x')
      await look('approval')
      await openView(page, 'Operations')
      await page.getByRole('rowheader', { name: 'dashboard' }).first().waitFor()
      await page.getByLabel('For whom').fill('phone')
      await page.getByRole('button', { name: 'Issue' }).click()
      await page.locator('.qr').waitFor()
      await look('operations')
      await page.getByRole('button', { name: 'Settings' }).click()
      await look('settings')
      await page.getByRole('button', { name: 'Sign out' }).click()
      await page.getByRole('heading', { name: 'Open with a start link' }).waitFor()
      await look('entry')
      await page.context().close()
    }
  }

  expect(found).toEqual({})
})

needs('chromium')(
  'everything can be reached and done by keys, in English and in Japanese',
  async ({ chromium }) => {
    await using studio = await startStudio(chromium)
    await develop(studio.api, await importShoot(studio.api, 'harbour', 3))
    const page = await studio.open({ ...desk, locale: 'ja-JP' })
    await page.getByRole('link', { name: 'ライブ' }).waitFor()
    await eventually(() => page.evaluate('document.documentElement.lang'), 'ja')

    await page.keyboard.press('2')
    await page.locator('.card').nth(2).waitFor()
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('r')
    await page.locator('.card').nth(2).waitFor({ state: 'detached' })
    await page.keyboard.press('ArrowRight')
    await page.keyboard.press('a')
    await page.locator('.card').nth(1).waitFor({ state: 'detached' })
    await page.keyboard.press('?')
    await page.getByRole('dialog', { name: 'キーボード操作' }).waitFor()
    await page.keyboard.press('Escape')
    await page.keyboard.press('1')
    await page.locator('.find input').waitFor()
    await page.keyboard.press('/')
    await page.keyboard.type('harbour-003')
    await page.locator('.event', { hasText: 'harbour-003.jpg を承認' }).waitFor()
    await page.locator('.event', { hasText: 'harbour-001' }).first().waitFor({ state: 'detached' })

    const queue = await studio.api<{ photos: { file_name: string }[] }>('GET', '/api/approval/queue')
    expect(queue.body.photos.map(({ file_name }) => file_name)).toEqual(['harbour-002.jpg'])
  },
)

/** Elements whose words take more than one line. */
const broken = `[...document.querySelectorAll('.chip')].filter((chip) => {
  const words = document.createRange()
  words.selectNodeContents(chip)
  return words.getClientRects().length > 1
}).map(({ textContent }) => textContent)`

needs('chromium')(
  'on a phone no view is wider than the page, and no word of a button is broken',
  async ({ chromium }) => {
    await using studio = await startStudio(chromium)
    const { api } = studio
    const name = 'The wedding of Aiko and Haruto in the old harbour of Yokohama, second day, the evening'
    for (const end of ['one', 'two']) await develop(api, await importShoot(api, `${name}, ${end}`, 1))
    const page = await studio.open({ ...phone, locale: 'ja-JP' })
    const width = () => page.evaluate('document.documentElement.scrollWidth')

    await page.locator('.event').first().waitFor()
    expect([await width(), await page.evaluate(broken)]).toEqual([phone.viewport.width, []])
    await page.getByRole('link', { name: '承認' }).click()
    await page.locator('.approval-head select').waitFor()
    expect(await width()).toBe(phone.viewport.width)

    const narrow = await studio.open({ ...phone, viewport: { width: 320, height: 640 } })
    for (const view of ['Live', 'Approval', 'Operations'] as const) {
      await openView(narrow, view)
      await narrow
        .locator(view === 'Operations' ? '.panel-journal table' : 'main')
        .first()
        .waitFor()
      expect([view, await narrow.evaluate('document.documentElement.scrollWidth')]).toEqual([view, 320])
    }
  },
)
