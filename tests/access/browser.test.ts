/** A real Chromium: what a hostile page, a rebound name and an allowed page get of a running server. */
import { expect, setDefaultTimeout } from 'bun:test'
import type { Frame, Page } from 'playwright-core'
import type { Config } from '../../lib/settings.ts'
import { servePage, startBrowser } from '../support/browser.ts'
import { needs } from '../support/needs.ts'
import { startTestServer, type TestServer } from '../support/server.ts'

setDefaultTimeout(120_000)

/** What the page's functions use of a browser: the program itself is checked against a library without pages. */
interface PageElement {
  onload: () => void
  onerror: () => void
  src: string
  srcdoc: string
  name: string
  append(child: PageElement): void
  setAttribute(name: string, value: string): void
  submit(): void
}
declare const document: { readonly body: PageElement; createElement(tag: string): PageElement }
declare const navigator: { sendBeacon(url: string, body: string): boolean }
declare const EventSource: new (url: string) => { onopen: () => void; onerror: () => void; close(): void }

interface Target {
  /** The server, as the page names it. */
  readonly url: string
  readonly token: string
}

/** Runs in the page: everything that it can try, and whatever came of that. */
async function attack({ url, token }: Target): Promise<string[]> {
  const received: string[] = []
  const session = JSON.stringify({ name: 'mine', import_folder: '/x' })
  const event = JSON.stringify({ type: 'system_status', status: 'mine' })
  const withToken = { Authorization: `Bearer ${token}` }
  const json = { 'Content-Type': 'application/json' }
  const note = async (what: string, answer: Promise<Response>) => {
    try {
      const response = await answer
      const text = await response.text()
      // An answer without CORS is opaque: it has no status and no bytes.
      if (response.status === 0 && text === '') return
      if (response.status !== 403 && response.status !== 401)
        received.push(`${what}: ${response.status} ${text}`)
    } catch {
      // Refused, or not for this page to see.
    }
  }
  const requests: [path: string, options: RequestInit][] = [
    ['/api/sessions', {}],
    ['/api/sessions', { mode: 'no-cors', credentials: 'include' }],
    ['/api/sessions', { headers: withToken }],
    ['/api/events?wait=1', { mode: 'no-cors' }],
    ['/api/events/stream', { mode: 'no-cors' }],
    ['/api/events/stream', {}],
    ['/ws/poll?client_id=x', {}],
    ['/ws/poll?client_id=x', { mode: 'no-cors' }],
    ['/ws/poll?client_id=x', { mode: 'no-cors', method: 'HEAD' }],
    ['/metrics', { mode: 'no-cors' }],
    ['/metrics', {}],
    ['/api/sessions', { method: 'POST', body: session, headers: { ...json, ...withToken } }],
    ['/api/sessions', { method: 'POST', body: session, headers: json }],
    ['/api/sessions', { method: 'POST', body: session, mode: 'no-cors' }],
    [
      '/api/events',
      { method: 'POST', body: event, mode: 'no-cors', headers: { 'Content-Type': 'text/plain' } },
    ],
    ['/ws/handshake', { method: 'POST', body: '{"client_type":"web"}', mode: 'no-cors' }],
    ['/api/approval/1/approve', { method: 'POST', mode: 'no-cors', body: new Blob([]) }],
    ['/api/sessions/1', { method: 'DELETE', headers: withToken }],
    ['/api/sessions/1', { method: 'PATCH', body: '{"name":"mine"}', headers: { ...json, ...withToken } }],
  ]
  await Promise.all(
    requests.map(([path, options]) => {
      // Where it is let in, a stream would go on for ever.
      const signal = AbortSignal.timeout(5000)
      return note(`${options.method ?? 'GET'} ${path}`, fetch(`${url}${path}`, { ...options, signal }))
    }),
  )
  navigator.sendBeacon(`${url}/api/events`, event)

  const socketUrl = `${url.replace('http', 'ws')}/ws`
  const overSocket = (protocols: string[]) =>
    new Promise<void>((resolve) => {
      const socket = new WebSocket(socketUrl, protocols)
      socket.onmessage = ({ data }) => void received.push(`socket: ${String(data)}`)
      socket.onopen = () => {
        received.push('socket: opened')
        socket.close()
      }
      socket.onclose = () => resolve()
      socket.onerror = () => resolve()
    })
  const overStream = () =>
    new Promise<void>((resolve) => {
      const stream = new EventSource(`${url}/api/events/stream`)
      const end = () => {
        stream.close()
        resolve()
      }
      stream.onopen = () => {
        received.push('stream: opened')
        end()
      }
      stream.onerror = end
    })
  await Promise.all([
    overSocket([]),
    overSocket(['lightwire.v1.json', `bearer.${token}`]),
    overSocket(['lightwire.v1.msgpack']),
    overStream(),
  ])

  const element = (tag: 'img' | 'script' | 'iframe', path: string) =>
    new Promise<void>((resolve) => {
      const made = document.createElement(tag)
      made.onload = () => {
        if (tag === 'img' || tag === 'script') received.push(`${tag} ${path}: loaded`)
        resolve()
      }
      made.onerror = () => resolve()
      setTimeout(resolve, 3000)
      made.src = `${url}${path}`
      document.body.append(made)
    })
  const form = (path: string, enctype: string, name: string) =>
    new Promise<void>((resolve) => {
      const frame = document.createElement('iframe')
      frame.name = `frame of ${enctype}`
      document.body.append(frame)
      const made = document.createElement('form')
      Object.assign(made, { action: `${url}${path}`, method: 'POST', enctype, target: frame.name })
      const field = document.createElement('input')
      Object.assign(field, { name, value: '' })
      made.append(field)
      document.body.append(made)
      frame.onload = () => resolve()
      setTimeout(resolve, 3000)
      made.submit()
    })
  await Promise.all([
    element('img', '/ws/poll?client_id=x'),
    element('script', '/api/sessions'),
    element('iframe', '/api/events/stream'),
    element('iframe', '/docs'),
    form('/api/sessions', 'text/plain', session),
    form('/ws/handshake', 'multipart/form-data', 'client_type'),
    form('/api/websocket/broadcast', 'application/x-www-form-urlencoded', 'message'),
  ])
  return received
}

