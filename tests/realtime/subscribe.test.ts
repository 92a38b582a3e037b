import { expect, setDefaultTimeout, test } from 'bun:test'
import { startTestServer } from '../support/server.ts'

setDefaultTimeout(60_000)

test('a subscriber gets a committed change with its row and seq', async () => {
  await using server = await startTestServer()
  const client = await server.connect()
  await client.subscribe(['sessions'])

  const { status, body, cursor } = await server.api<{ id: number }>('POST', '/api/sessions', {
    name: 'wedding',
    import_folder: '/photos/wedding',
  })
  await client.sync()

  expect(status).toBe(201)
  expect(client.events).toEqual([
    {
      type: 'session_created',
      timestamp: expect.any(String),
      channel: 'sessions',
      seq: 1,
      session_id: body.id,
      session_name: 'wedding',
      import_folder: '/photos/wedding',
    },
  ])
  expect(cursor).toContain('sessions=1')
})

test('a client that resumes gets what it missed, once and in order', async () => {
  await using server = await startTestServer()
  const first = await server.connect()
  const { cursor } = await first.subscribe(['sessions'])
  first.close()
  for (let n = 0; n < 300; n += 1) {
    await server.api('POST', '/api/sessions', { name: `s${n}`, import_folder: '/x' })
  }

  const second = await server.connect({ framing: 'msgpack' })
  const confirmed = await second.subscribe(['sessions'], String(cursor))
  await second.sync()

  expect(confirmed['recovery']).toEqual({ sessions: { status: 'recovered' } })
  expect(second.events.map(({ seq }) => seq)).toEqual(Array.from({ length: 300 }, (_, n) => n + 1))
})
