/** The web app in a real Chromium against a real server: a shoot from the start link to the end of it. */
import { expect, setDefaultTimeout } from 'bun:test'
import { needs } from '../support/needs.ts'
import {
  cardOf,
  desk,
  develop,
  eventually,
  importShoot,
  openView,
  phone,
  seeCards,
  startStudio,
  swipe,
} from './studio.ts'

setDefaultTimeout(120_000)

needs('chromium')(
  'a shoot is seen as it happens, decided by key and by swipe, and two browsers agree',
  async ({ chromium }) => {
    await using studio = await startStudio(chromium)
    const { api } = studio
    const page = await studio.open(desk)

    // The token is in this tab, and neither in the address nor where other tabs would see it.
    await page.getByText('No session yet').waitFor()
    expect(page.url()).not.toContain('token')
    expect(await page.evaluate('Object.keys(localStorage).join()')).not.toContain('token')

    const photos = await importShoot(api, 'wedding', 6)
    const session = page.locator('.session', { hasText: 'wedding' })
    await session.getByText('0 of 6 done').waitFor()
    const [first, second, third] = photos
    if (!first || !second || !third) throw new Error('nothing was imported')
    await api('POST', '/api/jobs', { photo_id: first.id })
    const { body } = await api<{ job: { id: string } }>('POST', '/api/jobs/claim', { worker: 'atelier-1' })
    await api('POST', `/api/jobs/${body.job.id}/progress`, { stage: 'develop', progress: 40 })
    const job = page.locator('.job', { hasText: first.file_name })
    await job.getByText('atelier-1').waitFor()
    await eventually(() => job.getByRole('progressbar').getAttribute('aria-valuenow'), '40')
    await api('POST', `/api/jobs/${body.job.id}/complete`, { result: {} })
    await develop(api, photos.slice(1))
    await session.getByText('6 of 6 done').waitFor()
    await page.locator('.event', { hasText: `${first.file_name} is developed` }).waitFor()

    await openView(page, 'Approval')
    await cardOf(page, third).waitFor()
    const hand = await studio.open(phone)
    await openView(hand, 'Approval')
    await cardOf(hand, third).waitFor()
    await seeCards(page, photos)

    await page.keyboard.press('ArrowRight')
    await page.keyboard.press('a')
    await cardOf(hand, first).waitFor({ state: 'detached' })
    await swipe(hand, cardOf(hand, second), -200)
    await cardOf(page, second).waitFor({ state: 'detached' })
    await swipe(hand, cardOf(hand, third), 200)
    await cardOf(page, third).waitFor({ state: 'detached' })
    // Not far enough: nothing is decided.
    const fourth = photos[3]
    if (!fourth) throw new Error('too few were imported')
    await swipe(hand, cardOf(hand, fourth), 40)

    const statuses = await Promise.all(
      photos.map(async ({ id }) => (await api<{ status: string }>('GET', `/api/photos/${id}`)).body.status),
    )
    expect(statuses).toEqual(['approved', 'rejected', 'approved', 'completed', 'completed', 'completed'])
    await seeCards(page, photos.slice(3))
    await seeCards(hand, photos.slice(3))

    // Many at once: what is left, by keys alone.
    await page.keyboard.press('Shift+A')
    await page.getByText('3 selected').waitFor()
    await page.keyboard.press('r')
    await page.getByText('All decided').waitFor()
    await hand.getByText('All decided').waitFor()
    const queue = await api<{ total: number }>('GET', '/api/approval/queue')
    expect(queue.body.total).toBe(0)
  },
)

