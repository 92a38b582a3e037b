/** Two servers on one Postgres: a cursor of one is good on the other at once. */
import { expect, setDefaultTimeout } from 'bun:test'
import { startPostgres } from '../support/postgres.ts'
import { TestStream } from '../support/event-stream.ts'
import { needs } from '../support/needs.ts'
import { startTestServer } from '../support/server.ts'

setDefaultTimeout(120_000)

const SECRET = 'x'.repeat(32)
const TURNS = 10

needs('postgresBin')(
  'a cursor of one server is recovered by another that has not heard of its changes yet, over socket, pull and stream',
  async ({ postgresBin }) => {
    await using postgres = await startPostgres(postgresBin)
    const settings = { DATABASE_URL: await postgres.createDatabase(), JWT_SECRET: SECRET }
    await using one = await startTestServer(settings)
    await using other = await startTestServer(settings)
    const client = await other.connect({ token: one.token })

    let shoots = 0
    const change = async () => {
      shoots += 1
      const body = { name: `shoot ${shoots}`, import_folder: '/x' }
      return (await one.api('POST', '/api/sessions', body)).cursor ?? ''
    }
    const told: unknown[] = []
    for (let turn = 1; turn <= TURNS; turn += 1) {
      const since = await change()
      const { recovery } = await client.request({ type: 'subscribe', channels: ['sessions'], since })
      told.push(recovery)
      told.push((await other.api('GET', `/api/events?since=${await change()}`)).status)
      const stream = await TestStream.open({
        url: `${other.url}/api/events/stream?since=${await change()}`,
        headers: { Authorization: `Bearer ${other.token}` },
      })
      told.push(stream instanceof TestStream ? 200 : stream.status)
      if (stream instanceof TestStream) await stream[Symbol.asyncDispose]()
    }
    await one.api('POST', '/api/sessions', { name: 'the last', import_folder: '/x' })
    const last = await client.next(({ session_name }) => session_name === 'the last')

    const good = [{ sessions: { status: 'recovered' } }, 200, 200]
    expect(told).toEqual(Array.from({ length: TURNS }, () => good).flat())
    expect(last['seq']).toBe(3 * TURNS + 1)
  },
)
