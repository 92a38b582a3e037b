/** Requests that a hostile page, a rebound name or a confused proxy would send, as bytes, and what each gets. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { createOrigins } from '../../lib/access/origins.ts'
import type { Config } from '../../lib/settings.ts'
import { rawRequest } from '../support/raw-http.ts'
import { startTestServer } from '../support/server.ts'

setDefaultTimeout(60_000)

const FRIEND = 'https://friend.example'
const configs = {
  /** Who sends a token may; the rows that have none are to be refused before that matters. */
  required: {},
  off: { AUTH: 'off' },
  local: { LOCAL_SCOPE: 'events:read events:publish api:read api:write' },
  public: { AUTH: 'off', PUBLIC_URL: 'https://lightwire.example' },
} as const satisfies Record<string, Partial<Config>>

interface Row {
  readonly name: string
  readonly config?: keyof typeof configs
  /** Method and target, HTTP/1.1 unless it says another version. */
  readonly line: string
  /** Header lines; PORT stands for the server's own. Without a `Host:` line it has the right one. */
  readonly headers?: readonly string[]
  readonly hostless?: boolean
  readonly body?: string
  readonly status: number
  /** Of the problem; absent where the HTTP parser itself answers, or nothing is refused. */
  readonly code?: string
  /** Expected Access-Control-Allow-Origin. */
  readonly allowed?: string
}

const JSON_TYPE = 'Content-Type: application/json'
const session = (name = 'a') => JSON.stringify({ name, import_folder: '/x' })
const upgrade = (...without: readonly string[]) =>
  [
    'Upgrade: websocket',
    'Connection: Upgrade',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  ].filter((header) => !without.some((name) => header.startsWith(name)))

const host = (name: string, value: string, status: number, more: Partial<Row> = {}): Row => ({
  name: `Host: ${name}`,
  config: 'off',
  line: 'GET /api/sessions',
  headers: [`Host: ${value}`],
  status,
  ...(status === 403 ? { code: 'host_refused' } : {}),
  ...more,
})

const hosts: Row[] = [
  host('a name of somebody else', 'evil.example:PORT', 403),
  host('a name that begins with ours', 'localhost.evil.example:PORT', 403),
  host('a name that ends with ours', 'evil-localhost:PORT', 403),
  host('a subdomain of PUBLIC_URL', 'a.lightwire.example', 403, { config: 'public' }),
  host('the name of PUBLIC_URL in capitals, with another port', 'LIGHTWIRE.example:99', 200, {
    config: 'public',
  }),
  host('ours with the dot of the root', 'localhost.:PORT', 403),
  host('ours as user of another', '127.0.0.1@evil.example', 403),
  host('an address of six parts', '[::1]:PORT', 200),
  host('the loopback address, mapped into IPv6', '[::ffff:127.0.0.1]:PORT', 200),
  host('an address with a zone', '[fe80::1%25eth0]:PORT', 403),
  host('an IPv4 address in the brackets of IPv6', '[127.0.0.1]:PORT', 403),
  host('the loopback address in hexadecimal', '0x7f.1:PORT', 403),
  host('the loopback address as one number', '2130706433:PORT', 403),
  host('a port that is none', 'localhost:99999', 403),
  host('a path behind the name', 'localhost/evil.example', 403),
  host('nothing', '', 403),
  host('ours and another', 'unused', 403, { headers: ['Host: 127.0.0.1:PORT', 'Host: evil.example'] }),
  host('ours twice, which is no better', 'unused', 403, {
    headers: ['Host: 127.0.0.1:PORT', 'Host: 127.0.0.1:PORT'],
  }),
  host('another, continued from the line before', 'unused', 400, {
    headers: ['Host: 127.0.0.1', ' evil.example'],
  }),
  host('a space before the colon', 'unused', 400, { headers: ['Host : 127.0.0.1'] }),
  host('none in HTTP/1.1', 'unused', 400, { headers: [], hostless: true }),
  host('none in HTTP/1.0', 'unused', 403, {
    headers: [],
    hostless: true,
    line: 'GET /api/sessions HTTP/1.0',
  }),
  host('another, with a target that names us', 'evil.example', 403, {
    line: 'GET http://127.0.0.1:PORT/api/sessions',
  }),
  // No browser sends an absolute target to a server; a proxy that does has the Host agree (RFC 9112 §3.2.2).
  host('ours, with a target that names another', '127.0.0.1:PORT', 200, {
    line: 'GET http://evil.example/api/sessions',
  }),
  host('another, while X-Forwarded-Host names us', 'unused', 403, {
    headers: ['Host: evil.example', 'X-Forwarded-Host: 127.0.0.1:PORT'],
  }),
  host('ours, while X-Forwarded-Host names another', 'unused', 200, {
    headers: ['Host: 127.0.0.1:PORT', 'X-Forwarded-Host: evil.example'],
  }),
  host('a rebound name at a socket, with its own Origin', 'unused', 403, {
    line: 'GET /ws',
    headers: ['Host: evil.example:PORT', 'Origin: http://evil.example:PORT', ...upgrade()],
  }),
  host('a rebound name at a change, with its own Origin', 'unused', 403, {
    line: 'POST /api/sessions',
    headers: ['Host: evil.example:PORT', 'Origin: http://evil.example:PORT', JSON_TYPE],
    body: session(),
  }),
  ...[
    '/api/events/stream',
    '/api/events?wait=30',
    '/ws/poll?client_id=x',
    '/metrics',
    '/docs',
    '/openapi.json',
  ].map((path) => host(`a rebound name at ${path}`, 'evil.example:PORT', 403, { line: `GET ${path}` })),
  host('a rebound name at the probe, which needs no token', 'evil.example:PORT', 403, {
    line: 'GET /api/system/health',
    config: 'required',
  }),
]

