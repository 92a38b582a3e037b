/** SIGTERM at a real process full of clients: all are sent away in order, and come back to a state that lacks nothing. */
import { Database } from 'bun:sqlite'
import { expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { createApi, type Api } from '../support/api.ts'
import { mostWithin, openCrowd } from '../support/departing.ts'
import { startProcess, tokenOf, type ServerProcess } from '../support/process.ts'
import { temporaryFolder } from '../support/server.ts'

setDefaultTimeout(120_000)

const CLIENTS = 1000
const SPREAD_MS = 5000
const DEADLINE_MS = 30_000
const WRITES_PER_SECOND = 200

test('a thousand clients are sent away under load, evenly now and later, and resume with nothing lost', async () => {
  using folder = temporaryFolder()
  const env = { MAX_CONNECTIONS: '2000' }
  const first = await startProcess({ folder: folder.path, env })
  const token = await tokenOf(folder.path)
  const contents = new Map<number, string>()
  const crowd = { token, size: CLIENTS, channel: 'sessions', contents }
  const leavers = await openCrowd({ ...crowd, url: first.url })
  const writes = writeSteadily(first.url, token)
  while (writes.acknowledged.size < 2 * WRITES_PER_SECOND) await Bun.sleep(10)
  // What still comes in when a socket is closed must not cost it the close frame.
  const chatter = setInterval(() => {
    for (const { socket, closed } of leavers) {
      if (closed === undefined && Math.random() < 0.05) socket.send({ type: 'ping' })
    }
  }, 10)

  const stillness = watchStillness()
  const startedMs = performance.now()
  const code = await first.kill('SIGTERM')
  const tookMs = performance.now() - startedMs
  clearInterval(chatter)
  await writes.stop()
  await Promise.all(leavers.map(({ ended }) => ended))
  const stoodStillMs = stillness.end()
  const walBytes = walBytesOf(folder.path)
  const journal = readJournal(folder.path)
  const second = await startProcess({ folder: folder.path, env })
  const epoch = await epochOf(folder.path, 1)
  const since = (index: number) => ({
    cursor: `${epoch}:sessions=${leavers[index]?.seq}`,
    seq: leavers[index]?.seq ?? NaN,
  })
  const returned = await openCrowd({ ...crowd, url: second.url, since })
  const api = createApi(() => second.url, token)
  await api('POST', '/api/sessions', { name: 'after', import_folder: '/after' })
  const head = journal.size + 1
  while (returned.some(({ seq }) => seq < head)) await Bun.sleep(5)
  await second.kill('SIGKILL')

  const dismissals = leavers.flatMap(({ dismissal }) => dismissal ?? [])
  const closes = dismissals.map(({ atMs }) => atMs)
  const returns = dismissals.map(({ atMs, retryAfterMs }) => atMs + retryAfterMs)
  const perSecond = CLIENTS / (SPREAD_MS / 1000)
  const report = {
    tookMs: Math.round(tookMs),
    stoodStillMs: Math.round(stoodStillMs),
    acknowledged: writes.acknowledged.size,
    afterTheSignal: writes.statuses(startedMs),
    closesPerSecond: mostWithin(closes, 1000),
    returnsPerSecond: mostWithin(returns, 1000),
    returnsPer100ms: mostWithin(returns, 100),
    behind: Math.max(...leavers.map(({ seq }) => journal.size - seq)),
  }
  console.log(JSON.stringify(report))
  expect(code).toBe(0)
  expect(tookMs).toBeGreaterThan(SPREAD_MS / 2)
  expect(tookMs).toBeLessThan(DEADLINE_MS)
  expect(dismissals.filter(({ code: told, reconnect }) => told === 1012 && reconnect).length).toBe(CLIENTS)
  expect(leavers.filter(({ closed }) => !closed?.startsWith('1012 '))).toEqual([])
  // Those who were sent away while this process stood still are seen at once, and counted from then.
  const most = 1.5 * perSecond * (1 + stoodStillMs / 500)
  expect(report.closesPerSecond).toBeLessThanOrEqual(most)
  expect(report.returnsPerSecond).toBeLessThanOrEqual(most)
  // Whoever came back sooner would meet this server, which takes nobody any more.
  expect(Math.min(...returns) - startedMs).toBeGreaterThanOrEqual(SPREAD_MS)
  expect(walBytes).toBe(0)
  expect([...leavers, ...returned].flatMap(({ faults }) => faults)).toEqual([])
  expect(returned.map(({ seq }) => seq)).toEqual(returned.map(() => head))
  expect(contents.get(head)).toContain('"session_name":"after"')
  for (const [seq, name] of journal) expect(contents.get(seq)).toContain(`"session_name":"${name}"`)
  // Every acknowledged write is there, and no other: what a client was refused did not happen.
  expect([...journal.values()].toSorted()).toEqual([...writes.acknowledged].toSorted())
  expect(writes.faults).toEqual([])
})

test('while it drains, requests under way finish and reach who is still there; what is new is told to come again', async () => {
  using folder = temporaryFolder()
  const server = await startProcess({ folder: folder.path, env: { DRAIN_SPREAD: '4s' } })
  const token = await tokenOf(folder.path)
  const contents = new Map<number, string>()
  const clients = await openCrowd({ url: server.url, token, size: 4, channel: 'sessions', contents })
  const requests = [await openRequest(server.url, token, 'one'), await openRequest(server.url, token, 'two')]
  const api = createApi(() => server.url, token)

  const exited = server.kill('SIGTERM')
  await drainBegun(server)
  for (const { sendRest } of requests) sendRest()
  const answers = await Promise.all(requests.map(({ answer }) => answer))
  const refused = await api<{ code: string }>('POST', '/api/sessions', { name: 'late', import_folder: '/' })
  const read = await api<{ code: string }>('GET', '/api/sessions')
  const health = await api('GET', '/api/system/health')
  const metrics = await fetch(`${server.url}/metrics`)
  const upgrade = await fetch(`${server.url}/ws`, { headers: upgradeHeaders(token) })
  const problem = (await upgrade.json()) as { code: string }
  clients.at(-1)?.socket.send({ type: 'publish', id: 1, event: { type: 'system_status', status: 'x' } })
  await exited
  await Promise.all(clients.map(({ ended }) => ended))

  for (const answer of answers) {
    expect(answer).toStartWith('HTTP/1.1 201')
    expect(answer.toLowerCase()).toContain('connection: close')
  }
  expect([refused.status, refused.body.code, refused.headers.get('retry-after')]).toEqual([
    503,
    'draining',
    '4',
  ])
  expect(refused.headers.get('connection')).toBe('close')
  expect([read.status, read.body.code]).toEqual([503, 'draining'])
  expect([health.status, metrics.status]).toEqual([200, 200])
  expect([upgrade.status, problem.code, upgrade.headers.get('retry-after')]).toEqual([503, 'draining', '4'])
  expect(await exited).toBe(0)
  expect(readJournal(folder.path).size).toBe(2)
  // The first one left at once, the last one not before three quarters of the time were over.
  expect(clients.map(({ closed }) => closed?.slice(0, 4))).toEqual(['1012', '1012', '1012', '1012'])
  expect(clients.at(-1)?.seq).toBe(2)
  expect(clients.flatMap(({ faults }) => faults)).toEqual([])
})

for (const [signal, code] of [
  ['SIGTERM', 143],
  ['SIGINT', 130],
] as const) {
  test(`a ${signal} during the drain ends the process at once, and what was acknowledged is there`, async () => {
    using folder = temporaryFolder()
    const env = { DRAIN_SPREAD: '5m', DRAIN_DEADLINE: '10m' }
    const server = await startProcess({ folder: folder.path, env })
    const token = await tokenOf(folder.path)
    const api = createApi(() => server.url, token)
    await api('POST', '/api/sessions', { name: 'kept', import_folder: '/' })
    await openCrowd({ url: server.url, token, size: 2, channel: 'sessions', contents: new Map() })

    const exited = server.kill('SIGTERM')
    await drainBegun(server)
    const startedMs = performance.now()
    void server.kill(signal)

    expect(await exited).toBe(code)
    expect(performance.now() - startedMs).toBeLessThan(10_000)
    expect([...readJournal(folder.path).values()]).toEqual(['kept'])
  })
}

test('a request that hangs is cut off before the deadline, and the process ends well', async () => {
  using folder = temporaryFolder()
  const server = await startProcess({
    folder: folder.path,
    env: { DRAIN_SPREAD: '0s', DRAIN_DEADLINE: '8s' },
  })
  const hung = await openRequest(server.url, await tokenOf(folder.path), 'hung')

  const startedMs = performance.now()
  const code = await server.kill('SIGTERM')
  const tookMs = performance.now() - startedMs

  expect(code).toBe(0)
  expect(tookMs).toBeLessThan(8000)
  expect(tookMs).toBeGreaterThan(4000)
  expect(await hung.answer).toBe('')
  expect(server.output.join('\n')).toContain('"requests_cut":1')
})

test('a client that takes nothing is cut off; one that is only slow gets all that it was sent, and its 1012', async () => {
  using folder = temporaryFolder()
  const server = await startProcess({ folder: folder.path, env: { DRAIN_SPREAD: '1s' } })
  const token = await tokenOf(folder.path)
  const options = { url: server.url, token, channel: 'sessions', receiveBufferBytes: 32_768 }
  const slow = await openCrowd({ ...options, size: 4, contents: new Map() })
  for (const { socket } of slow) socket.pause()
  const api = createApi(() => server.url, token)
  // What waits may still go to the kernel; when it stays for rounds, the kernel takes no more.
  for (let n = 0, full = 0; full < 10; n += 1) {
    full = (await leastUnsentBytes(api)) < 100_000 ? 0 : full + 1
    await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        api('POST', '/api/sessions', { name: `${n} ${index}`, import_folder: 'x'.repeat(4000) }),
      ),
    )
  }

  const startedMs = performance.now()
  const exited = server.kill('SIGTERM')
  await drainBegun(server)
  const reading = slow.slice(1)
  for (const { socket } of reading) socket.resume()
  await Promise.all(reading.map(({ ended }) => ended))

  expect(await exited).toBe(0)
  // It is given two seconds, and never the five that a slow one has.
  expect(performance.now() - startedMs).toBeLessThan(5500)
  expect(reading.map(({ closed, dismissal }) => [closed?.slice(0, 4), dismissal?.code])).toEqual(
    reading.map(() => ['1012', 1012]),
  )
  expect(reading.flatMap(({ faults }) => faults)).toEqual([])
  expect(server.output.join('\n')).toContain('"clients":4,"clients_cut":1')
})

