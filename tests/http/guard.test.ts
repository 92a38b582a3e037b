/** What stands before every route: rights, bodies, origins, methods, problems, and the cursor of each answer. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { request as rawRequest } from 'node:http'
import { connect } from 'node:net'
import { parseScope, type Rights } from '../../lib/access/rights.ts'
import { channels } from '../../lib/protocol/events.ts'
import { declaredRoutes } from '../../cli/openapi-text.ts'
import { startTestServer, type TestServer } from '../support/server.ts'

setDefaultTimeout(60_000)

const declared = declaredRoutes()

function isGranted(rights: Rights, right: 'read' | 'publish' | 'apiRead' | 'apiWrite' | 'admin'): boolean {
  const held = rights[right]
  return typeof held === 'boolean' ? held : held.size > 0
}

const send = (server: TestServer, path: string, init: RequestInit = {}) =>
  fetch(`${server.url}${path}`, {
    ...init,
    headers: { Authorization: `Bearer ${server.token}`, 'Content-Type': 'application/json', ...init.headers },
  })

test('each route asks for exactly the scope it declares', async () => {
  await using server = await startTestServer()
  const scopes = ['', 'api:read', 'api:write', 'admin', 'events:read', 'events:publish']
  const wrong: string[] = []

  for (const { method, path, right } of declared) {
    const url = path.replace('{id}', path.includes('jobs') ? 'f'.repeat(32) : '1')
    for (const scope of scopes) {
      const rights = parseScope(scope)
      const granted = right === 'open' || right === 'any' || isGranted(rights, right)
      const { status } = await server.apiAs(await server.tokenFor(scope))(
        method.toUpperCase(),
        url,
        method === 'get' ? undefined : {},
      )
      if ((status === 403) === granted) wrong.push(`${method} ${path} with "${scope}": ${status}`)
    }
    const { status } = await server.apiAs(undefined)(
      method.toUpperCase(),
      url,
      method === 'get' ? undefined : {},
    )
    if ((status === 401) === (right === 'open')) wrong.push(`${method} ${path} without a token: ${status}`)
  }

  expect(wrong).toEqual([])
  expect(declared.length).toBeGreaterThan(18)
})

test('each answer but health and ready carries a cursor that names all channels', async () => {
  await using server = await startTestServer()
  const missing: string[] = []

  for (const { method, path } of declared) {
    const { cursor } = await server.api(
      method.toUpperCase(),
      path.replace('{id}', 'none'),
      method === 'get' ? undefined : {},
    )
    const named = channels.every((channel) => cursor?.includes(`${channel}=`))
    const without = /health|ready|^\/ws/.test(path) || (method === 'get' && path.startsWith('/api/events'))
    if (named === without) missing.push(`${method} ${path}: ${String(cursor)}`)
  }

  expect(missing).toEqual([])
})

test('a refusal is problem+json with every fault named by its path', async () => {
  await using server = await startTestServer()

  const response = await send(server, '/api/photos', {
    method: 'POST',
    body: JSON.stringify([{ file_path: '' }, { file_path: '/a', file_size: -1 }, { file_path: 5 }]),
  })
  const query = await send(server, '/api/jobs?limit=0&colour=red')
  const hex = await send(server, '/api/photos/0x1')

  expect([response.status, hex.status]).toEqual([400, 400])
  expect(response.headers.get('content-type')).toBe('application/problem+json')
  expect(await query.json()).toMatchObject({
    status: 400,
    code: 'invalid_message',
    errors: [{ path: 'limit' }, { path: 'colour' }],
  })
  const problem = (await response.json()) as { detail: string; error: string; errors: unknown[] }
  expect(problem).toMatchObject({
    type: 'about:blank',
    title: 'Bad Request',
    status: 400,
    code: 'invalid_message',
  })
  expect(problem.error).toBe(problem.detail)
})

const deep = `{"name":"a","import_folder":${'['.repeat(40)}${']'.repeat(40)}}`

test.each([
  ['no JSON', '{"name"', {}, 400, 'invalid_message'],
  ['JSON nested 40 deep', deep, {}, 400, 'invalid_message'],
  ['a body that is no object', '5', {}, 400, 'invalid_message'],
  ['an empty body', '', {}, 400, 'invalid_message'],
  ['bytes that are not UTF-8', new Uint8Array([0x22, 0xc3, 0x28, 0x22]), {}, 400, 'invalid_message'],
  ['a lone surrogate', '{"name":"\\ud800","import_folder":"/x"}', {}, 400, 'invalid_message'],
  ['U+0000 in a name', '{"name":"a\\u0000","import_folder":"/x"}', {}, 400, 'invalid_message'],
  [
    'a form',
    'name=a',
    { 'Content-Type': 'application/x-www-form-urlencoded' },
    415,
    'unsupported_media_type',
  ],
  [
    'plain text, which a page may send anywhere',
    '{}',
    { 'Content-Type': 'text/plain' },
    415,
    'unsupported_media_type',
  ],
  [
    'another encoding of characters',
    '{"name":"a","import_folder":"/x"}',
    { 'Content-Type': 'application/json; charset=UTF-16' },
    415,
    'unsupported_media_type',
  ],
  [
    'a body said to be compressed',
    '{"name":"a","import_folder":"/x"}',
    { 'Content-Encoding': 'gzip' },
    415,
    'unsupported_media_type',
  ],
  ['a body over 1 MiB', `{"name":"${'x'.repeat(1_048_577)}"}`, {}, 413, 'too_large'],
  [
    'a name over 200 characters',
    JSON.stringify({ name: 'x'.repeat(201), import_folder: '/' }),
    {},
    400,
    'invalid_message',
  ],
] as const)('%s is refused', async (_, body, headers, status, code) => {
  await using server = await startTestServer()

  const response = await send(server, '/api/sessions', { method: 'POST', body, headers })

  expect(response.status).toBe(status)
  expect(await response.json()).toMatchObject({ code, status })
})

test('a prototype key in a body is refused, others of the kind are ignored', async () => {
  await using server = await startTestServer()

  const create = (more: string) =>
    send(server, '/api/sessions', { method: 'POST', body: `{"name":"a","import_folder":"/x",${more}}` })
  const statuses = [await create('"__proto__":{"admin":true}'), await create('"constructor":1')]

  expect(statuses.map(({ status }) => status)).toEqual([400, 201])
  expect(({} as Record<string, unknown>)['admin']).toBeUndefined()
})

test('an address that is not there is 404, a method it does not take 405 with Allow', async () => {
  await using server = await startTestServer()

  const nowhere = await send(server, '/api/cats')
  const page = await send(server, '/cats')
  const put = await send(server, '/api/sessions/1', { method: 'PUT', body: '{}' })

  expect([nowhere.status, page.status, put.status]).toEqual([404, 404, 405])
  expect(put.headers.get('allow')).toBe('GET, PATCH, DELETE')
})

test.each([
  ['http://evil.example', 403],
  ['null', 403],
  ['http://127.0.0.1', 403],
  ['https://friend.example', 201],
  ['https://friend.example.evil.example', 403],
  ['own', 201],
] as const)('a change from a page of %s gets %p, and a socket likewise', async (origin, status) => {
  await using server = await startTestServer({ ALLOWED_ORIGINS: ['https://friend.example'] })
  const Origin = origin === 'own' ? server.url : origin
  const body = JSON.stringify({ name: 'a', import_folder: '/x' })

  const response = await send(server, '/api/sessions', { method: 'POST', body, headers: { Origin } })
  const read = await send(server, '/api/sessions', { headers: { Origin } })
  const socket = await fetch(`${server.url}/ws`, {
    headers: {
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
      Origin,
    },
  })

  expect(response.status).toBe(status)
  expect(socket.status).toBe(status === 201 ? 101 : 403)
  expect(read.headers.get('access-control-allow-origin')).toBe(status === 201 ? Origin : null)
  expect(read.headers.get('access-control-expose-headers')).toContain('Lightwire-Cursor')
})

test.each([
  ['evil.example', 403],
  ['127.0.0.1.evil.example', 403],
  ['a?b#c', 403],
  ['localhost', 200],
  ['LOCALHOST:5100', 200],
  ['[::1]:5100', 200],
  ['10.0.0.7', 200],
  ['lightwire.example', 200],
])('Host: %s gets %p', async (host, status) => {
  await using server = await startTestServer({ PUBLIC_URL: 'https://lightwire.example' })
  const { port } = new URL(server.url)

  const answered = await new Promise<number>((resolve, reject) => {
    const request = rawRequest(
      { port, host: '127.0.0.1', path: '/api/system/health', headers: { host } },
      (response) => {
        response.resume()
        resolve(response.statusCode ?? 0)
      },
    )
    request.on('error', reject)
    request.end()
  })

  expect(answered).toBe(status)
})

test('health, ready and info say what they are', async () => {
  await using server = await startTestServer()

  const health = await server.api('GET', '/api/system/health')
  const ready = await server.api('GET', '/api/system/ready')
  const info = await server.api('GET', '/api/system/info')

  expect(health.body).toEqual({ status: 'healthy', checks: { database: 'ok', writer: 'ok' } } as never)
  expect(ready.body).toEqual({ ready: true } as never)
  expect(info.body).toMatchObject({
    version: expect.any(String),
    uptime_seconds: expect.any(Number),
    limits: { frame_bytes: 65_536 },
  })
})

test('metrics are for METRICS_TOKEN and for admins, and without it for direct requests of this machine', async () => {
  await using open = await startTestServer()
  await using closed = await startTestServer({ METRICS_TOKEN: 'a-token-for-metrics' })
  const bearer = (token: string) => ({ Authorization: `Bearer ${token}` })
  const requests: [TestServer, Record<string, string>, number][] = [
    [open, {}, 200],
    [open, bearer(open.token), 200],
    [open, bearer(await open.tokenFor('api:read')), 403],
    [open, bearer('nonsense'), 401],
    [open, { 'X-Forwarded-For': '203.0.113.7' }, 403],
    [open, { Forwarded: 'for=203.0.113.7' }, 403],
    [open, { Via: '1.1 proxy' }, 403],
    [closed, {}, 403],
    [closed, bearer('a-token-for-metrics'), 200],
    [closed, { ...bearer('a-token-for-metrics'), 'X-Forwarded-For': '203.0.113.7' }, 200],
    [closed, bearer(closed.token), 200],
    [closed, bearer('a-token-for-metricz'), 401],
  ]

  const statuses: number[] = []
  for (const [server, headers] of requests) {
    statuses.push((await fetch(`${server.url}/metrics`, { headers })).status)
  }

  expect(statuses).toEqual(requests.map(([, , status]) => status))
  expect(await (await fetch(`${open.url}/metrics`)).text()).toContain('lightwire_dropped_total 0')
})

test('addresses that only read refuse other methods with 405, and say what they take', async () => {
  await using server = await startTestServer()

  const answers = await Promise.all(
    ['/docs', '/openapi.yaml', '/metrics', '/ws'].map((path) => send(server, path, { method: 'DELETE' })),
  )

  expect(answers.map(({ status }) => status)).toEqual([405, 405, 405, 405])
  expect(answers.slice(0, 3).map(({ headers }) => headers.get('allow'))).toEqual(['GET', 'GET', 'GET'])
})

test('a sentence that repeats what was sent does not cut a character in half', async () => {
  await using server = await startTestServer()
  const client = await server.connect()
  const long = `${'a'.repeat(63)}😀`

  const replies = [
    await client.request({ type: long }),
    await client.request({ type: 'subscribe', channels: [long] }),
    await client.request({ type: 'publish', event: { type: long } }),
  ]

  for (const reply of replies) expect(String(reply['error']).isWellFormed()).toBe(true)
})

test('with AUTH off nobody needs a token', async () => {
  await using server = await startTestServer({ AUTH: 'off' })
  const client = await server.connect({ token: null })

  const { status } = await server.apiAs(undefined)('POST', '/api/sessions', {
    name: 'a',
    import_folder: '/x',
  })

  expect(status).toBe(201)
  expect(await client.subscribe(['jobs'])).toMatchObject({ type: 'subscription_confirmed' })
  expect(await client.request({ type: 'auth', token: 'whatever' })).toMatchObject({
    type: 'authenticated',
    subject: 'anyone',
    expires_at: null,
    channels: ['jobs'],
  })
})

test('a client that goes away in the middle of its body is no fault of the server', async () => {
  await using server = await startTestServer()
  const { hostname, port } = new URL(server.url)
  const metrics = async () => await (await fetch(`${server.url}/metrics`)).text()

  const head = [
    'POST /api/sessions HTTP/1.1',
    `Host: ${hostname}:${port}`,
    `Authorization: Bearer ${server.token}`,
    'Content-Type: application/json',
    'Content-Length: 500',
  ]
  const socket = connect(Number(port), hostname)
  await new Promise<unknown>((sent) => socket.write(`${head.join('\r\n')}\r\n\r\n{"name":`, sent))
  // Two answers later it has read what came.
  await metrics()
  await metrics()
  socket.destroy()
  let text = await metrics()
  while (!/route="\/api\/sessions"/.test(text)) text = await metrics()

  expect(text).toMatch(/lightwire_bugs_total 0/)
})

test('a HEAD says the length that a GET has, and none where nobody makes what it would have', async () => {
  await using server = await startTestServer()
  const headers = { Authorization: `Bearer ${server.token}`, 'Accept-Encoding': 'identity' }
  const lengthOf = async (method: string, path: string) => {
    const response = await fetch(`${server.url}${path}`, { method, headers })
    const { byteLength } = await response.arrayBuffer()
    return { status: response.status, said: response.headers.get('content-length'), byteLength }
  }

  for (const path of ['/', '/docs', '/openapi.yaml', '/api/system/health', '/api/sessions', '/nowhere']) {
    const [head, get] = [await lengthOf('HEAD', path), await lengthOf('GET', path)]
    expect([path, head.status, head.said, head.byteLength]).toEqual([
      path,
      get.status,
      String(get.byteLength),
      0,
    ])
  }
  expect(await lengthOf('HEAD', '/api/events')).toEqual({ status: 200, said: null, byteLength: 0 })
  expect(await lengthOf('HEAD', '/api/events/stream?channels=jobs')).toMatchObject({
    status: 200,
    said: null,
  })
})