const change = (name: string, origin: string, status: number, more: Partial<Row> = {}): Row => ({
  name: `Origin of a change: ${name}`,
  config: 'off',
  line: 'POST /api/sessions',
  headers: [`Origin: ${origin}`, JSON_TYPE],
  body: session(),
  status,
  ...(status === 403 ? { code: 'origin_refused' } : { allowed: origin }),
  ...more,
})

const origins: Row[] = [
  change('another page', 'http://evil.example', 403),
  change('a page without an origin: a sandbox, a file, a redirect', 'null', 403),
  change('another port of this machine', 'http://127.0.0.1:1', 403),
  change('our port, another address of this machine', 'http://127.0.0.2:PORT', 403),
  change('our address in a scheme that is no page', 'ws://127.0.0.1:PORT', 403),
  change('our address without its port', 'http://127.0.0.1', 403),
  change('ours, by name', 'http://localhost:PORT', 201),
  change('ours, over IPv6', 'http://[::1]:PORT', 201),
  change('ours, behind TLS', 'https://127.0.0.1:PORT', 201),
  change('that of PUBLIC_URL', 'https://lightwire.example', 201, { config: 'public' }),
  change('the name of PUBLIC_URL without TLS', 'http://lightwire.example', 403, { config: 'public' }),
  change('an allowed one', FRIEND, 201),
  change('an allowed one with spaces around, which no header keeps', `  ${FRIEND} `, 201, {
    allowed: FRIEND,
  }),
  change('an allowed name without TLS', 'http://friend.example', 403),
  change('a subdomain of an allowed one', 'https://a.friend.example', 403),
  change('an allowed one as the beginning of a name', `${FRIEND}.evil.example`, 403),
  change('an allowed one as the end of a name', 'https://evilfriend.example', 403),
  change('an allowed one with its default port', `${FRIEND}:443`, 403),
  change('an allowed one in capitals', 'HTTPS://FRIEND.EXAMPLE', 403),
  change('an allowed one with the dot of the root', `${FRIEND}.`, 403),
  change('an allowed one as user of another', `${FRIEND}@evil.example`, 403),
  change('an allowed one with a path', `${FRIEND}/`, 403),
  change('an empty one', '', 403),
  change('an allowed one and another', 'unused', 403, {
    headers: [`Origin: ${FRIEND}`, 'Origin: http://evil.example', JSON_TYPE],
  }),
  change('a list of an allowed one and null', `${FRIEND} null`, 403),
  change('another page, with a token that it stole', 'http://evil.example', 403, { config: 'required' }),
  change('another page, to PATCH', 'http://evil.example', 403, { line: 'PATCH /api/sessions/1', body: '{}' }),
  change('another page, to DELETE', 'http://evil.example', 403, { line: 'DELETE /api/sessions/1', body: '' }),
  change('another page, with a method that nothing takes', 'http://evil.example', 403, {
    line: 'PUT /api/sessions/1',
  }),
  change('another page, at an address that is not there', 'http://evil.example', 403, {
    line: 'POST /api/x',
  }),
]

