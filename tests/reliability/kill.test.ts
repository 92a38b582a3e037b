/** The history checker over a server that is killed: the promise of the whole product. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { declaredRoutes } from '../../cli/openapi-text.ts'
import { routeName } from '../support/history/calls.ts'
import { runHistory } from '../support/history/run.ts'

setDefaultTimeout(180_000)

// One run; each test looks at another side of it.
const run = runHistory({
  seed: Number(process.env['SEED'] ?? 20_261_122),
  rounds: 26,
  writers: 4,
  subscribers: 20,
  acknowledgedPerRound: 60,
  roundMsMax: 5000,
})

test('through 25 kills, cut and stalled links, nothing acknowledged is lost, repeated or reordered for anybody', async () => {
  const report = await run

  console.log(JSON.stringify({ ...report, violations: report.violations.length }))
  expect(report.violations).toEqual([])
  expect(report.kills).toBe(25)
  expect(report.acknowledged).toBeGreaterThan(500)
  expect(report.frames).toBeGreaterThan(10_000)
}, 180_000)

test('every declared route took part in it and succeeded', async () => {
  const { routes } = await run

  expect(
    declaredRoutes()
      .map(routeName)
      .filter((name) => !routes[name]),
  ).toEqual([])
})

test('operators spoke to all in it, revoked tokens, sent some away for good and asked others back', async () => {
  const { words, revoked, endings } = await run

  expect(words).toBeGreaterThan(0)
  expect(revoked).toBeGreaterThan(0)
  expect(endings['4503']).toBeGreaterThan(revoked)
  expect(endings['1012']).toBeGreaterThan(0)
})
