/** What the page does where it may not, cannot, or may no longer. */
import { expect, setDefaultTimeout } from 'bun:test'
import type { Page } from 'playwright-core'
import { needs } from '../support/needs.ts'
import { cardOf, desk, develop, eventually, importShoot, openView, phone, startStudio } from './studio.ts'

setDefaultTimeout(120_000)

needs('chromium')('a verdict that the server refuses is taken back, and says why', async ({ chromium }) => {
  await using studio = await startStudio(chromium)
  const { api } = studio
  const photos = await importShoot(api, 'harbour', 3)
  await develop(api, photos)
  const [first, second] = photos
  if (!first || !second) throw new Error('nothing was imported')
  const page = await studio.open(desk)
  await openView(page, 'Approval')
  await cardOf(page, first).waitFor()

  // Somebody else is faster, and this page does not know it yet.
  await page.route(`**/api/approval/${first.id}/approve`, async (route) => {
    const body = {
      title: 'Conflict',
      status: 409,
      code: 'conflict',
      current_status: 'rejected',
      detail: 'no',
    }
    await route.fulfill({ status: 409, contentType: 'application/problem+json', body: JSON.stringify(body) })
  })
  await page.getByRole('button', { name: `Approve ${first.file_name}` }).click()
  await cardOf(page, first).getByText('it is already rejected').waitFor()

  // An answer that is lost, and those that a server gives which is not ready, are asked for again with the same key: it happens once.
  const busy = 6
  const keys: (string | undefined)[] = []
  await page.route(`**/api/approval/${second.id}/approve`, async (route) => {
    keys.push(route.request().headers()['idempotency-key'])
    if (keys.length === 1) {
      await route.fetch()
      return await route.abort()
    }
    if (keys.length <= busy + 1) return await route.fulfill({ status: 503, headers: { 'Retry-After': '0' } })
    await route.continue()
  })
  await page.getByRole('button', { name: `Approve ${second.file_name}` }).click()
  await cardOf(page, second).waitFor({ state: 'detached' })
  await page.getByText('Sending').waitFor({ state: 'detached' })
  expect(keys.length).toBe(busy + 2)
  expect(new Set(keys).size).toBe(1)
  await eventually(() => page.locator('.card-refusal').count(), 1)
})

needs('chromium')('a token opens what it grants and the page says what it lacks', async ({ chromium }) => {
  await using studio = await startStudio(chromium)
  const { api } = studio
  await develop(api, await importShoot(api, 'harbour', 2))
  const tokenFor = async (scope: string, expires_in = 600) =>
    (await api<{ token: string }>('POST', '/api/tokens', { subject: 'guest', scope, expires_in })).body.token

  const looker = await studio.open(desk, await tokenFor('events:read api:read'))
  await openView(looker, 'Approval')
  await looker.locator('.card').nth(1).waitFor()
  await looker.getByText('You may look, but not decide').waitFor()
  expect(await looker.getByRole('button', { name: /^Approve/ }).count()).toBe(0)
  await looker.locator('.card').first().focus()
  await looker.keyboard.press('a')
  await openView(looker, 'Operations')
  await looker.getByText('This view needs a token with the scope admin.').waitFor()

  const listener = await studio.open(phone, await tokenFor('events:read:jobs events:read:system'))
  await listener.locator('.pill', { hasText: 'Live' }).waitFor()
  await api('POST', '/api/system/errors', { error_type: 'mark', error_message: 'for all' })
  await listener.locator('.alert', { hasText: 'for all' }).waitFor()
  await listener.getByText('Your token does not open this. Ask for one with events:read:sessions.').waitFor()
  await listener.getByText('Your token does not list jobs.').waitFor()
  await openView(listener, 'Approval')
  await listener.getByText('No rights for this view').waitFor()

  // A number that no event moves on is not shown, and one that events alone tell from the first of them on.
  const counted = async (page: Page) =>
    (await page.locator('.count-completed dd, .count-approval dd').allTextContents()).join()
  const narrow = await studio.open(desk, await tokenFor('events:read:jobs events:read:system api:read'))
  await narrow.locator('.event', { hasText: 'is developed' }).first().waitFor()
  await narrow.getByText('Ask for one with events:read:sessions.').waitFor()
  expect(await counted(narrow)).toBe('–,–')
  const deaf = await studio.open(desk, await tokenFor('events:read'))
  await deaf.locator('.event', { hasText: 'is developed' }).first().waitFor()
  expect(await counted(deaf)).toBe('–,–')
  await develop(api, await importShoot(api, 'lookbook', 1))
  await eventually(() => counted(deaf), '3,3')
  expect(await counted(narrow)).toBe('–,–')

  const nobody = await studio.open(desk, await tokenFor('api:write'))
  await nobody.getByText('Your token opens no events.').waitFor()
  await nobody.locator('.pill', { hasText: 'Live' }).waitFor()

  const brief = await studio.open(desk, await tokenFor('events:read api:read', 4))
  await brief.getByText('Your token has ended.').waitFor()

  const wrong = await studio.open(desk, 'a.b.c')
  await wrong.getByText('The server does not accept this token.').waitFor()
  await wrong.getByLabel('Token').fill(`${studio.url()}/#token=${await tokenFor('events:read api:read')}`)
  await wrong.getByRole('button', { name: 'Open' }).click()
  await wrong.locator('.session', { hasText: 'harbour' }).waitFor()
  const queue = await api<{ total: number }>('GET', '/api/approval/queue')
  expect(queue.body.total).toBe(3)
})

needs('chromium')(
  'where programs of this machine have some rights without a token the page asks for one',
  async ({ chromium }) => {
    // Of the first nothing can be read, with the second no events be followed by a page.
    const env = { LOCAL_SCOPE: 'events:read events:publish api:write' }
    await using studio = await startStudio(chromium, env)
    const page = await (await studio.browser.newContext({ ...desk, locale: 'en-GB' })).newPage()

    for (const scope of [env.LOCAL_SCOPE, 'events:read api:read']) {
      if (scope !== env.LOCAL_SCOPE) {
        await studio.kill()
        env.LOCAL_SCOPE = scope
        await studio.restart()
      }
      await page.goto(studio.url())
      await page.getByLabel('Token').waitFor()
      await page.getByText('Lightwire prints a link when it starts.').waitFor()
    }
  },
)
