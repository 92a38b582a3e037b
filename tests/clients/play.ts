/** Plays every scenario with one client: several at a time, for most of the time is waiting. */
import { afterAll, setDefaultTimeout } from 'bun:test'
import { needs } from '../support/needs.ts'
import type { ToolName } from '../support/tools.ts'
import { scenarios, type Scenario } from './scenarios.ts'
import { openStage, type Player, type Stage } from './stage.ts'

const AT_ONCE = 6

/** Declares a test per scenario that is about the player's transport. @param tools what its driver cannot run without */
export function playAll(player: Player, ...tools: readonly ToolName[]): void {
  setDefaultTimeout(120_000)
  const open = new AsyncDisposableStack()
  const shared: { stage?: Promise<Stage> } = {}
  const share = () => (shared.stage ??= openStage().then((stage) => open.use(stage)))
  const waiting = Object.entries(scenarios)
    .filter(([, { over }]) => (over ? over.includes(player.transport) : player.transport !== 'any'))
    .map(([name, scenario]) => ({ name, scenario, outcome: Promise.withResolvers<void>() }))
  const queue = [...waiting]
  const work = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      await play(next.scenario, player, share).then(next.outcome.resolve, next.outcome.reject)
    }
  }
  let isStarted = false
  const start = () => {
    if (isStarted) return
    isStarted = true
    // Each test looks at its own.
    for (const { outcome } of waiting) outcome.promise.catch(() => undefined)
    for (let n = 0; n < AT_ONCE; n += 1) void work()
  }

  const testWithTools = needs(...tools)
  for (const { name, outcome } of waiting) {
    testWithTools(`${player.name}: ${name}`, async () => {
      start()
      await outcome.promise
    })
  }
  afterAll(() => open.disposeAsync())
}

async function play({ alone, plays }: Scenario, player: Player, share: () => Promise<Stage>): Promise<void> {
  if (!alone) return await plays(await share(), player)
  await using stage = await openStage()
  await plays(stage, player)
}
