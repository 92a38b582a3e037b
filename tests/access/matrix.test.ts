/** Who may what: every role against every route, message and channel over every transport, each cell a real request. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { declaredRoutes } from '../../cli/openapi-text.ts'
import { FULL_SCOPE, type Grant } from '../../lib/access/rights.ts'
import { channels, type Channel } from '../../lib/protocol/events.ts'
import { clientMessages } from '../../lib/protocol/messages.ts'
import type { Api } from '../support/api.ts'
import { startTestServer, type TestServer } from '../support/server.ts'

setDefaultTimeout(300_000)

/** What a role may, as PROTOCOL §7 says it; written down here, not asked of the program. */
interface Role {
  readonly name: string
  /** Absent: no token at all. */
  readonly scope?: string
  readonly grants?: readonly Grant[]
  /** Why its token is void. */
  readonly void?: 'expired' | 'revoked' | 'signed by another'
  readonly read?: readonly Channel[]
  readonly publish?: readonly Channel[]
  readonly api?: readonly ('read' | 'write' | 'admin')[]
  /** Whether a grant opens the GETs of sessions and photos. */
  readonly session?: boolean
}

const everything = { read: channels, publish: channels, api: ['read', 'write', 'admin'] } as const
const roles: Role[] = [
  { name: 'nobody' },
  { name: 'an expired token', scope: FULL_SCOPE, void: 'expired' },
  { name: 'a revoked token', scope: FULL_SCOPE, void: 'revoked' },
  { name: 'a token of another server', scope: FULL_SCOPE, void: 'signed by another' },
  { name: 'a token of no scope', scope: '' },
  {
    name: 'scopes that there are not',
    scope: 'root API:READ events events:read:cats api:* admin:all api:read,api:write',
  },
  { name: 'events:read', scope: 'events:read', read: channels },
  { name: 'events:publish', scope: 'events:publish', publish: channels },
  { name: 'api:read', scope: 'api:read', api: ['read'] },
  { name: 'api:write', scope: 'api:write', api: ['write'] },
  { name: 'admin', scope: 'admin', api: ['admin'] },
  { name: 'everything', scope: FULL_SCOPE, ...everything },
  ...channels.flatMap((channel): Role[] => [
    { name: `events:read:${channel}`, scope: `events:read:${channel}`, read: [channel] },
    { name: `events:publish:${channel}`, scope: `events:publish:${channel}`, publish: [channel] },
    {
      name: `a grant on ${channel}`,
      scope: '',
      grants: [{ channel, where: { seq: { gte: 1 } } }],
      read: [channel],
    },
  ]),
  {
    name: 'a grant on a session',
    scope: '',
    grants: [{ channel: 'photos', where: { session_id: 1 } }],
    read: ['photos'],
    session: true,
  },
  {
    name: 'a grant on some events of a session, which opens no GET',
    scope: '',
    grants: [{ channel: 'photos', where: { session_id: 1, type: 'photo_approved' } }],
    read: ['photos'],
  },
  {
    name: 'scope and grant together',
    scope: 'events:read:jobs events:publish:jobs api:write',
    grants: [{ channel: 'photos', where: { session_id: 1 } }],
    read: ['jobs', 'photos'],
    publish: ['jobs'],
    api: ['write'],
    session: true,
  },
]

/** An event of each channel about rows that the server does not hold, so that it is passed on. */
const samples: Readonly<Record<Channel, { readonly type: string } & Readonly<Record<string, unknown>>>> = {
  approval: { type: 'approval_queue_updated', queue_count: 0 },
  export: { type: 'export_started', photo_id: 1_000_000, preset_name: 'a', destination: '/x' },
  jobs: { type: 'job_cancelled', job_id: 'elsewhere' },
  photos: { type: 'photo_approved', photo_id: 1_000_000 },
  queue: { type: 'priority_changed', job_id: 'elsewhere', old_priority: 5, new_priority: 1, reason: '' },
  sessions: { type: 'session_deleted', session_id: 1_000_000, session_name: 'a' },
  system: { type: 'system_status', status: 'running' },
}

