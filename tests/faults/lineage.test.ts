/** Backups restored, folders swapped, processes killed: no client is falsely told that it has recovered. */
import { Database } from 'bun:sqlite'
import { expect, setDefaultTimeout, test } from 'bun:test'
import { cpSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { formatCursor, parseCursor, type Positions } from '../../lib/protocol/cursor.ts'
import { createApi } from '../support/api.ts'
import { TestClient, type Message } from '../support/client.ts'
import { startProcess, tokenOf } from '../support/process.ts'
import { temporaryFolder } from '../support/server.ts'
import { readStore } from './store-copy.ts'

setDefaultTimeout(60_000)

const recovered = { status: 'recovered' }
const beyond = { status: 'snapshot_required', reason: 'epoch' }

test('after a restart, and after kill -9, a cursor is told recovered and gets what it missed', async () => {
  using home = temporaryFolder()
  const folder = join(home.path, 'data')
  const answers: unknown[] = []
  let cursor: string | undefined

  for (const signal of ['SIGTERM', 'SIGKILL', 'SIGTERM'] as const) {
    await using server = await start(folder)
    const client = await server.connect()
    const confirmed = await client.subscribe(['photos', 'sessions'], cursor)
    await client.sync()
    answers.push(confirmed['recovery'], numbersOf(client))
    cursor = String(confirmed['cursor'])
    await server.change(2)
    await server.stop(signal)
  }

  expect(answers).toEqual([
    { photos: { status: 'live' }, sessions: { status: 'live' } },
    [],
    { photos: recovered, sessions: recovered },
    ['photos 1', 'photos 2', 'sessions 1', 'sessions 2'],
    { photos: recovered, sessions: recovered },
    ['photos 1', 'photos 2', 'photos 3', 'photos 4', 'sessions 1', 'sessions 2', 'sessions 3', 'sessions 4'],
  ])
})

test('a restored backup tells clients of the lost future to read again, and those of the shared past go on', async () => {
  using home = temporaryFolder()
  const [folder, backup] = [join(home.path, 'data'), join(home.path, 'backup')]
  const first = await start(folder)
  await first.change(3)
  const past = await first.cursor()
  await first.stop()
  cpSync(folder, backup, { recursive: true })
  const second = await start(folder)
  const watcher = await second.connect()
  await watcher.subscribe(['photos', 'sessions'], past)
  await second.change(4)
  await watcher.sync()
  const lost = await second.cursor()
  await second.stop()
  restore(backup, folder)

  await using third = await start(folder)
  await third.change(6)
  const ofLost = await third.resume(lost)
  const ofPast = await third.resume(past)
  await third.stop()

  expect(numbersOf(watcher)).toEqual(numbered(4, 7))
  expect(parseCursor(lost).positions).toMatchObject({ photos: 7, sessions: 7 })
  expect(ofLost.recovery).toEqual({ photos: beyond, sessions: beyond })
  expect([...ofLost.gaps, ...ofPast.gaps]).toEqual([])
  expect(ofPast.recovery).toEqual({ photos: recovered, sessions: recovered })
  expect(ofPast.client.events.toSorted(byPlace)).toEqual(journalAfter(folder, 3))
})

test('a backup taken while the server runs splits its epoch: each channel is told by its own position', async () => {
  using home = temporaryFolder()
  const [folder, backup] = [join(home.path, 'data'), join(home.path, 'backup')]
  const first = await start(folder)
  await first.change(3)
  const past = await first.cursor()
  vacuumInto(folder, backup)
  // Photos alone have a lost future.
  await first.change(2, ['photos'])
  const lost = await first.cursor()
  await first.stop('SIGKILL')
  restore(backup, folder)

  await using second = await start(folder)
  await second.change(6)
  const ofLost = await second.resume(lost)
  const ofPast = await second.resume(past)
  await second.stop()

  expect(parseCursor(lost).epoch).toBe(parseCursor(past).epoch)
  expect(ofLost.recovery).toEqual({ photos: beyond, sessions: recovered })
  expect(numbersOf(ofLost.client).filter((place) => place.startsWith('sessions'))).toEqual(
    numbered(4, 9).slice(6),
  )
  expect([...ofLost.gaps, ...ofPast.gaps]).toEqual([])
  expect(ofPast.recovery).toEqual({ photos: recovered, sessions: recovered })
  expect(ofPast.client.events.toSorted(byPlace)).toEqual(journalAfter(folder, 3))
})

test('a cursor of the time before a restored backup stays lost over later restarts', async () => {
  using home = temporaryFolder()
  const [folder, backup] = [join(home.path, 'data'), join(home.path, 'backup')]
  const first = await start(folder)
  await first.change(1)
  vacuumInto(folder, backup)
  await first.change(1)
  const lost = await first.cursor()
  await first.stop()
  restore(backup, folder)
  const answers: unknown[] = []

  for (let restarts = 0; restarts < 3; restarts += 1) {
    await using server = await start(folder)
    await server.change(2)
    answers.push((await server.resume(lost)).recovery)
    await server.stop()
  }

  expect(answers).toEqual(Array.from({ length: 3 }, () => ({ photos: beyond, sessions: beyond })))
})

test("another data folder's cursor is told to read again, also where its numbers exist here", async () => {
  using home = temporaryFolder()
  const other = await start(join(home.path, 'other'))
  await other.change(2)
  const foreign = await other.cursor()
  await other.stop()

  await using server = await start(join(home.path, 'data'))
  await server.change(5)
  const { recovery, gaps } = await server.resume(foreign)

  expect(recovery).toEqual({ photos: beyond, sessions: beyond })
  // What was just committed may still be on its way; nothing of before is given.
  expect(gaps).toEqual([])
  await server.stop()
})

test('a position beyond the head is told to read again even in the present epoch', async () => {
  using home = temporaryFolder()
  await using server = await start(join(home.path, 'data'))
  await server.change(2)
  const { epoch } = parseCursor(await server.cursor())

  const { recovery } = await server.resume(formatCursor({ epoch, positions: { photos: 2, sessions: 3 } }))

  expect(recovery).toEqual({ photos: recovered, sessions: beyond })
  await server.stop()
})

/** A server on the folder, and what these tests do with it. */
async function start(folder: string) {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const server = await startProcess({ folder })
  const token = await tokenOf(folder)
  const api = createApi(() => server.url, token)
  const prefix = `${readStore(folder).epochs.length}-${crypto.randomUUID()}`
  let made = 0
  const connect = async () => {
    const client = new TestClient({ url: `${server.url.replace('http', 'ws')}/ws`, token })
    await client.opened
    return client
  }
  return {
    connect,
    /** So many events on each channel: photos without a session touch `photos` alone. */
    async change(
      times: number,
      kinds: readonly ('photos' | 'sessions')[] = ['photos', 'sessions'],
    ): Promise<void> {
      for (let time = 0; time < times; time += 1) {
        const name = `${prefix}-${(made += 1)}`
        const bodies = { photos: { file_path: `/${name}.raw` }, sessions: { name, import_folder: '/x' } }
        for (const kind of kinds) {
          const { status } = await api('POST', `/api/${kind}`, bodies[kind])
          if (status !== 201) throw new Error(`POST /api/${kind} was answered ${status}`)
        }
      }
    },
    cursor: async () => String((await api('GET', '/api/sessions')).cursor),
    /** A client that comes back with a cursor; all that is for it has arrived. */
    async resume(cursor: string) {
      const client = await connect()
      const confirmed = await client.subscribe(['photos', 'sessions'], cursor)
      await client.sync()
      const { positions } = parseCursor(String(confirmed['cursor']))
      return { client, recovery: confirmed['recovery'], gaps: gapsBehind(positions, client.events) }
    },
    stop: (signal: NodeJS.Signals = 'SIGTERM') => server.kill(signal),
    async [Symbol.asyncDispose]() {
      await server.kill()
    },
  }
}

/** A copy made by SQLite beside the running server, and the secret. */
function vacuumInto(folder: string, backup: string): void {
  mkdirSync(backup, { mode: 0o700 })
  using file = new Database(join(folder, 'lightwire.db'), { readonly: true })
  file.query('vacuum into ?').run(join(backup, 'lightwire.db'))
  cpSync(join(folder, 'secret'), join(backup, 'secret'))
}

function restore(backup: string, folder: string): void {
  for (const name of readdirSync(folder)) rmSync(join(folder, name))
  cpSync(backup, folder, { recursive: true })
}

/** Events that do not follow the confirmed cursor one by one: replay from the past, gaps, repetitions. */
function gapsBehind(positions: Positions, events: readonly Message[]): Message[] {
  const last: Record<string, number> = { ...positions }
  return events.filter(({ channel, seq }) => {
    const before = last[String(channel)]
    last[String(channel)] = Number(seq)
    return seq !== Number(before) + 1
  })
}

/** `photos 1`, … in order of channel and seq. */
function numbersOf({ events }: TestClient): string[] {
  return events.toSorted(byPlace).map(({ channel, seq }) => `${String(channel)} ${String(seq)}`)
}

/** Both channels from one seq to another. */
function numbered(from: number, to: number): string[] {
  const seqs = Array.from({ length: to - from + 1 }, (_, n) => from + n)
  return ['photos', 'sessions'].flatMap((channel) => seqs.map((seq) => `${channel} ${seq}`))
}

/** What the database holds behind a seq of both channels, as a client gets it. */
function journalAfter(folder: string, after: number): Message[] {
  const ofBoth = readStore(folder).events.filter(
    ({ channel, seq }) => /photos|sessions/.test(channel) && seq > after,
  )
  return ofBoth.map(({ data, ...envelope }) => ({ ...envelope, ...data }))
}

/** Orders by channel, then seq; order is promised within a channel only, and sorting is stable. */
function byPlace(a: Message, b: Message): number {
  return String(a['channel']).localeCompare(String(b['channel'])) || Number(a['seq']) - Number(b['seq'])
}