interface Came {
  /** Answers of 1xx and 2xx that are not for everybody, and changes. */
  readonly harm: readonly string[]
  /** Whether what the page tried came so far as to be refused. */
  readonly isRefused: boolean
}

async function cameOf(server: TestServer, act: () => Promise<void>): Promise<Came> {
  const before = (await server.api('GET', '/api/sessions')).cursor
  const earlier = await answered(server)
  await act()
  const answers = await answered(server)
  const after = (await server.api('GET', '/api/sessions')).cursor
  const more = [...answers].map(([name, count]) => [name, count - (earlier.get(name) ?? 0)] as const)
  const given = more.flatMap(([name, count]) => {
    // Preflights say nothing, and the documentation is for everybody.
    if (!/status="[12]/.test(name) || /method="OPTIONS"|route="\/docs/.test(name)) return []
    // The metrics and the position were read here, too.
    const own = /method="GET",route="(\/metrics|\/api\/sessions)"/.test(name) ? 1 : 0
    return count > own ? [`${name} ${count}`] : []
  })
  const refused = more.reduce((sum, [name, count]) => sum + (/status="40[13]"/.test(name) ? count : 0), 0)
  const clients = server.server.clients().map(({ transport }) => `a client by ${transport}`)
  const events = before === after ? [] : [`events: ${before} ${after}`]
  return { harm: [...given, ...clients, ...events], isRefused: refused >= REFUSED_MIN }
}

/** Of the simple requests alone there are more. */
const REFUSED_MIN = 18

/** How many answers there were by method, route and status. */
async function answered(server: TestServer): Promise<Map<string, number>> {
  const headers = { Authorization: `Bearer ${server.token}` }
  const text = await (await fetch(`${server.url}/metrics`, { headers })).text()
  const lines = [...text.matchAll(/^(lightwire_http_requests_total\{.*\}) (\d+)$/gm)]
  return new Map(lines.map(([, name = '', count]) => [name, Number(count)]))
}

const configs: [name: string, config: Partial<Config>][] = [
  ['tokens', {}],
  ['AUTH=off', { AUTH: 'off' }],
  ['LOCAL_SCOPE', { LOCAL_SCOPE: 'events:read events:publish api:read api:write' }],
]

/** Pages that are not to get anything, by where they come from. */
const hostile: [name: string, attack: (page: Page, target: Target) => Promise<string[]>][] = [
  [
    'another site',
    async (page, target) => {
      await using site = await servePage()
      await page.goto(`http://evil.example:${site.port}/`)
      return await page.evaluate(attack, target)
    },
  ],
  [
    'another port of this machine',
    async (page, target) => {
      await using site = await servePage()
      await page.goto(`http://127.0.0.1:${site.port}/`)
      return await page.evaluate(attack, target)
    },
  ],
  [
    'a sandbox, whose origin is null',
    async (page, target) => {
      await using site = await servePage()
      await page.goto(`http://evil.example:${site.port}/`)
      const frame = await sandboxIn(page)
      return await frame.evaluate(attack, target)
    },
  ],
  [
    'a name that is rebound to this server',
    async (page, { url, token }) => {
      await using site = await servePage()
      const own = `http://evil.example:${site.port}`
      await page.goto(`${own}/`)
      site.rebind(url)
      return await page.evaluate(attack, { url: own, token })
    },
  ],
]