needs('chromium')(
  'a session that is looked at alone ends by itself, and a key decides no more than is meant',
  async ({ chromium }) => {
    await using studio = await startStudio(chromium)
    const { api } = studio
    await develop(api, await importShoot(api, 'alpha', 2))
    const others = await importShoot(api, 'beta', 3)
    await develop(api, others)
    const page = await studio.open(desk)
    await openView(page, 'Approval')
    await page.locator('.card').nth(4).waitFor()

    await page.getByLabel('Session').selectOption({ label: 'alpha' })
    await eventually(() => page.locator('.card').count(), 2)
    await page.locator('.card').first().focus()
    await page.keyboard.press('a')
    await eventually(() => page.locator('.card').count(), 1)
    await page.keyboard.press('a')
    await page.getByText('All of this session are decided. Others still wait.').waitFor()
    await page.locator('.approval-count', { hasText: /^3$/ }).waitFor()
    await page.keyboard.press('a')
    await page.getByLabel('Session').selectOption({ label: 'All sessions' })
    await seeCards(page, others)

    // A key that is held down decides once, and Caps Lock makes no verdict of a selection.
    await page.locator('.card').first().focus()
    for (let press = 0; press < 3; press += 1) await page.keyboard.down('r')
    await page.keyboard.up('r')
    await seeCards(page, others.slice(1))
    const held = { key: 'a', shiftKey: true, bubbles: true, cancelable: true }
    await page.locator('.card').first().dispatchEvent('keydown', held)
    await page.getByText('2 selected').waitFor()
    // A box that was ticked is no field to type in.
    for (const box of await page.getByRole('checkbox').all()) await box.click()
    await page.getByText('2 selected').waitFor({ state: 'detached' })
    await page.keyboard.press('1')
    await page.locator('.feed').waitFor()
    await page.keyboard.press('2')
    await page.locator('.card').first().dispatchEvent('keydown', held)
    await page.getByText('2 selected').waitFor()
    await page
      .locator('.card')
      .first()
      .dispatchEvent('keydown', { ...held, key: 'A', shiftKey: false })
    await page.getByText('All decided').waitFor()
    const waiting = () => api<{ total: number }>('GET', '/api/approval/queue')
    await eventually(async () => (await waiting()).body.total, 0)
  },
)

needs('chromium')(
  'after a kill and a restart the page goes on by itself, and nothing is missing or there twice',
  async ({ chromium }) => {
    await using studio = await startStudio(chromium)
    const { api } = studio
    const report = (from: number, to: number) =>
      Promise.all(
        Array.from({ length: to - from }, (_, index) =>
          api('POST', '/api/system/errors', { error_type: 'mark', error_message: `number ${from + index}.` }),
        ),
      )
    const photos = await importShoot(api, 'harbour', 12)
    await develop(api, photos.slice(0, 4))
    const page = await studio.open(desk)
    await report(0, 6)
    // Beside them may be a warning about this machine.
    const marks = page.locator('.alert', { hasText: 'mark: number' })
    await marks.nth(5).waitFor()

    const other = await studio.open(desk)
    await other.evaluate('navigator.serviceWorker.ready.then(() => true)')
    await studio.kill()
    await page.getByText('The server does not answer.').waitFor()
    // The page itself is there while nobody serves it.
    await other.reload()
    await other.getByText('The server does not answer yet').waitFor()
    await studio.restart()
    await other.locator('.session', { hasText: 'harbour' }).waitFor()
    // Before the page is back, or while it comes back.
    await report(6, 12)
    await develop(api, photos.slice(4, 10))
    await page.locator('.pill', { hasText: 'Live' }).waitFor()
    await report(12, 18)
    await marks.nth(17).waitFor()

    const texts = await marks.allTextContents()
    const numbers = texts.map((text) => Number(/number (\d+)\./.exec(text)?.[1]))
    expect(numbers.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 18 }, (_, index) => index))
    await page.locator('.count-completed', { hasText: /^Done10$/ }).waitFor()
    await page.locator('.session', { hasText: 'harbour' }).getByText('10 of 12 done').waitFor()
    await openView(page, 'Approval')
    await seeCards(page, photos.slice(0, 10))
    // What was seen stays seen, in the page that comes after this one too.
    await openView(page, 'Live')
    await page.getByRole('button', { name: 'All seen' }).click()
    await report(18, 19)
    await page.locator('.alert', { hasText: 'number 18.' }).waitFor()
    await page.reload()
    await page.locator('.alert', { hasText: 'number 18.' }).waitFor()
    await eventually(() => marks.count(), 1)
    // Where it is another day, the time alone would say the wrong one.
    await page.clock.setFixedTime(Date.now() - 2 * 86_400_000)
    await page.reload()
    await marks.locator('time', { hasText: /\b\d{4}\b/ }).waitFor()
  },
)

