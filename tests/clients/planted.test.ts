/** The scenarios are themselves tested: each fault planted in the TypeScript client fails the scenario that is about it. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { plant, type Patch } from '../support/planted.ts'
import { projectRoot } from '../support/process.ts'
import { openStage } from './stage.ts'
import { scenarios } from './scenarios.ts'

setDefaultTimeout(120_000)

interface Planted extends Patch {
  readonly name: string
  readonly scenario: keyof typeof scenarios
}

const source = 'clients/typescript/src'

const faults: readonly Planted[] = [
  {
    name: 'a gap is passed over',
    file: `${source}/positions.ts`,
    find: "return seq > next ? 'gap' : [event]",
    replace: 'return [event]',
    scenario: 'an event that is lost on the way is asked for again',
  },
  {
    name: 'a new connection begins now',
    file: `${source}/subscriptions.ts`,
    find: 'replies.ask({ ...message, ...part },',
    replace: 'replies.ask({ ...message, channels: part.channels },',
    scenario: 'a line that is cut again and again loses nothing',
  },
  {
    name: 'a lost position is not told',
    file: `${source}/subscriptions.ts`,
    find: 'if (lost.length > 0) options.onLost(lost)',
    replace: '',
    scenario: 'a restored backup says that the position is lost, and the stream goes on',
  },
  {
    name: 'it comes back after a final close',
    file: `${source}/backoff.ts`,
    find: 'code >= 4500',
    replace: 'code >= 4600',
    scenario: 'a client whose tokens are revoked sees nothing more and stays away',
  },
  {
    name: 'what waited is sent again under another key',
    file: `${source}/outbox.ts`,
    find: 'await request(first.message, ANSWER_MS)',
    replace: 'await request({ ...first.message, key: randomKey() }, ANSWER_MS)',
    scenario: 'what it publishes happens once, also when the line is down meanwhile',
  },
  {
    name: 'a token that expires soon is not renewed',
    file: `${source}/client.ts`,
    find: "if (message.type === 'token_expiring') return void refreshing.refresh()",
    replace: "if (message.type === 'token_expiring') return",
    scenario: 'it refreshes a token that is about to expire, and nothing is cut',
  },
]

// Most wait until something has not come for half a minute.
const planted = process.env['LANE'] === 'long' ? faults : []
const runs: Promise<unknown>[] = []
function start(): void {
  if (runs.length > 0) return
  runs.push(...planted.map(playWith))
  // Each test looks at its own.
  for (const run of runs) run.catch(() => undefined)
}

/** What the scenario says with the fault in the client; undefined when it says nothing. */
async function playWith({ scenario, ...patch }: Planted): Promise<unknown> {
  using copy = plant([])
  for (const path of ['clients/typescript', 'tests/clients/drivers', 'tests/clients/driver.ts'])
    cpSync(join(projectRoot, path), join(copy.root, path), { recursive: true })
  copy.patch(patch)
  await using stage = await openStage()
  const words = [process.execPath, 'run', join(copy.root, 'tests/clients/drivers/typescript.ts')]
  const plays = scenarios[scenario]?.plays(stage, { name: 'planted', words, transport: 'websocket' })
  return await plays?.then(
    () => undefined,
    (error: unknown) => error,
  )
}

for (const [index, { name, scenario }] of planted.entries()) {
  test(`"${scenario}" fails when ${name}`, async () => {
    start()
    expect(await runs[index]).toBeInstanceOf(Error)
  })
}

test('each fault fits the source, and is about a scenario that there is', () => {
  using copy = plant([])
  cpSync(join(projectRoot, 'clients'), join(copy.root, 'clients'), { recursive: true })
  for (const fault of faults) copy.patch(fault)

  expect(faults.filter(({ scenario }) => scenarios[scenario] === undefined)).toEqual([])
})