/** What a page can send without asking first (Fetch §4.8): forms, beacons, images. */
const simple = (
  name: string,
  line: string,
  headers: readonly string[],
  status: number,
  more: Partial<Row> = {},
): Row => ({
  name: `without a preflight: ${name}`,
  config: 'off',
  line,
  headers,
  status,
  ...(status === 403 ? { code: 'origin_refused' } : {}),
  ...more,
})
const EVIL = 'Origin: http://evil.example'
const IMAGE = ['Sec-Fetch-Site: cross-site', 'Sec-Fetch-Mode: no-cors', 'Sec-Fetch-Dest: image']

const pages: Row[] = [
  simple('a form as text/plain', 'POST /api/sessions', [EVIL, 'Content-Type: text/plain'], 403, {
    body: session(),
  }),
  simple(
    'a form with files',
    'POST /api/photos',
    [EVIL, 'Content-Type: multipart/form-data; boundary=x'],
    403,
    {
      body: '--x--\r\n',
    },
  ),
  simple(
    'a form whose browser tells no origin: JSON in its text',
    'POST /api/sessions',
    ['Content-Type: text/plain; charset=application/json'],
    415,
    { body: session(), code: 'unsupported_media_type' },
  ),
  simple('a body of no type', 'POST /api/sessions', [], 415, {
    body: session(),
    code: 'unsupported_media_type',
  }),
  simple('two types in one', 'POST /api/sessions', ['Content-Type: text/plain, application/json'], 415, {
    body: session(),
    code: 'unsupported_media_type',
  }),
  simple(
    'a change without a body, told by Sec-Fetch-Site alone',
    'POST /api/approval/1/approve',
    ['Sec-Fetch-Site: cross-site', 'Content-Length: 0'],
    403,
  ),
  simple('a handshake', 'POST /ws/handshake', [EVIL, 'Content-Type: text/plain'], 403, {
    body: '{"client_type":"web"}',
  }),
  simple('a poll, which would begin a session', 'GET /ws/poll?client_id=x', IMAGE, 403),
  simple('a poll, this machine being trusted', 'GET /ws/poll?client_id=x', IMAGE, 403, { config: 'local' }),
  simple('a stream', 'GET /api/events/stream', IMAGE, 403, { config: 'local' }),
  simple('a long poll', 'GET /api/events?wait=30', IMAGE, 403),
  simple('a read', 'GET /api/sessions', IMAGE, 403),
  simple('a read by a page of another port here', 'GET /api/sessions', ['Sec-Fetch-Site: same-site'], 403),
  simple('the metrics', 'GET /metrics', IMAGE, 403),
  simple('a read by a page of ours', 'GET /api/sessions', ['Sec-Fetch-Site: same-origin'], 200),
  simple('an address that somebody typed', 'GET /api/sessions', ['Sec-Fetch-Site: none'], 200),
  simple(
    'the documentation, by a link',
    'GET /docs',
    ['Sec-Fetch-Site: cross-site', 'Sec-Fetch-Mode: navigate'],
    200,
  ),
  simple('the probe, which says nothing', 'GET /api/system/health', IMAGE, 200),
]

const cors = (
  name: string,
  line: string,
  headers: readonly string[],
  status: number,
  more: Partial<Row> = {},
): Row => ({
  name: `with CORS: ${name}`,
  config: 'off',
  line,
  headers,
  status,
  ...more,
})
const asks = (method: string, origin: string) => [
  `Origin: ${origin}`,
  `Access-Control-Request-Method: ${method}`,
  'Access-Control-Request-Headers: authorization,content-type,x-evil',
  'Access-Control-Request-Private-Network: true',
]

