/** What a scenario of client libraries plays on: a server process, a line to it, and what the journal says afterwards. */
import { expect } from 'bun:test'
import { cpSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { loadKey } from '../../lib/access/keys.ts'
import { createTokens } from '../../lib/access/tokens.ts'
import { FULL_SCOPE } from '../../lib/access/rights.ts'
import { parseCursor, type Positions } from '../../lib/protocol/cursor.ts'
import { createApi, type Api } from '../support/api.ts'
import { startProcess, type ServerProcess } from '../support/process.ts'
import { temporaryFolder } from '../support/server.ts'
import { PAGE_ORIGIN, startDriver, type Command, type Driver, type Report, type Seen } from './driver.ts'
import { startLine, type Line } from './line.ts'

export type Connect = Extract<Command, { do: 'connect' }>

/** `any` leaves it to the library. */
export type Transport = NonNullable<Connect['transport']> | 'any'

/** How a client is played: its driver, over which transport, in which framing. */
export interface Player {
  readonly name: string
  readonly words: readonly string[]
  readonly transport: Transport
  readonly framing?: Connect['framing']
}

export interface Stage extends AsyncDisposable {
  readonly api: Api
  readonly line: Line
  readonly url: string
  /** Another line to the server. */
  lay(): Promise<Line>
  /** Signed with the server's secret. */
  token(options?: { scope?: string; subject?: string; expiresInMs?: number }): Promise<string>
  /**
   * A driver that is told to connect, through the line unless told otherwise. A token that is short-lived is made when the
   * driver runs: some take seconds to start.
   */
  play(
    player: Player,
    connect: Partial<Omit<Connect, 'token'>> & { token: string | (() => Promise<string>) },
  ): Promise<Driver>
  /** A shoot of its own; its number. */
  shoot(): Promise<number>
  /** Imports photos into a shoot, one request each. */
  photos(session: number, count: number, pathLength?: number): Promise<void>
  /** Where the journal stands. */
  heads(): Promise<Positions>
  journal(): Promise<Seen[]>
  stop(signal?: NodeJS.Signals): Promise<number>
  start(): Promise<void>
  /** Copies the data away, to be put back later; the server must be stopped for both. */
  backup(): () => void
}

let names = 0

/** A name that nobody else has. */
export const unique = (word: string) => `${word}-${process.pid}-${(names += 1)}`

export async function openStage(env: Record<string, string> = {}): Promise<Stage> {
  await using parts = new AsyncDisposableStack()
  const home = parts.use(temporaryFolder())
  const folder = join(home.path, 'data')
  mkdirSync(folder, { mode: 0o700 })
  let server: ServerProcess
  const line = parts.use(await startLine(() => server.url))
  const start = async () => {
    server = await startProcess({
      folder,
      env: { ALLOWED_ORIGINS: PAGE_ORIGIN, DRAIN_SPREAD: '500ms', ...env },
    })
  }
  await start()
  parts.defer(async () => void (await server.kill()))
  const tokens = createTokens({ key: loadKey(folder, undefined), now: () => new Date() })
  const token: Stage['token'] = async ({
    scope = FULL_SCOPE,
    subject = 'tester',
    expiresInMs = 3_600_000,
  } = {}) => (await tokens.issue({ subject, scope, expiresInMs })).token
  const api = createApi(() => server.url, await token())
  const drivers = parts.move()
  return {
    api,
    line,
    lay: () => startLine(() => server.url),
    token,
    get url() {
      return server.url
    },
    async play(player, connect) {
      const driver = drivers.use(startDriver(player.words))
      await driver.started()
      const token = typeof connect.token === 'string' ? connect.token : await connect.token()
      const { transport, framing } = player
      const how = { ...(transport === 'any' ? {} : { transport }), ...(framing ? { framing } : {}) }
      await driver.tell({ do: 'connect', url: line.url, ...how, ...connect, token })
      return driver
    },
    async shoot() {
      const name = unique('shoot')
      const { body } = await api<{ id: number }>('POST', '/api/sessions', { name, import_folder: `/${name}` })
      return body.id
    },
    async photos(session, count, pathLength = 10) {
      for (let n = 0; n < count; n += 1) {
        const file_path = `/${unique('photo')}/${'x'.repeat(pathLength)}.raw`
        const { status } = await api('POST', '/api/photos', { session_id: session, file_path })
        expect(status).toBe(201)
      }
    },
    async heads() {
      const { cursor } = await api('GET', '/api/sessions?limit=1')
      return parseCursor(cursor ?? '').positions
    },
    async journal() {
      const events: Seen[] = []
      let since = ''
      for (let more = true; more;) {
        const { body } = await api<{ events: Seen[]; cursor: string; more: boolean }>(
          'GET',
          `/api/events?limit=1000${since}`,
        )
        events.push(...body.events)
        since = `&since=${body.cursor}`
        more = body.more
      }
      return events
    },
    stop: (signal = 'SIGTERM') => server.kill(signal),
    start,
    backup() {
      const copy = join(home.path, unique('backup'))
      cpSync(folder, copy, { recursive: true })
      return () => {
        rmSync(folder, { recursive: true })
        cpSync(copy, folder, { recursive: true })
      }
    },
    [Symbol.asyncDispose]: () => drivers.disposeAsync(),
  }
}

export const eventsOf = (reports: readonly Report[]): Seen[] =>
  reports.flatMap((report) => ('event' in report ? [report.event] : []))

interface Expected {
  readonly channels: readonly string[]
  /** Everything after it is expected; what came before it must be without a hole too. */
  readonly after: Positions
  readonly where?: (event: Seen) => boolean
  /** Reports to look at, when not all. */
  readonly of?: (reports: readonly Report[]) => readonly Report[]
}

/** Waits until the client has seen the journal's last events, then compares all: each once, in order, as it stands there. */
export async function expectAll(
  stage: Stage,
  driver: Driver,
  { channels, after, where = () => true, of = (reports) => reports }: Expected,
): Promise<void> {
  const journal = (await stage.journal()).filter(where)
  for (const channel of channels) {
    const there = journal.filter((event) => event.channel === channel)
    const seen = () => eventsOf(of(driver.reports)).filter((event) => event.channel === channel)
    const last = there.at(-1)?.seq ?? 0
    if (last > (after[channel as keyof Positions] ?? 0))
      await driver.until(`${channel} ${last}`, () => seen().some(({ seq }) => seq >= last))
    const first = Math.min(seen()[0]?.seq ?? Infinity, (after[channel as keyof Positions] ?? 0) + 1)
    const [got, wanted] = [seen(), there.filter(({ seq }) => seq >= first)]
    // Others may go on changing things.
    expect(got.slice(0, wanted.length)).toEqual(wanted)
  }
  const others = eventsOf(of(driver.reports)).filter((event) => !channels.includes(event.channel))
  expect(others).toEqual([])
}

/** The newest status that a client has reported. */
export function statusOf(reports: readonly Report[]): { status: string; code?: string } | undefined {
  return reports.findLast((report) => 'status' in report)
}