test('a reader of the database who holds up the last checkpoint costs a line in the log, nothing else', async () => {
  using folder = temporaryFolder()
  const server = await startProcess({ folder: folder.path })
  const api = createApi(() => server.url, await tokenOf(folder.path))
  await api('POST', '/api/sessions', { name: 'before', import_folder: '/' })
  using reader = new Database(join(folder.path, 'lightwire.db'), { readonly: true })
  reader.run('BEGIN')
  reader.query('select count(*) from events').get()
  await api('POST', '/api/sessions', { name: 'behind', import_folder: '/' })

  const code = await server.kill('SIGTERM')

  expect(code).toBe(0)
  expect(server.output.join('\n')).toContain('somebody else reads the database')
  reader.run('COMMIT')
  expect([...readJournal(folder.path).values()]).toEqual(['before', 'behind'])
})

const unheard: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ConnectionRefused', 'ECONNRESET'])

/** Posts sessions at an even rate, whatever becomes of them, until stopped. */
function writeSteadily(url: string, token: string) {
  const acknowledged = new Set<string>()
  const faults: string[] = []
  const answers: { atMs: number; status: number }[] = []
  const pending = new Set<Promise<void>>()
  const startedMs = performance.now()
  let count = 0
  const write = async (name: string) => {
    const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }
    const body = JSON.stringify({ name, import_folder: '/' })
    try {
      const { status } = await fetch(`${url}/api/sessions`, { method: 'POST', headers, body })
      answers.push({ atMs: performance.now(), status })
      if (status === 201) acknowledged.add(name)
      else if (status !== 503) faults.push(`${name}: ${status}`)
    } catch (error) {
      // Nobody listens any more, or did not take the connection any more: the journal shows that nothing was done.
      const { code } = error as { code?: string }
      answers.push({ atMs: performance.now(), status: 0 })
      if (!unheard.has(String(code))) faults.push(`${name}: ${code}`)
    }
  }
  const timer = setInterval(() => {
    const due = ((performance.now() - startedMs) / 1000) * WRITES_PER_SECOND
    for (; count < due; count += 1) {
      const written = write(`w${count}`).finally(() => pending.delete(written))
      pending.add(written)
    }
  }, 5)
  return {
    acknowledged,
    faults,
    /** Answers since then, by status; 0 stands for a refused connection. */
    statuses(sinceMs: number) {
      const later = answers.filter(({ atMs }) => atMs >= sinceMs)
      return Object.fromEntries(
        [...new Set(later.map(({ status }) => status))].map((status) => [
          status,
          later.filter((answer) => answer.status === status).length,
        ]),
      )
    },
    async stop() {
      clearInterval(timer)
      await Promise.all(pending)
    },
  }
}