const exchanges: Row[] = [
  cors('another page asks first', 'OPTIONS /api/sessions/1', asks('DELETE', 'http://evil.example'), 204),
  cors('a page without an origin asks first', 'OPTIONS /api/sessions', asks('POST', 'null'), 204),
  cors('an allowed page asks first', 'OPTIONS /api/sessions', asks('POST', FRIEND), 204, { allowed: FRIEND }),
  cors('an allowed page asks for a handshake', 'OPTIONS /ws/handshake', asks('POST', FRIEND), 204, {
    allowed: FRIEND,
  }),
  cors('another page reads', 'GET /api/sessions', [EVIL], 403, { code: 'origin_refused' }),
  cors('another page reads, this machine being trusted', 'GET /api/sessions', [EVIL], 403, {
    config: 'local',
    code: 'origin_refused',
  }),
  cors('another page opens a stream', 'GET /api/events/stream', [EVIL], 403, { code: 'origin_refused' }),
  cors('another page polls', 'GET /ws/poll?client_id=x', [EVIL], 403, { code: 'origin_refused' }),
  cors('another page reads the metrics', 'GET /metrics', [EVIL], 403, { code: 'origin_refused' }),
  cors('an allowed page reads', 'GET /api/sessions', [`Origin: ${FRIEND}`, ...IMAGE.slice(0, 1)], 200, {
    allowed: FRIEND,
  }),
  cors('an allowed page opens a stream', 'GET /api/events/stream', [`Origin: ${FRIEND}`], 200, {
    allowed: FRIEND,
  }),
  cors('an allowed page polls', 'GET /ws/poll?client_id=x', [`Origin: ${FRIEND}`], 200, { allowed: FRIEND }),
  cors('an allowed page may read why it was refused', 'GET /api/sessions/77', [`Origin: ${FRIEND}`], 404, {
    allowed: FRIEND,
    code: 'not_found',
  }),
  cors('an allowed page is no program of this machine', 'GET /api/sessions', [`Origin: ${FRIEND}`], 401, {
    config: 'local',
    allowed: FRIEND,
    code: 'unauthenticated',
  }),
  cors('a program of this machine', 'GET /api/sessions', [], 200, { config: 'local' }),
  cors('a program behind a proxy of this machine', 'GET /api/sessions', ['X-Forwarded-For: 10.0.0.1'], 401, {
    config: 'local',
    code: 'unauthenticated',
  }),
]

const socket = (name: string, headers: readonly string[], status: number, more: Partial<Row> = {}): Row => ({
  name: `upgrade: ${name}`,
  config: 'off',
  line: 'GET /ws',
  headers,
  status,
  ...more,
})
const refused = { code: 'origin_refused' }
const malformed = { code: 'invalid_message' }

const upgrades: Row[] = [
  socket('no browser', upgrade(), 101),
  socket('a page of ours', [...upgrade(), 'Origin: http://localhost:PORT'], 101),
  socket('an allowed page', [...upgrade(), `Origin: ${FRIEND}`], 101, { config: 'required' }),
  socket('another page', [...upgrade(), EVIL], 403, refused),
  socket('another page, without a token', [...upgrade(), EVIL], 403, { ...refused, config: 'required' }),
  socket('a page without an origin', [...upgrade(), 'Origin: null'], 403, refused),
  socket('an allowed page and another', [...upgrade(), `Origin: ${FRIEND}`, EVIL], 403, refused),
  socket('the origin of the older drafts', [...upgrade(), 'Sec-WebSocket-Origin: http://evil.example'], 101),
  socket('as Firefox asks', [...upgrade('Connection'), 'Connection: keep-alive, Upgrade'], 101),
  socket('without Connection', upgrade('Connection'), 400, malformed),
  socket('Connection: keep-alive', [...upgrade('Connection'), 'Connection: keep-alive'], 400, malformed),
  socket('to another protocol', [...upgrade('Upgrade'), 'Upgrade: h2c'], 400, malformed),
  socket('none', [], 400, malformed),
  socket('version 8', [...upgrade('Sec-WebSocket-Version'), 'Sec-WebSocket-Version: 8'], 426),
  socket('without a key', upgrade('Sec-WebSocket-Key'), 400, malformed),
  socket(
    'a key that is too short',
    [...upgrade('Sec-WebSocket-Key'), 'Sec-WebSocket-Key: YQ=='],
    400,
    malformed,
  ),
  socket('a POST', [...upgrade(), 'Content-Length: 0'], 405, {
    line: 'POST /ws',
    code: 'method_not_allowed',
  }),
  socket('a HEAD', upgrade(), 405, { line: 'HEAD /ws' }),
  socket('a token in the query', upgrade(), 400, { line: 'GET /ws?token=x', ...malformed }),
  socket('an address that only decodes to ours', [...upgrade(), EVIL], 404, {
    line: 'GET /%77s',
    code: 'not_found',
  }),
  socket('at another address', upgrade(), 200, { line: 'GET /api/sessions' }),
  socket('to HTTP/2, which is ignored', ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c'], 200, {
    line: 'GET /api/sessions',
  }),
]

const odd = (
  name: string,
  line: string,
  headers: readonly string[],
  status: number,
  more: Partial<Row> = {},
): Row => ({
  name: `odd: ${name}`,
  config: 'off',
  line,
  headers,
  status,
  ...more,
})

