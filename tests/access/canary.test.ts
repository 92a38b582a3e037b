/** Secrets of a real process, wherever a credential can stand: none is found in logs, metrics, answers or files again. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadKey } from '../../lib/access/keys.ts'
import { FULL_SCOPE } from '../../lib/access/rights.ts'
import { createTokens } from '../../lib/access/tokens.ts'
import { TestClient } from '../support/client.ts'
import { startProcess } from '../support/process.ts'
import { temporaryFolder } from '../support/server.ts'

setDefaultTimeout(60_000)

/** A value that is nowhere else, under the name of where it stands. */
function createCanaries() {
  const values = new Map<string, string>()
  return {
    values,
    make(place: string): string {
      const value = `canary${randomBytes(20).toString('hex')}`
      values.set(place, value)
      return value
    },
  }
}

/** As it is, and in the writings that a program would turn it into. */
function writingsOf(secret: string): string[] {
  const bytes = Buffer.from(secret)
  // Of base64 the part that does not depend on what stands before.
  const base64 = [0, 1, 2].map((shift) =>
    Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .slice(4, -4),
  )
  return [secret, secret.toUpperCase(), bytes.toString('hex'), ...base64]
}

test('a secret that was sent, set or issued is in no log line, metric, answer or file', async () => {
  using folder = temporaryFolder()
  const { values, make } = createCanaries()
  const secret = make('JWT_SECRET')
  const metricsToken = make('METRICS_TOKEN')
  const { url, output, kill } = await startProcess({
    folder: folder.path,
    env: { LOG_LEVEL: 'trace', JWT_SECRET: secret, METRICS_TOKEN: metricsToken },
  })
  const key = loadKey(folder.path, secret)
  const tokens = createTokens({ key, now: () => new Date() })
  const { token } = await tokens.issue({ subject: 'tester', scope: FULL_SCOPE, expiresInMs: 3_600_000 })
  const good = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }
  const answers: string[] = []
  const call = async (path: string, init: RequestInit = {}) => {
    const response = await fetch(`${url}${path}`, init)
    const text = await response.text()
    answers.push(`${text} ${JSON.stringify([...response.headers])}`)
    return { status: response.status, text }
  }
  const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
    call(path, {
      method: 'POST',
      body: typeof body === 'string' ? body : JSON.stringify(body),
      headers: { ...good, ...headers },
    })
  const bearer = (place: string) => ({ headers: { Authorization: `Bearer ${make(place)}` } })

  for (const path of ['/api/sessions', '/api/events/stream', '/ws/poll?client_id=x', '/metrics', '/ws'])
    await call(path, bearer(`a bearer at ${path}`))
  await call('/api/sessions', { headers: { Authorization: `Basic ${make('Basic')}` } })
  await call('/api/sessions', { headers: { Authorization: make('Authorization without a scheme') } })
  await call('/api/sessions', {
    headers: { Cookie: `s=${make('a cookie')}`, 'X-Api-Key': make('a header of others') },
  })
  for (const path of ['/api/sessions', '/api/events', '/api/events/stream', '/ws/poll', '/ws', '/nowhere'])
    await call(`${path}?token=${make(`the query of ${path}`)}`, { headers: good })
  await call(`/api/${make('a path')}`, { headers: good })
  await post('/ws/send', {
    client_id: make('a client_id'),
    message: { type: 'auth', token: make('a poll body') },
  })
  await post('/api/sessions', `{"password":"${make('a body that is no JSON')}"`)
  await post('/api/photos', { file_path: 1, token: make('a field that is not known') })
  const keyed = { 'Idempotency-Key': make('Idempotency-Key') }
  const created = await post('/api/sessions', { name: 'a', import_folder: '/x' }, keyed)
  await post('/api/sessions', { name: 'b', import_folder: '/x' }, keyed)
  const issued = await fetch(`${url}/api/tokens`, {
    method: 'POST',
    headers: good,
    body: JSON.stringify({ subject: 'issued', scope: FULL_SCOPE, expires_in: 60 }),
  })
  const { token: fresh } = (await issued.json()) as { token: string }
  values.set('the token that was used', token)
  values.set('its signature', token.split('.')[2] ?? '')
  values.set('a token that was issued', fresh)
  values.set('the signature of that', fresh.split('.')[2] ?? '')

  const socketUrl = `${url.replace('http', 'ws')}/ws`
  const bad = new TestClient({
    url: socketUrl,
    protocols: ['lightwire.v1.json', `bearer.${make('a subprotocol')}`],
  })
  await bad.closed
  const none = new TestClient({ url: socketUrl, protocols: [`bearer.${make('only a subprotocol')}`] })
  await none.closed
  const late = new TestClient({ url: socketUrl })
  await late.opened
  late.send({ type: 'auth', token: make('an auth message') })
  await late.closed
  const client = new TestClient({ url: socketUrl, token: fresh })
  await client.opened
  await client.request({ type: 'auth', token: fresh })
  const event = { type: 'system_status', status: 'running' }
  const published = await client.request({ type: 'publish', event, key: make('the key of a publish') })
  await client.request({
    type: 'publish',
    event: { ...event, status: 'other' },
    key: values.get('the key of a publish'),
  })
  await client.request({ type: 'auth', tokn: make('a misspelt field') })
  answers.push(...[bad, late, client].map(({ received }) => JSON.stringify(received)))
  client.close()
  await client.closed
  const metrics = await call('/metrics', { headers: { Authorization: `Bearer ${metricsToken}` } })
  await kill('SIGTERM')

  const files = readdirSync(folder.path, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  )
  const searched: [where: string, text: string][] = [
    ...output.map((line): [string, string] => ['a log line', line]),
    ...answers.map((text): [string, string] => ['an answer', text]),
    ...files.map((entry): [string, string] => [
      entry.name,
      readFileSync(join(entry.parentPath, entry.name), 'latin1'),
    ]),
  ]
  const found = [...values].flatMap(([place, value]) =>
    writingsOf(value).flatMap((writing) =>
      searched.flatMap(([where, text]) => (text.includes(writing) ? [`${place}: ${where}`] : [])),
    ),
  )
  expect(found).toEqual([])
  expect([created.status, metrics.status, published.type]).toEqual([201, 200, 'published'])
  // The search is of something: the rows are there, and every level of the log.
  expect(searched.some(([where, text]) => where.endsWith('.db') && text.includes('running'))).toBe(true)
  expect(output.length).toBeGreaterThan(values.size / 2)
  expect(files.map(({ name }) => name)).not.toContain('secret')
})

