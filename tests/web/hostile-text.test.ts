/** Whatever users and workers write into any field is text on the page, and nothing of it runs. */
import { expect, setDefaultTimeout } from 'bun:test'
import type { Page } from 'playwright-core'
import { needs } from '../support/needs.ts'
import type { Api } from '../support/api.ts'
import { TestClient } from '../support/client.ts'
import { payloads } from './payloads.ts'
import { desk, eventually, openView, startStudio } from './studio.ts'

setDefaultTimeout(120_000)

/** Runs before anything of the page's own. */
const listen = `
  window.ranPayloads = []
  window.ran = (n) => window.ranPayloads.push(n)
  for (const name of ['alert', 'confirm', 'prompt', 'print']) window[name] = () => window.ranPayloads.push(name)
`

/** What a page would hold that took a text for HTML: elements that it has none of, and handlers in attributes. */
const planted = `[...document.body.querySelectorAll('*')].filter((element) =>
  element.matches('script:not([src^="/assets/"]), iframe, object, embed, base, meta, link, style, template, video, audio, math, marquee, form[action], image, x') ||
  (element.matches('img') && !element.src.startsWith('blob:')) ||
  [...element.attributes].some(({ name, value }) => /^on/.test(name) || (/(href|src|action|data)$/.test(name) && /script:|^data:/i.test(value)))
).map((element) => element.outerHTML.slice(0, 200))`

/** Every field that somebody can write, by whoever writes it. */
async function writeEverywhere(plain: Api, text: string, index: number): Promise<void> {
  const api: Api = async (method, path, body) => {
    const answer = await plain(method, path, body)
    if (answer.status >= 300) throw new Error(`${path} ${answer.status} ${JSON.stringify(answer.body)}`)
    return answer as never
  }
  const session = await api<{ id: number }>('POST', '/api/sessions', { name: text, import_folder: text })
  const photo = await api<{ id: number }>('POST', '/api/photos', {
    session_id: session.body.id,
    file_path: `/${index}/${text}`,
    file_name: text.slice(0, 255),
  })
  const { id } = photo.body
  await api('PATCH', `/api/photos/${id}`, { ai_score: 5, analysis_results: { [text.slice(0, 40)]: text } })
  await api('PATCH', `/api/photos/${id}`, { context_tag: text, selected_preset: text })
  await api('POST', '/api/jobs', { photo_id: id, config: { preset: text } })
  const { body } = await api<{ job: { id: string } }>('POST', '/api/jobs/claim', { worker: text })
  await api('POST', `/api/jobs/${body.job.id}/progress`, { stage: text, progress: 50, message: text })
  // A third is left in work, a third fails, a third waits for approval.
  if (index % 3 === 1) await api('POST', `/api/jobs/${body.job.id}/fail`, { error_message: text })
  if (index % 3 === 2) {
    await api('POST', `/api/jobs/${body.job.id}/complete`, { result: { output: text } })
    await api('POST', '/api/exports', { photo_id: id, preset_name: text, destination: text })
  }
  await api('POST', '/api/system/errors', { error_type: text, error_message: text })
  await api('POST', '/api/system/status', { status: text, details: { note: text } })
}

async function findings(page: Page): Promise<unknown> {
  return await page.evaluate(`({ ran: window.ranPayloads, planted: ${planted} })`)
}

needs('chromium')(
  'sixty payloads in every field that somebody can write run nothing',
  async ({ chromium }) => {
    await using studio = await startStudio(chromium)
    const { api } = studio
    expect(payloads.length).toBeGreaterThanOrEqual(60)
    const page = await studio.open(desk)
    await page.addInitScript(listen)
    const violations: string[] = []
    page.on('dialog', (dialog) => violations.push(dialog.message()))
    page.on('console', (message) => {
      if (/Content.Security.Policy/i.test(message.text())) violations.push(message.text())
    })
    await page.reload()
    await page.locator('.pill', { hasText: 'Live' }).waitFor()

    for (const [index, text] of payloads.entries()) await writeEverywhere(api, text, index)
    for (const text of payloads)
      await api('POST', '/api/websocket/broadcast', { message: { type: 'notice', text } })
    // An operator's list shows what clients call themselves and whom their tokens name.
    const [hostile = ''] = payloads
    const token = await api<{ token: string }>('POST', '/api/tokens', {
      subject: hostile,
      scope: 'events:read',
      expires_in: 600,
    })
    const client = new TestClient({
      url: `${studio.url().replace('http', 'ws')}/ws`,
      framing: 'json',
      token: token.body.token,
    })
    await client.opened
    await client.request({ type: 'register', client_type: 'gui', client_name: hostile })

    await page.locator('.notice-said', { hasText: payloads.at(-1) ?? '' }).waitFor()
    await eventually(() => page.locator('.notice').count(), 3)
    expect(await findings(page)).toEqual({ ran: [], planted: [] })
    await page.getByRole('button', { name: /^Close all/ }).click()

    // Live from events, then read anew as state; each view, and the feed from end to end.
    for (const phase of ['events', 'state']) {
      if (phase === 'state') await page.reload()
      const last = payloads.at(-1) ?? ''
      await page.locator('.counts-system', { hasText: last.slice(0, 30) }).waitFor()
      await eventually(() => page.locator('.session-name').first().textContent(), last)
      await page.getByRole('button', { name: /^Show \d+ more/ }).click()
      await page.getByRole('button', { name: 'every step' }).click()
      for (let end = 0; end < 12; end += 1) {
        await page.evaluate(`document.querySelector('.feed-scroll').scrollBy(0, 900)`)
        expect(await findings(page)).toEqual({ ran: [], planted: [] })
      }
      await eventually(() => page.locator('.alert').count(), 20)
      await openView(page, 'Approval')
      await page.locator('.card').nth(10).waitFor()
      await page.locator('.card-detail', { hasText: 'ran(' }).first().waitFor()
      expect(await findings(page)).toEqual({ ran: [], planted: [] })
      await openView(page, 'Operations')
      await page.getByRole('rowheader', { name: hostile }).waitFor()
      expect(await findings(page)).toEqual({ ran: [], planted: [] })
      await openView(page, 'Live')
    }
    expect(violations).toEqual([])
    client.close()
  },
)