type Verdict = 'granted' | 'unauthenticated' | 'forbidden'

/** Of a role whose token is good or not, for something that it may or may not. */
function expected(role: Role, may: boolean): Verdict {
  if (role.scope === undefined || role.void) return 'unauthenticated'
  return may ? 'granted' : 'forbidden'
}

const verdictOf = (status: number): Verdict =>
  status === 401 ? 'unauthenticated' : status === 403 ? 'forbidden' : 'granted'

/** PROTOCOL §7 by method and path. */
function mayCall(
  { read = [], publish = [], api = [], session = false }: Role,
  method: string,
  path: string,
): boolean {
  if (path.startsWith('/ws/')) return true
  if (path.startsWith('/api/events')) return method === 'get' ? read.length > 0 : publish.length > 0
  if (/^\/api\/(websocket|tokens)/.test(path)) return api.includes('admin')
  if (method !== 'get') return api.includes('write')
  return api.includes('read') || (session && /^\/api\/(sessions|photos)(\/\{id\}(\/thumbnail)?)?$/.test(path))
}

async function tokenOf(
  server: TestServer,
  { name, scope, grants = [], void: why }: Role,
): Promise<string | undefined> {
  if (scope === undefined) return undefined
  if (why === 'signed by another') {
    await using other = await startTestServer()
    return await other.tokenFor(scope)
  }
  const expiresInMs = why === 'expired' ? -60_000 : 3_600_000
  const token = await server.server.issueToken({ subject: name, scope, grants, expiresInMs })
  if (why === 'revoked') await server.api('POST', '/api/tokens/revoke', { subject: name })
  return token
}

test('every role at every route: granted, 401 or 403 as its rights say, and a refusal changes nothing', async () => {
  await using server = await startTestServer()
  const routes = declaredRoutes()
  const wrong: string[] = []
  let cells = 0

  for (const role of roles) {
    const api = server.apiAs(await tokenOf(server, role))
    for (const { method, path } of routes) {
      const probe = /^\/api\/system\/(health|ready)$/.test(path)
      const url = path.replace(/\{\w+\}/, path.includes('jobs') ? 'f'.repeat(32) : '1')
      const query = path === '/ws/poll' ? '?client_id=none' : ''
      const { status } = await api(method.toUpperCase(), `${url}${query}`, method === 'get' ? undefined : {})
      const wanted = probe ? 'granted' : expected(role, mayCall(role, method, path))
      if (verdictOf(status) !== wanted)
        wrong.push(`${role.name}: ${method} ${path} is ${status}, not ${wanted}`)
      if (status >= 500) wrong.push(`${role.name}: ${method} ${path} is ${status}`)
      cells += 1
    }
  }

  expect(wrong).toEqual([])
  expect(cells).toBe(roles.length * routes.length)
  // The bodies were empty: nothing but polling sessions and streams came of all that.
  expect((await server.api('GET', '/api/sessions')).cursor).toMatch(/:(\w+=0,?){7}$/)
})

/** Ways to ask for a channel's events. */
const readers: Readonly<Record<string, (asked: Asked) => Promise<Verdict>>> = {
  pull: async ({ api, channel }) =>
    verdictOf((await api('GET', `/api/events?limit=1&channels=${channel}`)).status),
  'pull, as one of two': async ({ api, channel, other }) =>
    verdictOf((await api('GET', `/api/events?limit=1&channels=${other},${channel}`)).status),
  stream: async ({ api, channel }) =>
    verdictOf((await api('GET', `/api/events/stream?channels=${channel}`)).status),
  poll: (asked) => overPoll(asked, { type: 'subscribe', channels: [asked.channel] }),
  socket: (asked) => overSocket(asked, { type: 'subscribe', channels: [asked.channel] }),
}

