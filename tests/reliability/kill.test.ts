/** The history checker over a server that is killed: the promise of the whole product. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { declaredRoutes } from '../../cli/openapi-text.ts'
import { routeName } from '../support/history/calls.ts'
import { runHistory } from '../support/history/run.ts'

setDefaultTimeout(300_000)

// One run; each test looks at another side of it.
const run = runHistory({
  seed: Number(process.env['SEED'] ?? 20_261_122),
  rounds: 31,
  writers: 4,
  subscribers: 16,
  acknowledgedPerRound: 45,
  roundMsMax: 5000,
})

test('through kills, drains, cut and stalled links, nothing acknowledged is lost, repeated or reordered for anybody', async () => {
  const report = await run

  console.log(JSON.stringify({ ...report, violations: report.violations.length }))
  expect(report.violations).toEqual([])
  expect(report.kills).toBe(25)
  expect(report.drains).toBe(6)
  expect(report.acknowledged).toBeGreaterThan(500)
  expect(report.frames).toBeGreaterThan(10_000)
}, 300_000)

test('every declared route took part in it and succeeded', async () => {
  const { routes } = await run

  expect(
    declaredRoutes()
      // An image of a file is no state of the server's.
      .filter(({ act }) => !('file' in act))
      .map(routeName)
      .filter((name) => !routes[name]),
  ).toEqual([])
})

test('operators spoke to all in it, revoked tokens, sent some away for good and asked others back', async () => {
  const { words, revoked, endings, drained } = await run

  expect(words).toBeGreaterThan(0)
  expect(revoked).toBeGreaterThan(0)
  expect(endings['4503']).toBeGreaterThan(0)
  expect(endings['1012']).toBeGreaterThan(0)
  expect(drained).toBeGreaterThan(0)
})

test('rights were of rows in it, were exchanged for others, ended and were shown too late, over every transport', async () => {
  const { rights } = await run

  // Who is warned or barred, and over what it ends, is the machine's choice: where it is fast few outlive their token.
  const { expiredSockets, expiredStreams, warned: _warned, barred: _barred, ...others } = rights
  expect(expiredSockets + expiredStreams).toBeGreaterThan(0)
  expect(Object.entries(others).filter(([, count]) => count === 0)).toEqual([])
})

test('every transport and every option took part in it, and each showed what it is for', async () => {
  const { websocket, sse, pull, poll, conflated, replays } = await run

  // Whatever is counted there occurred; that answers are lost and hold something is the links' choice.
  for (const counts of [websocket, sse, pull, { ...poll, lostAnswers: 1 }, { conflated, replays }])
    expect(Object.entries(counts).filter(([, count]) => count === 0)).toEqual([])
})
