/** The log of a real process: JSON, one line a fact, ids to follow a request or a connection by, no secret. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { TestClient } from '../support/client.ts'
import { startProcess, tokenOf } from '../support/process.ts'
import { temporaryFolder } from '../support/server.ts'

setDefaultTimeout(60_000)

type Line = Record<string, unknown>

test('requests and connections can be followed by their ids, and no line holds a secret', async () => {
  using folder = temporaryFolder()
  const { url, output, kill } = await startProcess({ folder: folder.path, env: { LOG_LEVEL: 'debug' } })
  const token = await tokenOf(folder.path)
  const authorization = { Authorization: `Bearer ${token}` }
  const get = (path: string, headers: Record<string, string>) => fetch(`${url}${path}`, { headers })

  const answers = [
    await get('/api/sessions', { ...authorization, 'X-Request-Id': 'from-my-proxy.1' }),
    await get('/api/sessions/77', { ...authorization, 'X-Request-Id': 'two words"}' }),
    await get('/api/sessions', { Authorization: `Bearer ${token}x` }),
  ]
  const client = new TestClient({ url: `${url.replace('http', 'ws')}/ws`, token })
  const { client_id } = await client.next('connection_established')
  await client.request({ type: 'auth', token })
  client.close(1000)
  await client.closed
  await kill('SIGTERM')

  const lines = output.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as Line)
  const ids = answers.map(({ headers }) => headers.get('x-request-id'))
  const answered = lines.filter(({ msg }) => msg === 'answered a request')
  expect(ids[0]).toBe('from-my-proxy.1')
  expect(ids[1]).toMatch(/^[0-9a-f]{16}$/)
  expect(
    answered.map(({ request_id, status, route, code }) => ({ request_id, status, route, code })),
  ).toEqual([
    { request_id: ids[0], status: 200, route: '/api/sessions', code: undefined },
    { request_id: ids[1], status: 404, route: '/api/sessions/{id}', code: 'not_found' },
    { request_id: ids[2], status: 401, route: '/api/sessions', code: 'invalid_token' },
    expect.objectContaining({ status: 101, route: '/ws' }),
  ])
  const upgrade = answered.at(-1)?.['request_id']
  const opened = lines.find(({ msg }) => msg === 'opened a connection')
  const closed = lines.find(({ msg }) => msg === 'closed a connection')
  expect(opened).toMatchObject({ client_id, request_id: upgrade, framing: 'json', subject: 'tester' })
  expect(closed).toMatchObject({ client_id, code: 1000 })
  expect(output.filter((line) => line.includes(token) || line.includes(token.slice(-43)))).toEqual([])
  expect(lines.every(({ time, level, msg }) => Boolean(time) && Boolean(level) && Boolean(msg))).toBe(true)
})
