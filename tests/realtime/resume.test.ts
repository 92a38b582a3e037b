/** Resuming over any distance, from the tail, from the journal, and past what is kept. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { events } from '../../server.ts'
import { framings } from '../../lib/protocol/codec.ts'
import { startTestServer, type TestServer } from '../support/server.ts'

setDefaultTimeout(120_000)

/** Commits `count` events of the system channel. */
async function commit({ server }: TestServer, count: number): Promise<void> {
  for (let left = count; left > 0; left -= 5000) {
    const some = Array.from({ length: Math.min(left, 5000) }, (_, n) =>
      events.systemStatus({ status: `s${n}` }),
    )
    await Promise.all(some.map((event) => server.publish(event)))
  }
}

test.each([
  ['a tail that reaches back', 33_554_432],
  ['the journal alone', 65_536],
])('a client resumes after 0, 1, 300, 10,000 and 100,000 missed events, out of %s', async (_, TAIL_BYTES) => {
  await using server = await startTestServer({ TAIL_BYTES })
  await commit(server, 100_001)
  const head = 100_001
  const { epoch } = await (await server.connect()).next('connection_established')

  for (const [index, missed] of [0, 1, 300, 10_000, 100_000].entries()) {
    const client = await server.connect({ framing: framings[index % 3] ?? 'json' })
    const confirmed = await client.subscribe(['system'], `${String(epoch)}:system=${head - missed}`)
    const pong = await client.sync()

    expect(confirmed).toMatchObject({ recovery: { system: { status: 'recovered' } } })
    expect(confirmed['cursor']).toBe(`${String(epoch)}:system=${head - missed}`)
    expect(pong['cursor']).toBe(`${String(epoch)}:system=${head}`)
    const seqs = client.events.map(({ seq }) => Number(seq))
    expect(seqs).toHaveLength(missed)
    expect(seqs.every((seq, n) => seq === head - missed + 1 + n)).toBe(true)
    client.terminate()
  }
})

test('hundreds of clients resume at once, under writes, and each gets everything once', async () => {
  await using server = await startTestServer({ TAIL_BYTES: 65_536 })
  await commit(server, 3000)
  const { epoch } = await (await server.connect()).next('connection_established')
  const clients = await Promise.all(Array.from({ length: 200 }, () => server.connect()))

  const writing = commit(server, 1000)
  await Promise.all(
    clients.map((client, n) => client.subscribe(['system'], `${String(epoch)}:system=${n * 10}`)),
  )
  await writing
  await Promise.all(clients.map((client) => client.sync()))

  for (const [n, client] of clients.entries()) {
    const seqs = client.events.map(({ seq }) => Number(seq))
    expect(seqs.length).toBe(4000 - n * 10)
    expect(seqs.every((seq, at) => seq === n * 10 + 1 + at)).toBe(true)
  }
})

test('a position that retention took is told, never half served', async () => {
  await using server = await startTestServer({ RETENTION_EVENTS: 100 })
  await commit(server, 1000)
  const client = await server.connect()
  const { epoch } = await client.next('connection_established')
  // Retention works by itself every few seconds.
  let recovery: unknown
  for (let status = 'recovered'; status === 'recovered';) {
    const probe = await client.subscribe(['system'], `${String(epoch)}:system=899`)
    recovery = probe['recovery']
    status = (recovery as { system: { status: string } }).system.status
    await client.sync()
  }

  const kept = await client.subscribe(['system'], `${String(epoch)}:system=900`)

  expect(recovery).toEqual({ system: { status: 'snapshot_required', reason: 'trimmed' } })
  expect(kept['recovery']).toEqual({ system: { status: 'recovered' } })
})

test.each([
  ['of another journal', () => 'ffff0000:system=1'],
  ['beyond the head', (epoch: string) => `${epoch}:system=99`],
])('a cursor %s needs a snapshot and goes on live', async (_, cursor) => {
  await using server = await startTestServer()
  await commit(server, 3)
  const client = await server.connect()
  const { epoch } = await client.next('connection_established')

  const confirmed = await client.subscribe(['system', 'jobs'], cursor(String(epoch)))
  await commit(server, 1)
  await client.sync()

  expect(confirmed).toMatchObject({
    cursor: `${String(epoch)}:jobs=0,system=3`,
    recovery: { system: { status: 'snapshot_required', reason: 'epoch' }, jobs: { status: 'live' } },
  })
  expect(client.events.map(({ seq }) => seq)).toEqual([4])
})
