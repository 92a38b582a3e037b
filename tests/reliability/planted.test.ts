/** The history checker is itself checked: each fault planted in the server is found, by what it breaks. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { runHistory } from '../support/history/run.ts'
import { plant } from '../support/planted.ts'
import { deliveryFaults, restless } from './planted-delivery.ts'
import { rightsFaults } from './planted-rights.ts'
import { smallDisk, writeFaults } from './planted-writes.ts'

// Real processes on a busy machine; bunfig has no timeout that works, and a preload's holds for one file only.
setDefaultTimeout(600_000)

/** Runs until a fault has to show: whether it does in one is the machine's choice. */
const RUNS_MAX = 10

/** Each takes some ten seconds: the short lane plants some of each kind, `LANE=long` all of them. */
const all = [...writeFaults, ...deliveryFaults, ...rightsFaults]
const faults = all.filter(({ long = false }) => process.env['LANE'] === 'long' || !long)

test('each fault fits the source', () => {
  for (const { patches } of all) plant(patches)[Symbol.dispose]()
})

for (const { name, patches, found, rounds, roundMs, writers = 4, subscribers = 6 } of faults) {
  test(`the checker finds it when ${name}`, async () => {
    using copy = plant(patches)
    const shows = new RegExp(found.source, 'm')

    let violations = ''
    for (let run = 0; !shows.test(violations) && run < RUNS_MAX; run += 1) {
      const report = await runHistory({
        seed: 7 + run,
        rounds,
        writers,
        subscribers,
        acknowledgedPerRound: roundMs === undefined ? 150 : Infinity,
        roundMsMax: roundMs ?? 2000,
        root: copy.root,
      })
      violations = report.violations.join('\n')
    }

    expect(violations).toMatch(shows)
  })
}

test('a full database alone breaks no promise', async () => {
  using copy = plant([smallDisk])

  let refused = 0
  for (let run = 0; refused === 0 && run < RUNS_MAX; run += 1) {
    const report = await runHistory({
      seed: 7 + run,
      rounds: 2,
      writers: 4,
      subscribers: 6,
      acknowledgedPerRound: 150,
      roundMsMax: 2000,
      root: copy.root,
    })
    expect(report.violations).toEqual([])
    refused = report.unavailable
  }

  expect(refused).toBeGreaterThan(0)
})

test('connections that are moved aside at random lose nothing', async () => {
  using copy = plant(restless)

  const report = await runHistory({
    seed: 7,
    rounds: 4,
    writers: 4,
    subscribers: 12,
    acknowledgedPerRound: 150,
    roundMsMax: 4000,
    root: copy.root,
  })

  expect(report.violations).toEqual([])
  expect(report.websocket.batches).toBeGreaterThan(0)
})
