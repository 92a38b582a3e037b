/** The simulation is itself tested: each fault planted in the source is found within a thousand seeds. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { plant, type Patch } from '../support/planted.ts'
import { projectRoot } from '../support/process.ts'
import { runSeeds } from './lane.ts'

// A busy machine takes many times as long as a quiet one.
setDefaultTimeout(900_000)

const SEEDS_MAX = 1000

interface Planted {
  readonly name: string
  readonly patches: readonly Patch[]
  /** What the simulation must say. */
  readonly found: RegExp
  /** Rare enough to take some twenty seconds: planted where `LANE=long` only. */
  readonly long?: true
}

const faults: readonly Planted[] = [
  {
    name: 'a write is acknowledged before its sync',
    patches: [
      {
        file: 'lib/store/writer.ts',
        find: 'await database.sync()',
        replace: 'void database.sync().catch(() => undefined)',
      },
    ],
    found: /durable is/,
  },
  {
    name: 'events are published at their commit, before they are durable',
    patches: [
      {
        file: 'lib/store/writer.ts',
        find: 'options.onCommit(group.events, group.heads)',
        replace:
          'options.onCommit(group.events, group.heads)\n        options.onDurable(group.events, group.heads, group.committedMs)',
      },
    ],
    found: /durable is/,
  },
  {
    name: 'a failed sync is tried again',
    patches: [{ file: 'lib/store/writer.ts', find: 'fail(error)\n        break', replace: 'continue' }],
    found: /durable is/,
  },
  {
    name: 'a group goes on after SQLITE_FULL rolled it back',
    patches: [
      { file: 'lib/store/writer.ts', find: 'if (!database.transactionStands()) throw error', replace: '' },
      {
        file: 'lib/store/writer.ts',
        find: 'await queries.executeQuery(ROLLBACK_TO)\n      await queries.executeQuery(RELEASE)',
        replace:
          'await queries.executeQuery(ROLLBACK_TO).catch(() => undefined)\n      await queries.executeQuery(RELEASE).catch(() => undefined)',
      },
      {
        file: 'lib/store/writer.ts',
        find: 'await queries.executeQuery(SAVEPOINT)\n    try {\n      const value = await waiting.run(writeInto(queries, group.now, own, touched, steps))\n      await queries.executeQuery(RELEASE)',
        replace:
          'if (database.transactionStands()) await queries.executeQuery(SAVEPOINT)\n    try {\n      const value = await waiting.run(writeInto(queries, group.now, own, touched, steps))\n      await queries.executeQuery(RELEASE).catch(() => undefined)',
      },
    ],
    found: /journal|refused|no transaction|its last event|acknowledged/,
  },
  {
    name: 'the relay does not look for gaps',
    patches: [
      {
        file: 'lib/realtime/relay.ts',
        find: 'if (seq > next || closing.has(channel)) return closeGap(channel, seq)',
        replace: '',
      },
    ],
    found: /a gap|cursor is gone/,
  },
  {
    name: 'the relay passes over what retention took',
    long: true,
    patches: [
      {
        file: 'lib/realtime/hub.ts',
        find: 'topics.isNext(event) ? []',
        replace: 'true ? []',
      },
    ],
    found: /a gap|is missing|out of place/,
  },
  {
    name: 'a node judges a cursor of another one before it has heard of it',
    patches: [
      {
        file: 'lib/realtime/dispatch.ts',
        find: 'const learned = since && services.catchUp?.(since)',
        replace: 'const learned = undefined as Promise<void> | undefined',
      },
    ],
    found: /a snapshot is required/,
  },
  {
    name: 'a reader joins its topic one turn after it compared',
    patches: [
      {
        file: 'lib/realtime/reader.ts',
        find: `if (following.joins && catchUpWith(follower, subscription) && following.join(subscription))
        return follower.onMoved()`,
        replace: 'return void setImmediate(() => following.join(subscription) && follower.onMoved())',
      },
    ],
    found: /a gap|got up to|goes on at|is missing|not all have everything/,
  },
  {
    name: 'the sweep never comes',
    patches: [
      {
        file: 'lib/realtime/sweep.ts',
        find: 'if (handedOut > 0 && handedOut + raise(bytes, meter) > Math.min(BUDGET_MAX, share())) sweep()',
        replace: 'void sweep',
      },
    ],
    found: /its limit is/,
  },
  {
    name: 'who is moved aside is taken for one event behind',
    patches: [
      {
        file: 'lib/realtime/following.ts',
        find: 'subscription.position = topic.published',
        replace: 'subscription.position = Math.max(0, topic.published - 1)',
      },
    ],
    found: /repeated|goes on at|got up to|goes back/,
  },
  {
    name: 'who is moved aside loses what its topic held back',
    long: true,
    patches: [
      {
        file: 'lib/realtime/following.ts',
        find: 'subscription.position = topic.published',
        replace: 'subscription.position = topic.head',
      },
    ],
    found: /is missing|goes on at|covers|not all have everything/,
  },
  {
    name: 'a window keeps the older of two states',
    patches: [
      {
        file: 'lib/realtime/window.ts',
        find: 'if (key !== undefined) this.supersede(key)',
        replace:
          'if (key !== undefined && this.newest.has(key)) return\n    if (key !== undefined) this.supersede(key)',
      },
    ],
    found: /is the newest of its key and missing|not all have everything/,
  },
  {
    name: 'a key that came before does its work again',
    patches: [
      {
        file: 'lib/store/idempotency.ts',
        find: 'if (await reserve(write, id, fingerprint)) return await makeFirst(write)',
        replace: 'await reserve(write, id, fingerprint)\n    if (id !== "") return await makeFirst(write)',
      },
    ],
    found: /in the journal twice/,
  },
  {
    name: 'a pong does not wait for what was committed',
    patches: [
      {
        file: 'lib/realtime/following.ts',
        find: 'if (reachOf(subscription) < (target[channel] ?? 0)) return false',
        replace: 'void [reachOf, target, subscription, channel]',
      },
    ],
    found: /hides/,
  },
  {
    name: 'a lost claim may still act',
    long: true,
    patches: [
      {
        file: 'lib/domain/jobs.ts',
        find: 'if (attempt !== undefined && attempt !== row.attempts) {',
        replace: 'if (false) {',
      },
    ],
    found: /acted while/,
  },
  {
    name: 'a lease that ran out holds until the sweep of leases',
    patches: [
      {
        file: 'lib/domain/jobs.ts',
        find: 'if (row.lease_expires_at !== null && row.lease_expires_at <= write.now) {',
        replace: 'if (false) {',
      },
    ],
    found: /its lease ended/,
  },
  {
    name: 'a cursor from beyond a restored backup is taken for a good one',
    patches: [
      {
        file: 'lib/store/lineage.ts',
        find: 'if (!end || position > (end[channel] ?? 0))',
        replace: 'if (!end)',
      },
    ],
    found: /history differs|not all have everything|durable is/,
  },
]

const planted = faults.filter(({ long }) => process.env['LANE'] === 'long' || !long)

test('each fault fits the source', () => {
  for (const { patches } of faults) plant(patches)[Symbol.dispose]()
})

for (const { name, patches, found } of planted) {
  test(`a thousand seeds find it when ${name}`, async () => {
    using copy = plant(patches)
    for (const path of ['tests/simulation', 'tests/support/random.ts'])
      cpSync(join(projectRoot, path), join(copy.root, path), { recursive: true })

    const lane = await runSeeds({ from: 1, count: SEEDS_MAX, root: copy.root })

    console.log(
      `${name}: seed ${lane.found?.seed ?? 'none'}, step ${lane.found?.step ?? 0}: ${lane.found?.violation.slice(0, 160) ?? ''}`,
    )
    expect(lane.found?.violation).toMatch(found)
  })
}
