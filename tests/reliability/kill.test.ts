/** The history checker over a server that is killed: the promise of the whole product. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { runHistory } from '../support/history/run.ts'

setDefaultTimeout(180_000)

test('through 25 kills, cut and stalled links, nothing acknowledged is lost, repeated or reordered for anybody', async () => {
  const seed = Number(process.env['SEED'] ?? 20_261_122)

  const report = await runHistory({
    seed,
    rounds: 26,
    writers: 4,
    subscribers: 20,
    acknowledgedPerRound: 60,
    roundMsMax: 5000,
  })

  console.log(JSON.stringify({ ...report, violations: report.violations.length }))
  expect(report.violations).toEqual([])
  expect(report.kills).toBe(25)
  expect(report.acknowledged).toBeGreaterThan(500)
  expect(report.frames).toBeGreaterThan(10_000)
}, 180_000)