async function sandboxIn(page: Page): Promise<Frame> {
  await page.evaluate(() => {
    const frame = document.createElement('iframe')
    frame.setAttribute('sandbox', 'allow-scripts allow-forms')
    frame.srcdoc = '<!doctype html><body></body>'
    document.body.append(frame)
  })
  const element = await page.waitForSelector('iframe')
  const frame = await element.contentFrame()
  if (!frame) throw new Error('there is no frame')
  await frame.waitForSelector('body', { state: 'attached' })
  return frame
}

for (const [name, config] of configs)
  needs('chromium')(
    `with ${name} pages of elsewhere receive nothing and change nothing`,
    async ({ chromium }) => {
      await using server = await startTestServer(config)
      await using browser = await startBrowser(chromium)
      const found: Record<string, unknown> = {}
      const target = { url: server.url, token: server.token }

      for (const [from, run] of hostile) {
        const page = await browser.newPage()
        let received: string[] = []
        const came = await cameOf(server, async () => {
          received = await run(page, target)
          await page.close()
        })
        found[from] = { received, ...came }
      }

      const nothing = { received: [], harm: [], isRefused: true }
      expect(found).toEqual(Object.fromEntries(hostile.map(([from]) => [from, nothing])))
    },
  )

interface Got {
  readonly statuses: readonly number[]
  readonly problem: string
  readonly cursor: string | null
  readonly greeted: string
  readonly event: string
  readonly streamed: string
  readonly polled: string
}

/** Runs in the page: the same ways, as a web app would use them. */
async function use({ url, token }: Target): Promise<Got> {
  const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }
  const call = (method: string, path: string, body?: object) =>
    fetch(`${url}${path}`, { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) })
  const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`, ['lightwire.v1.json', `bearer.${token}`])
  const waiting: ((message: string) => void)[] = []
  const messages: string[] = []
  socket.onmessage = ({ data }) => {
    const next = waiting.shift()
    if (next) next(String(data))
    else messages.push(String(data))
  }
  const message = () =>
    new Promise<string>((resolve) => {
      const there = messages.shift()
      if (there === undefined) waiting.push(resolve)
      else resolve(there)
    })
  const greeted = await message()
  socket.send(JSON.stringify({ type: 'subscribe', channels: ['sessions'] }))
  await message()
  const stream = await fetch(`${url}/api/events/stream?channels=sessions`, { headers })
  const reader = stream.body?.pipeThrough(new TextDecoderStream()).getReader()
  const handshake = await call('POST', '/ws/handshake', { client_type: 'web' })
  const { client_id } = (await handshake.json()) as { client_id: string }

  const created = await call('POST', '/api/sessions', { name: 'a', import_folder: '/x' })
  const again = await call('POST', '/api/sessions', { name: 'a', import_folder: '/x' })
  const patched = await call('PATCH', '/api/sessions/1', { name: 'b' })
  let streamed = ''
  while (reader && !streamed.includes('session_updated')) streamed += (await reader.read()).value ?? ''
  await reader?.cancel()
  const poll = await call('GET', `/ws/poll?client_id=${client_id}`)
  const event = await message()
  socket.close()
  return {
    statuses: [handshake.status, created.status, again.status, patched.status, poll.status],
    problem: ((await again.json()) as { code: string }).code,
    cursor: created.headers.get('Lightwire-Cursor'),
    greeted,
    event,
    streamed,
    polled: await poll.text(),
  }
}

needs('chromium')(
  'a page of an allowed origin works: REST, socket, stream and polls',
  async ({ chromium }) => {
    await using site = await servePage()
    const origin = `http://friend.example:${site.port}`
    await using server = await startTestServer({ ALLOWED_ORIGINS: [origin] })
    await using browser = await startBrowser(chromium)
    const page = await browser.newPage()
    await page.goto(`${origin}/`)

    const got = await page.evaluate(use, { url: server.url, token: server.token })

    expect(got.statuses).toEqual([200, 201, 409, 200, 200])
    expect(got.problem).toBe('conflict')
    expect(got.cursor).toContain('sessions=1')
    expect(got.greeted).toContain('connection_established')
    expect(got.event).toContain('session_created')
    expect(got.streamed).toContain('event: session_created')
    expect(got.polled).toContain('connection_established')
  },
)
