/** The way in: what the page makes of a token, whatever is in it and whatever the clock says. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { rightsOf } from '../../clients/web/src/rights.ts'
import { needs } from '../support/needs.ts'
import { desk, startStudio } from './studio.ts'

setDefaultTimeout(120_000)

const tokenOf = (claims: unknown) => `a.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.c`

/** What a link may become on its way. */
const damaged = [
  null,
  7,
  'text',
  [],
  { scope: 1 },
  { scope: 'events:read', sub: {} },
  { scope: 'events:read', grants: {} },
  { scope: 'events:read', grants: [null] },
].map(tokenOf)

test('a damaged token allows nothing, and a good one what it says', () => {
  for (const token of [...damaged, '', 'a', 'a.%.c'])
    expect(rightsOf(token)).toMatchObject({ subject: '', channels: [], apiRead: false, admin: false })

  const grants = [{ channel: 'jobs', where: {} }]
  const good = rightsOf(tokenOf({ sub: 'guest', scope: 'events:read:photos api:read', grants }))
  expect(good).toMatchObject({ subject: 'guest', channels: ['jobs', 'photos'], apiRead: true, admin: false })
})

needs('chromium')('a damaged start link asks for a new one', async ({ chromium }) => {
  await using studio = await startStudio(chromium)

  for (const token of damaged) {
    const page = await studio.open(desk, token)
    await page.getByText('The server does not accept this token.').waitFor()
    await page.getByLabel('Token').waitFor()
    await page.close()
  }
})

needs('chromium')(
  'a clock that is hours ahead or behind ends no good token, and no bad one late',
  async ({ chromium }) => {
    await using studio = await startStudio(chromium)
    const issued = await studio.api<{ token: string }>('POST', '/api/tokens', {
      subject: 'guest',
      scope: 'events:read api:read',
      expires_in: 4,
    })

    for (const hours of [2, -2]) {
      const context = await studio.browser.newContext({ ...desk, locale: 'en-GB' })
      await context.addInitScript(
        `const now = Date.now.bind(Date); Date.now = () => now() + ${hours * 3_600_000}`,
      )
      const page = await context.newPage()
      await page.goto(studio.startLink())
      await page.locator('.pill', { hasText: 'Live' }).waitFor()
      // The server's own time is over.
      await page.goto(`${studio.url()}/#token=${issued.body.token}`)
      await page.getByText('Your token has ended.').waitFor()
    }
  },
)