/** Ways to publish on a channel. */
const publishers: Readonly<Record<string, (asked: Asked) => Promise<Verdict>>> = {
  REST: async ({ api, channel }) => verdictOf((await api('POST', '/api/events', samples[channel])).status),
  'REST, as one of two': async ({ api, channel, other }) =>
    verdictOf((await api('POST', '/api/events', [samples[other], samples[channel]])).status),
  poll: (asked) => overPoll(asked, { type: 'publish', event: samples[asked.channel] }),
  socket: (asked) => overSocket(asked, { type: 'publish', event: samples[asked.channel] }),
}

interface Asked {
  readonly api: Api
  readonly channel: Channel
  /** A channel that the role has, where it has one. */
  readonly other: Channel
  readonly session: string
  readonly ask: (message: object) => Promise<Readonly<Record<string, unknown>>>
}

const told = ({ type, code }: Readonly<Record<string, unknown>>): Verdict =>
  type !== 'error' ? 'granted' : code === 'forbidden' ? 'forbidden' : 'unauthenticated'

const overSocket = async ({ ask }: Asked, message: object) => told(await ask(message))

async function overPoll({ api, session }: Asked, message: object): Promise<Verdict> {
  const body = { client_id: session, message }
  const answer = await api<{ response?: Record<string, unknown> }>('POST', '/ws/send', body)
  return answer.status === 200 ? told(answer.body.response ?? {}) : verdictOf(answer.status)
}

test('every role on every channel: read and published over every transport as its rights say', async () => {
  await using server = await startTestServer()
  const wrong: string[] = []
  let cells = 0
  let published = 0

  for (const role of roles) {
    const token = await tokenOf(server, role)
    const api = server.apiAs(token)
    // A void token's socket is closed with its code; one without a token stays and is told at each message.
    const client = role.void ? undefined : await server.connect({ token: token ?? null })
    const handshake = await api<{ client_id?: string }>('POST', '/ws/handshake', { client_type: 'web' })
    const refused = { type: 'error', code: 'unauthenticated' }
    const ask = async (message: object) => (client ? await client.request(message) : refused)
    const { read = [], publish = [] } = role
    for (const channel of channels) {
      const asked = { api, channel, ask, session: handshake.body.client_id ?? 'none' }
      const check = async (
        name: string,
        act: (asked: Asked) => Promise<Verdict>,
        held: readonly Channel[],
      ) => {
        const verdict = await act({ ...asked, other: held[0] ?? channel })
        const wanted = expected(role, held.includes(channel))
        if (verdict !== wanted) wrong.push(`${role.name}: ${name} ${channel} is ${verdict}, not ${wanted}`)
        cells += 1
      }
      for (const [name, act] of Object.entries(readers)) await check(`read by ${name}`, act, read)
      for (const [name, act] of Object.entries(publishers)) await check(`published by ${name}`, act, publish)
      published += publish.includes(channel) ? 5 : 0
    }
    client?.terminate()
  }

  const { body } = await server.api<{ events: unknown[] }>('GET', '/api/events?limit=1000')
  expect(wrong).toEqual([])
  expect(cells).toBe(roles.length * channels.length * 9)
  // What was refused left nothing behind: one event per grant, and two of the pairs.
  expect(body.events).toHaveLength(published)
})

test('what is asked for without naming channels is what the role may read, no more and no less', async () => {
  await using server = await startTestServer()
  const wrong: string[] = []

  for (const role of roles) {
    const api = server.apiAs(await tokenOf(server, role))
    const { status, body } = await api<{ cursor?: string }>('GET', '/api/events')
    const named = [...String(body.cursor).matchAll(/(\w+)=/g)].map(([, name]) => name)
    const wanted = expected(role, (role.read ?? []).length > 0)
    if (verdictOf(status) !== wanted) wrong.push(`${role.name}: ${status}`)
    else if (wanted === 'granted' && named.join() !== (role.read ?? []).toSorted().join())
      wrong.push(`${role.name}: ${named.join()}`)
  }

  expect(wrong).toEqual([])
})

