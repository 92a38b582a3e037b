/** The scenarios that every client library goes through, whatever its language and transport; the assertions are here only. */
import { expect } from 'bun:test'
import { parseCursor, type Positions } from '../../lib/protocol/cursor.ts'
import { expectAll, eventsOf, statusOf, unique, type Player, type Stage, type Transport } from './stage.ts'
import { RefusedCommand, type Driver, type Seen } from './driver.ts'
import { startBreakingOff, startDeaf, startDropping } from './meddling.ts'

/** Played on the stage that scenarios share, or on one that each opens for itself because it stops the server. */
type Play = (stage: Stage, player: Player) => Promise<void>

export interface Scenario {
  readonly plays: Play
  /** It stops its server. */
  readonly alone?: true
  /** Transports that it is about; without it each of the three. `any` leaves the choice to the library. */
  readonly over?: readonly Transport[]
}

const code = (error: unknown) => (error instanceof RefusedCommand ? error.code : String(error))
const refusal = (promise: Promise<unknown>) => promise.then(() => 'done', code)
const isConnected = (driver: Driver) =>
  driver.until('a connection', (all) => statusOf(all)?.status === 'connected')
const isClosed = (driver: Driver) => driver.until('the end', (all) => statusOf(all)?.status === 'closed')

async function following(
  stage: Stage,
  player: Player,
  channels: readonly string[] = ['photos', 'sessions'],
  token: string | (() => Promise<string>) = () => stage.token(),
) {
  const driver = await stage.play(player, { token })
  await driver.tell({ do: 'subscribe', channels })
  return { driver, channels, after: await stage.heads() }
}

