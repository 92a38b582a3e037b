/** The history checker over a server that is killed: the promise of the whole product. */
import { expect, test } from 'bun:test'
import { runHistory } from '../support/history/run.ts'

test(
  'through 25 kills, cut and stalled links, nothing acknowledged is lost, repeated or reordered for anybody',
  async () => {
    const seed = Number(process.env['SEED'] ?? 20_261_122)

    const report = await runHistory({ seed, rounds: 26, writers: 4, subscribers: 20, roundMsMax: 600 })

    console.log(JSON.stringify({ ...report, violations: report.violations.length }))
    expect(report.violations).toEqual([])
    expect(report.kills).toBe(25)
    expect(report.acknowledged).toBeGreaterThan(500)
    expect(report.frames).toBeGreaterThan(10_000)
  },
  180_000,
)