test('a command needs the right to publish on its channel and api:write, each alone is not enough', async () => {
  await using server = await startTestServer()
  const scopes: [scope: string, reply: string][] = [
    ['', 'forbidden'],
    ['api:write', 'forbidden'],
    ['events:publish', 'forbidden'],
    ['admin api:read events:read events:publish', 'forbidden'],
    ['api:write events:publish:photos', 'forbidden'],
    ['api:write events:publish:jobs', 'published'],
  ]
  const wrong: string[] = []

  for (const [scope, wanted] of scopes) {
    const token = await server.tokenFor(scope, `with ${scope}`)
    const client = await server.connect({ token })
    const api = server.apiAs(token)
    const { body } = await api<{ client_id: string }>('POST', '/ws/handshake', { client_type: 'lightroom' })
    const command = { type: 'publish', event: samples.jobs, command: true }
    const direct = { type: 'job_progress', job_id: 'elsewhere', stage: 'a', progress: 1 }
    const send = (message: object) =>
      api<{ response: Record<string, unknown> }>('POST', '/ws/send', { client_id: body.client_id, message })
    const replies = [
      await client.request(command),
      (await send(command)).body.response,
      // As the plug-in sends it: the event itself is the command.
      (await send(direct)).body.response,
    ]
    const outcomes = replies.map(({ type, code }) => code ?? type)
    if (outcomes.some((outcome) => outcome !== wanted)) wrong.push(`${scope}: ${outcomes.join()}`)
  }

  expect(wrong).toEqual([])
})

test('before a token every message but auth is unauthenticated, after any token none is', async () => {
  await using server = await startTestServer()
  const messages = [...Object.keys(clientMessages), 'no_such_type'].filter((type) => type !== 'auth')
  const waiting = await server.connect({ token: null })
  const bare = await server.connect({ token: await server.tokenFor('') })

  const before = await Promise.all(messages.map((type) => waiting.request({ type })))
  const after = await Promise.all(messages.map((type) => bare.request({ type })))
  const auth = await waiting.request({ type: 'auth', token: await server.tokenFor('', 'late') })

  expect(before.map(({ code }) => code)).toEqual(messages.map(() => 'unauthenticated'))
  expect(after.map(({ code }) => code)).not.toContain('unauthenticated')
  expect(auth.type).toBe('authenticated')
})

test('without a token this machine may what LOCAL_SCOPE says, and with AUTH off everything', async () => {
  await using local = await startTestServer({ LOCAL_SCOPE: 'api:read events:read:jobs' })
  await using off = await startTestServer({ AUTH: 'off' })
  const trusted: Role = { name: 'this machine', scope: '', read: ['jobs'], api: ['read'] }
  const anybody: Role = { name: 'anybody', scope: '', ...everything }
  const wrong: string[] = []

  for (const [server, role] of [
    [local, trusted],
    [off, anybody],
  ] as const) {
    const api = server.apiAs(undefined)
    for (const { method, path } of declaredRoutes()) {
      const url = path.replace(/\{\w+\}/, path.includes('jobs') ? 'f'.repeat(32) : '1')
      const query = path === '/ws/poll' ? '?client_id=none' : ''
      const { status } = await api(method.toUpperCase(), `${url}${query}`, method === 'get' ? undefined : {})
      const probe = /^\/api\/system\/(health|ready)$/.test(path)
      const wanted = probe || mayCall(role, method, path) ? 'granted' : 'forbidden'
      if (verdictOf(status) !== wanted)
        wrong.push(`${role.name}: ${method} ${path} is ${status}, not ${wanted}`)
    }
  }
  // A socket has no rights of the place it comes from.
  const socket = await local.connect({ token: null })

  expect(wrong).toEqual([])
  expect((await socket.subscribe(['jobs']))['code']).toBe('unauthenticated')
})