export const scenarios: Record<string, Scenario> = {
  'it connects, registers what it is, and leaves': {
    async plays(stage, player) {
      const subject = unique('somebody')
      const driver = await stage.play(player, {
        token: await stage.token({ subject }),
        clientType: 'gui',
        clientName: 'Studio 1',
      })
      await driver.tell({ do: 'subscribe', channels: ['jobs'] })
      const { status, transport } = await driver.state()
      const list = () =>
        stage.api<{ clients: { client_type: string | null; client_name: string | null }[] }>(
          'GET',
          `/api/websocket/clients?subject=${subject}`,
        )
      const { body } = await list()
      const exit = await driver.end()

      expect([status, exit]).toEqual(['connected', 0])
      if (transport === 'websocket') {
        expect(body.clients).toMatchObject([{ client_type: 'gui', client_name: 'Studio 1' }])
        for (let left = 100; left > 0 && (await list()).body.clients.length > 0; left -= 1)
          await Bun.sleep(20)
        expect((await list()).body.clients).toEqual([])
      }
    },
  },

  'a token that is not good ends it': {
    async plays(stage, player) {
      const [head, body, signature] = (await stage.token()).split('.')
      const altered = `${head}.${body}.${signature?.replace(/^./, (first) => (first === 'A' ? 'B' : 'A'))}`
      const driver = stage.play(player, { token: altered })

      expect(await refusal(driver)).toBe('invalid_token')
    },
  },

  'what the token does not grant is refused, and the rest goes on': {
    async plays(stage, player) {
      const token = await stage.token({ scope: 'events:read:sessions' })
      const driver = await stage.play(player, { token })
      const refused = [
        await refusal(driver.tell({ do: 'subscribe', channels: ['sessions', 'photos'] })),
        await refusal(driver.tell({ do: 'publish', event: { type: 'system_status', status: 'on' } })),
      ]
      await driver.tell({ do: 'subscribe', channels: ['sessions'] })
      const after = await stage.heads()
      await stage.shoot()

      expect(refused).toEqual(['forbidden', 'forbidden'])
      await expectAll(stage, driver, { channels: ['sessions'], after })
    },
  },

  'it sees each change of its channels once, in order, and none after it unsubscribed': {
    async plays(stage, player) {
      const { driver, after } = await following(stage, player, ['photos', 'sessions'])
      await stage.photos(await stage.shoot(), 5)
      await expectAll(stage, driver, { channels: ['photos', 'sessions'], after })

      const left = await driver.tell({ do: 'unsubscribe', channels: ['photos'] })
      const { photos = 0 } = await stage.heads()
      await stage.photos(await stage.shoot(), 3)
      const { sessions = 0 } = await stage.heads()
      await driver.until('the later shoot', (all) =>
        eventsOf(all).some(({ channel, seq }) => channel === 'sessions' && seq >= sessions),
      )

      expect(left).toEqual(['sessions'])
      expect(driver.events.filter(({ channel, seq }) => channel === 'photos' && seq > photos)).toEqual([])
    },
  },

  'a filter, batched and conflated, passes what it asks for and nothing else': {
    async plays(stage, player) {
      const [mine, other] = [await stage.shoot(), await stage.shoot()]
      const driver = await stage.play(player, { token: await stage.token() })
      await driver.tell({ do: 'subscribe', channels: ['photos'], where: { session_id: mine }, batchMs: 50 })
      const after = await stage.heads()
      for (let n = 0; n < 4; n += 1) {
        await stage.photos(other, 1)
        await stage.photos(mine, 2)
      }

      const where = (event: Seen) => event['session_id'] === mine
      await expectAll(stage, driver, { channels: ['photos'], after, where })
    },
  },

  'an event that is lost on the way is asked for again': {
    over: ['websocket'],
    async plays(stage, player) {
      await using dropping = startDropping(stage.url)
      const driver = await stage.play(player, { token: await stage.token(), url: dropping.url })
      await driver.tell({ do: 'subscribe', channels: ['photos'] })
      const after = await stage.heads()
      await stage.photos(await stage.shoot(), 8)

      await expectAll(stage, driver, { channels: ['photos'], after })
      expect(dropping.times).toBe(2)
    },
  },

  'an answer that breaks off in the middle is asked for again': {
    over: ['poll'],
    async plays(stage, player) {
      await using breaking = startBreakingOff(stage.url)
      const driver = await stage.play(player, { token: await stage.token(), url: breaking.url })
      await driver.tell({ do: 'subscribe', channels: ['photos'] })
      const after = await stage.heads()
      await stage.photos(await stage.shoot(), 8)

      await expectAll(stage, driver, { channels: ['photos'], after })
      expect(breaking.times).toBe(2)
    },
  },

  'a line that is cut again and again loses nothing': {
    async plays(stage, player) {
      await using line = await stage.lay()
      const driver = await stage.play(player, { token: await stage.token(), url: line.url })
      await driver.tell({ do: 'subscribe', channels: ['photos', 'sessions'] })
      const after = await stage.heads()
      for (let times = 0; times < 3; times += 1) {
        await stage.photos(await stage.shoot(), 2)
        const again = line.until(line.made + 1)
        line.cut()
        await stage.photos(await stage.shoot(), 2)
        await again
      }
      await stage.photos(await stage.shoot(), 1)

      await expectAll(stage, driver, { channels: ['photos', 'sessions'], after })
    },
  },

  'a later life goes on from the cursor that an earlier one kept': {
    async plays(stage, player) {
      const { driver, channels, after } = await following(stage, player)
      await stage.photos(await stage.shoot(), 3)
      await expectAll(stage, driver, { channels, after })
      const { cursor } = await driver.state()
      // Others change things meanwhile: what came after the cursor comes again.
      const stood = parseCursor(String(cursor)).positions
      await driver.end()
      await stage.photos(await stage.shoot(), 3)

      const later = await stage.play(player, { token: await stage.token(), cursor: String(cursor) })
      await later.tell({ do: 'subscribe', channels })
      await stage.photos(await stage.shoot(), 2)
      await expectAll(stage, later, { channels, after: stood })
      for (const { channel, seq } of later.events)
        expect(seq).toBeGreaterThan(stood[channel as keyof Positions] ?? 0)
    },
  },

  'a line that stalls under much traffic loses nothing': {
    async plays(stage, player) {
      await using line = await stage.lay()
      const driver = await stage.play(player, { token: await stage.token(), url: line.url })
      await driver.tell({ do: 'subscribe', channels: ['photos'] })
      const after = await stage.heads()
      line.hold()
      const session = await stage.shoot()
      for (let n = 0; n < 12; n += 1) await bigImport(stage, session)
      line.mend()
      await bigImport(stage, session)

      await expectAll(stage, driver, { channels: ['photos'], after })
    },
  },

  'it refreshes a token that is about to expire, and nothing is cut': {
    async plays(stage, player) {
      await using line = await stage.lay()
      let short = ''
      const token = async () => (short = await stage.token({ expiresInMs: 2000 }))
      const driver = await stage.play(player, { token, url: line.url })
      await driver.tell({ do: 'token', token: await stage.token() })
      await driver.tell({ do: 'subscribe', channels: ['sessions'] })
      const after = await stage.heads()
      await stage.shoot()
      await untilRefused(stage, short)
      await stage.shoot()
      await expectAll(stage, driver, { channels: ['sessions'], after })
      const { tokensAsked, transport } = await driver.state()

      expect(tokensAsked).toBeGreaterThan(1)
      if (transport === 'websocket') expect(line.made).toBe(1)
    },
  },

  'a token that expires is asked for anew, and nothing is missed': {
    async plays(stage, player) {
      const short = () => stage.token({ expiresInMs: 1000 })
      const { driver, channels, after } = await following(stage, player, ['sessions'], short)
      await stage.shoot()
      await driver.until('a break', (all) => statusOf(all)?.status === 'waiting')
      await stage.shoot()
      await driver.tell({ do: 'token', token: await stage.token() })
      await isConnected(driver)
      await stage.shoot()

      await expectAll(stage, driver, { channels, after })
    },
  },

  'a server that drains and comes back costs nothing': {
    alone: true,
    async plays(stage, player) {
      const { driver, channels, after } = await following(stage, player)
      await stage.photos(await stage.shoot(), 3)
      const code = await stage.stop()
      await stage.start()
      await stage.photos(await stage.shoot(), 3)

      expect(code).toBe(0)
      await expectAll(stage, driver, { channels, after })
    },
  },

  'a server that is killed and comes back costs nothing': {
    alone: true,
    async plays(stage, player) {
      const { driver, channels, after } = await following(stage, player)
      for (let lives = 0; lives < 2; lives += 1) {
        await stage.photos(await stage.shoot(), 3)
        await stage.stop('SIGKILL')
        await stage.start()
      }
      await stage.photos(await stage.shoot(), 3)

      await expectAll(stage, driver, { channels, after })
    },
  },

  'a restored backup says that the position is lost, and the stream goes on': {
    alone: true,
    async plays(stage, player) {
      await stage.photos(await stage.shoot(), 2)
      await stage.stop()
      const restore = stage.backup()
      await stage.start()
      const { driver, channels, after } = await following(stage, player)
      await stage.photos(await stage.shoot(), 4)
      await expectAll(stage, driver, { channels, after })
      await stage.stop()
      restore()
      await stage.start()
      await driver.until('that it is lost', (all) => all.some((report) => 'lost' in report))
      await isConnected(driver)
      const again = await stage.heads()
      await stage.photos(await stage.shoot(), 2)

      const lost = driver.reports.find((report) => 'lost' in report)
      expect(lost?.lost.toSorted()).toEqual(['photos', 'sessions'])
      const since = driver.reports.findIndex((report) => 'lost' in report)
      await expectAll(stage, driver, { channels, after: again, of: (all) => all.slice(since) })
    },
  },

  'a snapshot and what follows it are the state, also after the position was lost': {
    alone: true,
    async plays(stage, player) {
      await stage.shoot()
      await stage.stop()
      const restore = stage.backup()
      await stage.start()
      const driver = await stage.play(player, { token: await stage.token() })
      const writing = Array.from({ length: 10 }, () => stage.shoot())
      await driver.tell({ do: 'follow', path: '/api/sessions?limit=500', channels: ['sessions'] })
      await Promise.all([...writing, stage.shoot()])
      await expectJoined(stage, driver, 1)

      await stage.stop()
      restore()
      await stage.start()
      await driver.until('another snapshot', (all) => all.filter((report) => 'snapshot' in report).length > 1)
      await stage.shoot()
      await expectJoined(stage, driver, 2)
    },
  },

  'a client whose tokens are revoked sees nothing more and stays away': {
    async plays(stage, player) {
      const subject = unique('visitor')
      const token = await stage.token({ subject })
      const { driver, channels, after } = await following(stage, player, ['sessions'], token)
      await stage.shoot()
      await expectAll(stage, driver, { channels, after })
      const { status } = await stage.api('POST', '/api/tokens/revoke', { subject })
      const { sessions = 0 } = await stage.heads()
      await stage.shoot()
      await isClosed(driver)
      await stage.shoot()

      expect(status).toBe(200)
      expect(driver.events.filter(({ seq }) => seq > sessions)).toEqual([])
      expect(await refusal(driver.tell({ do: 'subscribe', channels: ['jobs'] }))).toBe('closed')
    },
  },

  'what it publishes happens once, also when the line is down meanwhile': {
    async plays(stage, player) {
      await using line = await stage.lay()
      const driver = await stage.play(player, { token: await stage.token(), url: line.url })
      const mark = unique('status')
      const event = (status: string) => ({ type: 'system_status', status: `${mark} ${status}` })
      const key = unique('key')
      const first = await driver.tell({ do: 'publish', event: event('first'), key })
      const again = await driver.tell({ do: 'publish', event: event('first'), key })
      line.down()
      const queued = ['a', 'b', 'c'].map((status) => driver.tell({ do: 'publish', event: event(status) }))
      await driver.until('a break', (all) => statusOf(all)?.status === 'waiting')
      line.mend()
      const seqs = await Promise.all(queued)
      const published = (await stage.journal()).filter(({ status }) => String(status).startsWith(mark))

      expect(again).toBe(first as number)
      expect(published.map(({ status }) => status)).toEqual(
        ['first', 'a', 'b', 'c'].map((status) => `${mark} ${status}`),
      )
      expect(published.map(({ seq }) => seq)).toEqual([first, ...seqs] as number[])
    },
  },

  'where WebSockets are blocked it finds another way': {
    over: ['any'],
    async plays(stage, player) {
      await using deaf = startDeaf(stage.url)
      const driver = await stage.play(player, { token: await stage.token(), url: deaf.url })
      await driver.tell({ do: 'subscribe', channels: ['sessions'] })
      const after = await stage.heads()
      await stage.shoot()
      await expectAll(stage, driver, { channels: ['sessions'], after })
      const { transport } = await driver.state()

      expect(transport).not.toBe('websocket')
    },
  },
}