test('the password of a database that cannot be reached is not told', async () => {
  using folder = temporaryFolder()
  const password = 'canary-of-postgres'
  const DATABASE_URL = `postgres://somebody:${password}@127.0.0.1:1/none?application_name=${password}-too`

  const failed = await startProcess({ folder: folder.path, env: { LOG_LEVEL: 'trace', DATABASE_URL } }).then(
    () => 'it started',
    (error: unknown) => String(error),
  )

  expect(failed).toMatch(/exited with \d/)
  expect(failed).not.toContain(password)
})

/** Line breaks, colours, a cursor moved, a right-to-left override: what a terminal or a reader would obey. */
// oxlint-disable-next-line no-control-regex -- they are what is looked for
const OBEYED = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/
const FORGED = 'x\n{"level":60,"msg":"forged"}\r\u001b[2K\u001b[31mred\u009b1m\u2028\u202e'

test('what users write cannot forge a line of the log, nor move a terminal', async () => {
  using folder = temporaryFolder()
  const { url, output, kill } = await startProcess({ folder: folder.path, env: { LOG_LEVEL: 'trace' } })
  const tokens = createTokens({ key: loadKey(folder.path, undefined), now: () => new Date() })
  const { token } = await tokens.issue({ subject: FORGED, scope: FULL_SCOPE, expiresInMs: 3_600_000 })
  const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }
  const send = (method: string, path: string, body: object) =>
    fetch(`${url}${path}`, { method, headers, body: JSON.stringify(body) })
  const client = new TestClient({ url: `${url.replace('http', 'ws')}/ws`, token, framing: 'msgpack' })
  const { client_id } = await client.next('connection_established')

  const statuses = [
    await send('POST', '/api/sessions', { name: FORGED, import_folder: FORGED }),
    await send('POST', '/api/photos', { session_id: 1, file_path: FORGED, file_name: FORGED }),
    await send('POST', '/api/jobs', { photo_id: 1, config: { [FORGED]: FORGED } }),
    await send('POST', '/api/jobs/claim', { worker: FORGED }),
    await send('POST', '/api/system/errors', { error_type: FORGED, error_message: FORGED }),
    await send('POST', '/api/system/status', { status: FORGED, details: { [FORGED]: FORGED } }),
    await send('POST', `/api/${encodeURIComponent(FORGED)}`, {}),
    await send('POST', `/api/sessions?${encodeURIComponent(FORGED)}=1`, {}),
    await send('POST', '/api/websocket/broadcast', { message: { type: FORGED, text: FORGED } }),
    await send('POST', '/api/websocket/broadcast', { message: { type: 'notice', text: FORGED } }),
    await send('POST', '/api/tokens', { subject: FORGED, scope: 'admin', expires_in: 60 }),
  ].map(({ status }) => status)
  await client.request({ type: 'register', client_type: 'gui', client_name: FORGED })
  await client.request({ type: FORGED })
  await client.request({ type: 'subscribe', channels: [FORGED] })
  await client.request({ type: 'ping', id: FORGED.slice(0, 60) })
  await send('POST', `/api/websocket/disconnect/${String(client_id)}`, { reason: FORGED })
  await client.closed
  await send('POST', '/api/tokens/revoke', { subject: FORGED })
  await kill('SIGTERM')

  const written = output.filter((line) => line.includes('forged'))
  const forged = written.filter((line) => (JSON.parse(line) as { msg: string }).msg === 'forged')
  const obeyed = output.filter((line) => OBEYED.test(line))
  expect(forged).toEqual([])
  expect(obeyed).toEqual([])
  expect(statuses).toEqual([201, 201, 201, 200, 201, 200, 404, 400, 400, 200, 201])
  expect(written.length).toBeGreaterThan(5)
})
