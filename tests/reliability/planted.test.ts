/** The history checker is itself checked: each fault planted in the server is found, by what it breaks. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { runHistory } from '../support/history/run.ts'
import { plant, type Patch } from '../support/planted.ts'

// Real processes on a busy machine; bunfig has no timeout that works, and a preload's holds for one file only.
setDefaultTimeout(120_000)

interface Planted {
  readonly name: string
  readonly patches: readonly Patch[]
  /** What the checker must say. */
  readonly found: RegExp
  readonly rounds: number
  /** Every round lasts that long, instead of ending with enough writes. */
  readonly roundMs?: number
  readonly writers?: number
}

/** Runs until a fault has to show: whether it does in one is the machine's choice. */
const RUNS_MAX = 6

const publishLine =
  'if (topic.members > 0 && publisher.publish(topic.name, event.frame(topic.framing)) === 0) onDropped()'
/** A database that is full after a moment: what a full disk does, in every run alike. An empty one has some 42 pages. */
const smallDisk: Patch = {
  file: 'lib/store/sqlite.ts',
  find: "file.run('PRAGMA foreign_keys = ON')",
  replace: "file.run('PRAGMA foreign_keys = ON'); file.run('PRAGMA max_page_count = 56')",
}

const faults: readonly Planted[] = [
  {
    name: 'an event is skipped',
    patches: [
      {
        file: 'lib/realtime/topic.ts',
        find: publishLine,
        replace: `if (event.seq % 41 !== 0) publisher.publish(topic.name, event.frame(topic.framing))`,
      },
    ],
    found: /jumps from/,
    rounds: 2,
  },
  {
    name: 'an event is repeated',
    patches: [
      {
        file: 'lib/realtime/topic.ts',
        find: publishLine,
        replace: `${publishLine}\n if (event.seq % 41 === 0) publisher.publish(topic.name, event.frame(topic.framing))`,
      },
    ],
    found: /came again/,
    rounds: 2,
  },
  {
    name: 'two events are swapped',
    patches: [
      {
        file: 'lib/realtime/hub.ts',
        find: 'for (const event of events) {',
        replace: 'for (const event of events.toReversed()) {',
      },
      {
        file: 'lib/realtime/topic.ts',
        find: 'topic.published = event.seq',
        replace: 'topic.published = Math.max(topic.published, event.seq)',
      },
    ],
    found: /jumps from/,
    rounds: 2,
  },
  {
    name: 'a write is acknowledged before its commit',
    patches: [
      {
        file: 'lib/store/writer.ts',
        find: 'await queries.executeQuery(COMMIT)',
        replace: `for (const { waiting, value, from, to } of outcomes) {
          waiting.resolve({ value, events: events.slice(from, to), group: events, heads })
        }
        await new Promise((resolve) => setTimeout(resolve, 20))
        await queries.executeQuery(COMMIT)`,
      },
    ],
    found: /lost: /,
    rounds: 8,
  },
  {
    name: 'a reader joins its topic one event late',
    patches: [
      {
        file: 'lib/realtime/reader.ts',
        find: 'if (position >= topic.published) {',
        replace: 'if (position + 1 >= topic.published) {',
      },
      {
        file: 'lib/realtime/reader.ts',
        find: 'if (position === topic.published) join',
        replace: 'if (position <= topic.published) join',
      },
    ],
    found: /jumps from|a pong says|ended at/,
    rounds: 4,
  },
  {
    name: 'the cursor is read after the query instead of within it',
    patches: [
      {
        file: 'lib/store/journal.ts',
        find: `return database.read(async (queries) => {
        const { heads } = await readHeads(queries)
        return { heads, value: await read(queries) }
      })`,
        replace: `return database.read(read).then(async (value) => {
        await new Promise((resolve) => setTimeout(resolve, 1))
        const { heads } = await database.read(readHeads)
        return { heads, value }
      })`,
      },
    ],
    found: /^read (of|at)/,
    rounds: 3,
  },
  {
    name: 'a group goes on after SQLITE_FULL rolled it back',
    patches: [
      smallDisk,
      { file: 'lib/store/writer.ts', find: 'if (!database.transactionStands()) throw error', replace: '' },
      {
        file: 'lib/store/writer.ts',
        find: 'await queries.executeQuery(ROLLBACK_TO)\n      await queries.executeQuery(RELEASE)',
        replace:
          'await queries.executeQuery(ROLLBACK_TO).catch(() => undefined)\n      await queries.executeQuery(RELEASE).catch(() => undefined)',
      },
      {
        file: 'lib/store/writer.ts',
        find: 'await queries.executeQuery(SAVEPOINT)\n    try {\n      const value = await waiting.run(writeInto(queries, group.now, own, touched))\n      await queries.executeQuery(RELEASE)',
        replace:
          'if (database.transactionStands()) await queries.executeQuery(SAVEPOINT)\n    try {\n      const value = await waiting.run(writeInto(queries, group.now, own, touched))\n      await queries.executeQuery(RELEASE).catch(() => undefined)',
      },
    ],
    found: /^(database|journal|phantom|queue_status|approval_queue_updated)|events say/,
    rounds: 2,
    // It takes two writes in one transaction.
    writers: 16,
  },
  {
    name: 'a refused write leaves the events it had emitted',
    patches: [
      {
        file: 'lib/store/writer.ts',
        find: 'waiting.reject(isStorageFault(error) ? storageRefusal(error) : error)',
        replace: 'group.events.push(...own)\n      waiting.reject(error)',
      },
    ],
    found: /^phantom: no write made/,
    rounds: 4,
  },
  {
    name: 'the approval queue changes without its event',
    patches: [
      {
        file: 'lib/domain/derived.ts',
        find: "const changers = idsOf('approval:', touched)",
        replace: "const changers = idsOf('approval:', touched).filter((id) => Number(id) % 5 !== 1)",
      },
    ],
    found: /^approval_queue_updated says/,
    rounds: 2,
  },
  {
    name: 'a client whose token was revoked stays',
    patches: [
      {
        file: 'lib/realtime/hub.ts',
        find: "connection.end('disconnected', REVOKED)",
        replace: '',
      },
      {
        file: 'lib/realtime/liveness.ts',
        find: "if (principal && isRevoked(principal)) return connection.end('disconnected', REVOKED)",
        replace: '',
      },
    ],
    found: /its token was revoked$/,
    rounds: 1,
    // It has to stay for more than a second.
    roundMs: 5000,
  },
  {
    name: 'a message that is not in the journal carries a number',
    patches: [
      {
        file: 'lib/realtime/hub.ts',
        find: 'const stamped = { ...message,',
        replace: "const stamped = { ...message, seq: 1, channel: 'jobs',",
      },
    ],
    found: /is numbered$/,
    rounds: 1,
  },
]

for (const { name, patches, found, rounds, roundMs, writers = 4 } of faults) {
  test(`the checker finds it when ${name}`, async () => {
    using copy = plant(patches)
    const shows = new RegExp(found.source, 'm')

    let violations = ''
    for (let run = 0; !shows.test(violations) && run < RUNS_MAX; run += 1) {
      const report = await runHistory({
        seed: 7 + run,
        rounds,
        writers,
        subscribers: 6,
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

  const report = await runHistory({
    seed: 7,
    rounds: 2,
    writers: 4,
    subscribers: 6,
    acknowledgedPerRound: 150,
    roundMsMax: 2000,
    root: copy.root,
  })

  expect(report.violations).toEqual([])
  expect(report.unavailable).toBeGreaterThan(0)
})