needs('chromium')(
  'the feed stands still while it is read, and a page that lost the server says when it last heard of it',
  async ({ chromium }) => {
    await using studio = await startStudio(chromium)
    const { api } = studio
    const report = (error_message: string) =>
      api('POST', '/api/system/errors', { error_type: 'mark', error_message })
    for (let number = 0; number < 60; number += 1) await report(`old ${number}`)
    const page = await studio.open({ ...desk, timezoneId: 'UTC' })
    const at = (place: number) => page.locator(`.event[aria-posinset="${place}"]`)
    await at(1).getByText('old 59').waitFor()

    await page.getByRole('button', { name: 'sessions', exact: true }).click()
    await page.evaluate(`document.querySelector('.feed-scroll').scrollTo(0, 900)`)
    await at(1).waitFor({ state: 'detached' })
    await api('POST', '/api/sessions', { name: 'hidden', import_folder: '/hidden' })
    for (let number = 0; number < 5; number += 1) await report(`new ${number}`)
    await page.getByRole('button', { name: '5 newer' }).click()
    await at(1).getByText('new 4').waitFor()

    // The clock goes on while nothing comes.
    const heardMs = Date.now()
    await page.clock.setFixedTime(heardMs)
    await report('the last')
    await at(1).getByText('the last').waitFor()
    await page.clock.setFixedTime(heardMs + 600_000)
    await studio.kill()
    const time = new Date(heardMs).toISOString().slice(11, 19)
    await page.getByText(`What you see is from ${time}`).waitFor()
  },
)

needs('chromium')(
  'an operator sees who is connected, speaks to all, traces one, pairs a phone and sends it away',
  async ({ chromium }) => {
    await using studio = await startStudio(chromium)
    const page = await studio.open(desk)
    await openView(page, 'Operations')
    await page.getByRole('rowheader', { name: 'dashboard of photographer' }).waitFor()

    await page.getByLabel('For whom').fill('phone of Aiko')
    await page.getByRole('button', { name: 'Issue' }).click()
    await page.getByRole('img', { name: 'Code to pair a phone' }).waitFor()
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write'])
    await page.getByRole('button', { name: 'Copy link' }).click()
    await page.getByText('Copied.').waitFor()
    const link = String(await page.evaluate('navigator.clipboard.readText()'))
    expect(link).toStartWith(`${studio.url()}/#token=`)

    const hand = await studio.open(phone, link.split('token=')[1] ?? '')
    await hand.locator('.pill', { hasText: 'Live' }).waitFor()
    await openView(hand, 'Operations')
    await hand.getByText('No rights for this view').waitFor()
    const row = page.getByRole('row', { name: 'phone of Aiko' })
    await eventually(async () => {
      await page.getByRole('button', { name: 'Refresh' }).click()
      return await row.getByText('mobile').count()
    }, 1)
    // A phone gets batches, deflated.
    await row.getByText('deflate').waitFor()

    await page.getByLabel('Message').fill('Lunch at one')
    await page.getByRole('button', { name: 'Send' }).click()
    await hand.locator('.notice-said', { hasText: 'Lunch at one' }).waitFor()
    await page.locator('.notice-said', { hasText: 'Lunch at one' }).waitFor()

    await row.getByRole('button', { name: /^Trace/ }).click()
    await importShoot(studio.api, 'lookbook', 2)
    await page.getByRole('dialog').getByRole('cell', { name: 'sessions 1' }).waitFor()
    await page.keyboard.press('Escape')
    // That it cannot be read now says nothing of the client.
    await page.route('**/trace?*', (route) => route.fulfill({ status: 503 }))
    await row.getByRole('button', { name: /^Trace/ }).click()
    await page.getByRole('dialog').getByText('That did not work: http_503').waitFor()
    await page.keyboard.press('Escape')

    // A code stays on show while another token is revoked.
    const code = (subject: string) => page.getByText(`on a phone, as ${subject}`)
    const issue = async (subject: string) => {
      await page.getByLabel('For whom').fill(subject)
      await page.getByRole('button', { name: 'Issue' }).click()
      await code(subject).waitFor()
    }
    const revoke = async (subject: string) => {
      const issued = page.locator('.issued li', { hasText: subject })
      await issued.getByRole('button', { name: 'Revoke' }).click()
      await issued.waitFor({ state: 'detached' })
    }
    await issue('Ren')
    await issue('Sora')
    await revoke('Ren')
    expect(await code('Sora').count()).toBe(1)
    await revoke('Sora')
    expect(await code('Sora').count()).toBe(0)

    await row.getByRole('button', { name: /^Disconnect/ }).click()
    await row.getByRole('button', { name: 'Really?' }).click()
    await hand.getByText('Your access was ended by an operator.').waitFor()
    await row.waitFor({ state: 'detached' })
    await eventually(() => hand.evaluate('sessionStorage.length'), 0)
  },
)