/** A POST whose body is sent but for its end; `answer` is all that came until the connection ended. */
async function openRequest(url: string, token: string, name: string) {
  const { hostname, port, host } = new URL(url)
  const body = JSON.stringify({ name, import_folder: '/' })
  const socket = connect(Number(port), hostname)
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(Buffer.from(chunk)))
  socket.on('error', () => undefined)
  const answer = new Promise<string>((resolve) =>
    socket.on('close', () => resolve(Buffer.concat(chunks).toString())),
  )
  const head =
    `POST /api/sessions HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${token}\r\n` +
    `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`
  // In the kernel's hands before anything is asked on another connection.
  await new Promise((resolve) => socket.write(head + body.slice(0, 5), resolve))
  await requestBegun(url)
  return { answer, sendRest: () => socket.write(body.slice(5)) }
}

/** What was sent before this request began has been read: both lie in the same queue of one loop. */
async function requestBegun(url: string): Promise<void> {
  for (let n = 0; n < 3; n += 1) await (await fetch(`${url}/api/system/ready`)).arrayBuffer()
}

async function drainBegun({ url }: ServerProcess): Promise<void> {
  while ((await fetch(`${url}/api/system/ready`)).status !== 503);
}

/** Of the client for whom the least waits. */
async function leastUnsentBytes(api: Api): Promise<number> {
  const { body } = await api<{ clients: { queued_bytes: number }[] }>('GET', '/api/websocket/clients')
  return Math.min(...body.clients.map(({ queued_bytes }) => queued_bytes))
}