/** Fifty events of some 3 KB each in one request. */
async function bigImport(stage: Stage, session: number): Promise<void> {
  const photos = Array.from({ length: 50 }, () => ({
    session_id: session,
    file_path: `/${unique('big')}/${'x'.repeat(3000)}.raw`,
  }))
  expect((await stage.api('POST', '/api/photos', photos)).status).toBe(201)
}

/** Resolves when the server takes a token no more. */
async function untilRefused(stage: Stage, token: string): Promise<void> {
  const headers = { Authorization: `Bearer ${token}` }
  for (let left = 200; left > 0; left -= 1) {
    const { status } = await fetch(`${stage.url}/api/sessions`, { headers })
    if (status === 401) return
    await Bun.sleep(100)
  }
  throw new Error('the token is still good')
}

/** The shoots of the last snapshot and of the events after it are the shoots that there are. */
async function expectJoined(stage: Stage, driver: Driver, snapshots: number): Promise<void> {
  interface Sessions {
    readonly sessions: readonly { readonly id: number }[]
  }
  const { body } = await stage.api<Sessions>('GET', '/api/sessions?limit=500')
  const wanted = body.sessions.map(({ id }) => id).toSorted((a, b) => a - b)
  const joined = () => {
    const at = driver.reports.findLastIndex((report) => 'snapshot' in report)
    const report = driver.reports[at]
    const read = report && 'snapshot' in report ? (report.snapshot as Sessions).sessions : []
    const created = eventsOf(driver.reports.slice(at + 1)).filter(({ type }) => type === 'session_created')
    return [...read.map(({ id }) => id), ...created.map((event) => Number(event['session_id']))]
  }
  await driver.until('every shoot', () => wanted.every((id) => joined().includes(id)))

  // Twice in here would be applied twice.
  expect(joined().toSorted((a, b) => a - b)).toEqual(wanted)
  expect(driver.reports.filter((report) => 'snapshot' in report)).toHaveLength(snapshots)
}