const oddities: Row[] = [
  odd('TRACE echoes nothing', 'TRACE /api/sessions', ['Cookie: secret'], 405, { code: 'method_not_allowed' }),
  odd('CONNECT to elsewhere', 'CONNECT evil.example:443', ['Host: evil.example:443'], 403, {
    code: 'host_refused',
  }),
  odd('a HEAD opens no stream', 'HEAD /api/events/stream', [], 200),
  odd('a HEAD takes no messages', 'HEAD /ws/poll?client_id=x', [], 200),
  odd('a HEAD of a read', 'HEAD /api/sessions', [], 200),
  odd('the preface of HTTP/2', 'PRI * HTTP/2.0', [], 400),
  odd('two lengths', 'POST /api/sessions', [JSON_TYPE, 'Content-Length: 2', 'Content-Length: 9'], 400, {
    body: '{}',
  }),
  odd(
    'a length and chunks: no second request hides in the body',
    'POST /api/sessions',
    [JSON_TYPE, 'Content-Length: 4', 'Transfer-Encoding: chunked'],
    400,
    { body: '0\r\n\r\nGET /api/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n' },
  ),
  odd('an unknown coding', 'POST /api/sessions', [JSON_TYPE, 'Transfer-Encoding: xchunked'], 400, {
    body: '0\r\n\r\n',
  }),
  odd('a method override is not one', 'GET /api/sessions/1', ['X-HTTP-Method-Override: DELETE'], 404, {
    code: 'not_found',
  }),
]

const rows = [...hosts, ...origins, ...pages, ...exchanges, ...upgrades, ...oddities]

function textOf(
  { line, headers = [], hostless = false, body }: Row,
  port: string,
  token: string | undefined,
) {
  const own = hostless || headers.some((header) => /^host ?:/i.test(header)) ? [] : ['Host: 127.0.0.1:PORT']
  const length =
    body === undefined || headers.some((header) => /^(content-length|transfer-encoding)/i.test(header))
      ? []
      : [`Content-Length: ${body.length}`]
  const version = /HTTP\/\d\.\d$/.test(line) ? '' : ' HTTP/1.1'
  const bearer = token === undefined ? [] : [`Authorization: Bearer ${token}`]
  const lines = [`${line}${version}`, ...own, ...headers, ...bearer, ...length]
  return `${lines.join('\r\n').replaceAll('PORT', port)}\r\n\r\n${body ?? ''}`
}

test.each(rows.map((row) => [row.name, row] as const))('%s', async (_, row) => {
  const { config = 'required', status, code, allowed } = row
  await using server = await startTestServer({ ALLOWED_ORIGINS: [FRIEND], ...configs[config] })
  const { port } = new URL(server.url)
  const before = await server.api('GET', '/api/sessions')

  const answer = await rawRequest(
    server.url,
    textOf(row, port, config === 'required' ? server.token : undefined),
  )

  const after = await server.api('GET', '/api/sessions')
  const problem = code === undefined ? {} : (JSON.parse(answer.body) as { code?: string })
  expect([answer.status, problem.code]).toEqual([status, code])
  expect(answer.headers.get('access-control-allow-origin')).toBe(allowed?.replace('PORT', port))
  expect(answer.headers.has('access-control-allow-credentials')).toBe(false)
  expect(answer.headers.has('access-control-allow-private-network')).toBe(false)
  expect(answer.headers.get('access-control-allow-headers') ?? '').not.toContain('x-evil')
  expect(answer.body).not.toContain('Cookie: secret')
  expect(answer.isMore).toBe(false)
  // A HEAD that is answered opens nothing and begins nothing either.
  if (status >= 400 || row.line.startsWith('HEAD')) {
    expect(after.cursor).toBe(before.cursor ?? '')
    expect(server.server.clients()).toEqual([])
  }
})

test('no two rows are the same request', () => {
  const requests = rows.map((row) => `${row.config} ${textOf(row, '1', undefined)}`)

  expect(new Set(requests).size).toBe(rows.length)
  expect(rows.length).toBeGreaterThan(100)
})

test('a server on the port of its scheme knows its own pages, whose Origin names no port', () => {
  const on = (port: number) =>
    createOrigins({ port, publicUrl: undefined, allowed: [], host: 'Studio.Local' })

  expect([on(80).allows('http://localhost'), on(443).allows('https://127.0.0.1')]).toEqual([true, true])
  expect([on(80).allows('https://localhost'), on(5100).allows('http://localhost')]).toEqual([false, false])
  expect(() => on(80).requireHost('studio.local')).not.toThrow()
})