function upgradeHeaders(token: string): Record<string, string> {
  return {
    Authorization: `Bearer ${token}`,
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
  }
}

/** Names of the created sessions by seq, read from the file itself. */
function readJournal(folder: string): Map<number, string> {
  using file = new Database(join(folder, 'lightwire.db'))
  const rows = file
    .query<{ seq: number; data: string }, []>(
      "select seq, data from events where channel = 'sessions' order by seq",
    )
    .all()
  return new Map(
    rows.map(({ seq, data }) => [seq, String((JSON.parse(data) as { session_name: string }).session_name)]),
  )
}

function walBytesOf(folder: string): number {
  const path = join(folder, 'lightwire.db-wal')
  return existsSync(path) ? statSync(path).size : 0
}

/** The epoch of the nth start. */
async function epochOf(folder: string, start: number): Promise<string> {
  using file = new Database(join(folder, 'lightwire.db'), { readonly: true })
  const rows = file.query<{ epoch: string }, []>('select epoch from epochs order by ordinal').all()
  return rows[start - 1]?.epoch ?? ''
}

/** The longest that this process took nothing in. */
function watchStillness(): { end(): number } {
  let [last, longest] = [performance.now(), 0]
  const look = () => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
  }
  const ticks = setInterval(look, 10)
  return {
    end() {
      look()
      clearInterval(ticks)
      return longest
    },
  }
}
