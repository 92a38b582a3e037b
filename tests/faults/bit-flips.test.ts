/** Single flipped bits of the database and its log: `verify` names them, and no client is told falsely that it recovered. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { formatCursor, parseCursor, type Positions } from '../../lib/protocol/cursor.ts'
import { channels, type Channel } from '../../lib/protocol/events.ts'
import { TestClient, type Message } from '../support/client.ts'
import { projectRoot, startProcess, tokenOf } from '../support/process.ts'
import { createRandom, type Random } from '../support/random.ts'
import { temporaryFolder } from '../support/server.ts'
import { contentsOf, copyFolder, flip, settle, someFlip, verdictOf, type Flip } from './flips.ts'
import { fillFolder } from './shoots.ts'
import { readStore, type StoreCopy } from './store-copy.ts'

setDefaultTimeout(120_000)

const SEED = Number(process.env['SEED'] ?? 7)
const FLIPS = Number(process.env['FLIPS'] ?? 150)
const STARTS = Number(process.env['STARTS'] ?? 10)

const home = temporaryFolder()
const killed = join(home.path, 'killed')
const stopped = join(home.path, 'stopped')
beforeAll(async () => {
  await fillFolder(killed)
  copyFolder(killed, stopped)
  settle(stopped)
})
afterAll(() => home[Symbol.dispose]())

test('verify names every flipped bit of the database that changed something it says it covers', async () => {
  const counts = await flipMany(stopped, 'lightwire.db')

  const columns = uncovered()
  expect(columns.length).toBeGreaterThan(5)
  expect(counts.silent.filter((changed) => !columns.includes(changed))).toEqual([])
  expect(counts.silent.length).toBeLessThan(counts.found / 10)
  expect(counts.found).toBeGreaterThan(FLIPS / 10)
})

test('verify names every flipped bit of the log of a killed server', async () => {
  const counts = await flipMany(killed, 'lightwire.db-wal')

  expect(counts.silent).toEqual([])
  expect(counts.found).toBeGreaterThan(FLIPS / 2)
})

test('a server started on damaged data tells nobody that it recovered what is not there', async () => {
  const random = createRandom(SEED)
  const original = readStore(killed)
  const outcomes = { ended: 0, recovered: 0, snapshot: 0 }
  const faults: string[] = []

  for (let start = 0; start < STARTS; start += 1) {
    using copy = temporaryFolder()
    copyFolder(killed, copy.path)
    if (start % 2 === 1) checkpoint(copy.path)
    const at = someFlip(copy.path, start % 8 === 6 ? 'lightwire.db' : 'lightwire.db-wal', random)
    flip(copy.path, at)
    const { outcome, wrong } = await resume(copy.path, original, random)
    outcomes[outcome] += 1
    faults.push(...wrong.map((fault) => `${at.file} ${at.byte}.${at.bit}: ${fault}`))
  }

  console.log('starts on flipped bits:', JSON.stringify({ seed: SEED, ...outcomes }))
  expect(faults).toEqual([])
  expect(outcomes.snapshot).toBeGreaterThan(0)
})

/** What a checkpoint does right before a kill: the database has everything, and the log is still read first. */
function checkpoint(folder: string): void {
  const log = readFileSync(join(folder, 'lightwire.db-wal'))
  settle(folder)
  writeFileSync(join(folder, 'lightwire.db-wal'), log)
}

async function flipMany(folder: string, file: Flip['file']) {
  using copy = temporaryFolder()
  copyFolder(folder, copy.path)
  const random = createRandom(SEED)
  const before = contentsOf(copy.path)
  const counts = { found: 0, harmless: 0, silent: [] as string[] }
  for (let n = 0; n < FLIPS; n += 1) {
    const { kind, changed } = await verdictOf(copy.path, someFlip(copy.path, file, random), before)
    if (kind === 'silent') counts.silent.push(changed.join(' '))
    else counts[kind] += 1
  }
  console.log(`flipped bits of ${file}:`, JSON.stringify({ seed: SEED, flips: FLIPS, ...counts }))
  return counts
}

/** The columns that the manual says `verify` cannot vouch for. */
function uncovered(): string[] {
  const manual = readFileSync(join(projectRoot, 'docs', 'operating.md'), 'utf8')
  const list = /A flipped bit can hide in([^.]|\.\w)*\./.exec(manual)?.[0] ?? ''
  return [...list.matchAll(/`(\w+\.\w+)`/g)].map(([, column = '']) => column)
}

/** Starts on a folder and resumes with cursors of the original's newest epoch: its end, and somewhere before. */
async function resume(folder: string, original: StoreCopy, random: Random) {
  const server = await startProcess({ folder }).catch(() => undefined)
  if (!server) return { outcome: 'ended', wrong: [] } as const
  try {
    const token = await tokenOf(folder)
    const epoch = original.epochs.at(-1) ?? ''
    const part = Object.fromEntries(
      channels.map((channel) => [channel, random.int(0, original.heads[channel] ?? 0)]),
    )
    const wrong: string[] = []
    let snapshots = 0
    for (const positions of [original.heads as Positions, part as Positions]) {
      const client = new TestClient({ url: `${server.url.replace('http', 'ws')}/ws`, token })
      await client.opened
      const confirmed = await client.subscribe(channels, formatCursor({ epoch, positions }))
      const told = parseCursor(String((await client.sync())['cursor'])).positions
      const recovery = confirmed['recovery'] as Record<string, { status: string }>
      for (const channel of channels) {
        if (recovery[channel]?.status !== 'recovered') snapshots += 1
        else
          wrong.push(
            ...falsehoods(channel, positions[channel] ?? 0, { events: client.events, told }, original),
          )
      }
      client.terminate()
    }
    return { outcome: snapshots > 0 ? 'snapshot' : 'recovered', wrong } as const
  } finally {
    await server.kill()
  }
}

/** Everything behind the position was promised: it comes without a gap up to where the server says it is, and as it was. */
function falsehoods(
  channel: string,
  position: number,
  { events, told }: { events: readonly Message[]; told: Positions },
  { events: all }: StoreCopy,
): string[] {
  const got = events.filter((event) => event['channel'] === channel)
  const faults = got.flatMap((event, index) => {
    const expected = position + 1 + index
    return event['seq'] === expected
      ? []
      : [`${channel} ${String(event['seq'])} came in place of ${expected}`]
  })
  const end = told[channel as Channel] ?? 0
  if (position + got.length !== end)
    faults.push(`${channel} ended at ${end} after ${got.length} events from ${position}`)
  // The new server itself may write to the system's channel.
  for (const { data, ...envelope } of channel === 'system'
    ? []
    : all.filter((event) => event.channel === channel)) {
    const same = got.find((event) => event['seq'] === envelope.seq)
    if (same && !Bun.deepEquals(same, { ...envelope, ...data })) {
      faults.push(`${channel} ${envelope.seq} came with another content`)
    }
  }
  return faults
}
