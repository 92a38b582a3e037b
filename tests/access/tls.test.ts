/** HTTPS and WSS by the server itself: every transport over TLS, and nothing without. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { startProcess, tokenOf } from '../support/process.ts'
import { temporaryFolder } from '../support/server.ts'
import { tools } from '../support/tools.ts'
import { makeCertificate } from './certificate.ts'

setDefaultTimeout(60_000)

async function startSecure(folder: string) {
  const files = makeCertificate(folder)
  const server = await startProcess({ folder, env: { TLS_CERT: files.cert, TLS_KEY: files.key } })
  const ca = readFileSync(files.cert, 'utf8')
  const token = await tokenOf(folder)
  const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }
  const ask = (path: string, init: RequestInit = {}) =>
    // Verified by the certificate itself, as a phone that trusts it would.
    fetch(`${server.url}${path}`, { ...init, headers: { ...headers, ...init.headers }, tls: { ca } })
  return { ...server, ask, ca, token }
}

test('REST, events over WebSocket and server-sent events work over TLS', async () => {
  using folder = temporaryFolder()
  const server = await startSecure(folder.path)
  const socket = openSocket(server.url.replace('https', 'wss'), server)
  expect((await socket.next()).type).toBe('connection_established')
  socket.send({ type: 'subscribe', channels: ['sessions'] })
  expect((await socket.next()).type).toBe('subscription_confirmed')
  const stream = await server.ask('/api/events/stream?channels=sessions')

  const created = await server.ask('/api/sessions', {
    method: 'POST',
    body: JSON.stringify({ name: 'over TLS', import_folder: '/x' }),
  })

  expect(server.url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/)
  expect(created.status).toBe(201)
  expect(await socket.next()).toMatchObject({ type: 'session_created', session_name: 'over TLS' })
  expect(await readUntil(stream, 'session_created')).toContain('over TLS')
  socket.close()
  expect(await server.kill('SIGTERM')).toBe(0)
})

test('the log and the screen name https and wss, and plain HTTP gets no answer', async () => {
  using folder = temporaryFolder()
  const server = await startSecure(folder.path)

  const plain = await fetch(`${server.url.replace('https', 'http')}/api/system/health`).then(
    ({ status }) => status,
    () => 'no answer',
  )
  await server.kill('SIGTERM')

  expect(plain).toBe('no answer')
  expect(server.output.some((line) => line.includes(`listening on ${server.url}`))).toBe(true)
  const screen = server.output.join('\n')
  expect(screen).toContain(`${server.url}/api`)
  expect(screen).toContain(`${server.url.replace('https', 'wss')}/ws`)
  expect(screen).not.toMatch(/\bhttp:\/\/|\bws:\/\//)
})

test('a page of its own https origin may write, one of another may not', async () => {
  using folder = temporaryFolder()
  const server = await startSecure(folder.path)
  const post = (Origin: string, name: string) =>
    server.ask('/api/sessions', {
      method: 'POST',
      headers: { Origin },
      body: JSON.stringify({ name, import_folder: '/x' }),
    })

  const own = await post(server.url.replace('127.0.0.1', 'localhost'), 'own')
  const other = await post('https://elsewhere.example', 'other')
  await server.kill('SIGTERM')

  expect([own.status, other.status]).toEqual([201, 403])
})

test('protocols older than TLS 1.2 are refused by the server', async () => {
  using folder = temporaryFolder()
  const server = await startSecure(folder.path)
  const handshake = async (version: string) => {
    // Debian's own defaults would refuse before the server could.
    const words = ['s_client', version, '-cipher', 'ALL:@SECLEVEL=0', '-connect', new URL(server.url).host]
    const child = Bun.spawn([tools.openssl ?? 'openssl', ...words], {
      stdin: 'ignore',
      stdout: 'ignore',
      stderr: 'pipe',
    })
    const said = await new Response(child.stderr).text()
    return (await child.exited) === 0 ? 'spoken' : /alert protocol version/.exec(said)?.[0]
  }

  expect(await handshake('-tls1_1')).toBe('alert protocol version')
  expect([await handshake('-tls1_2'), await handshake('-tls1_3')]).toEqual(['spoken', 'spoken'])
  await server.kill('SIGTERM')
})

type Message = Record<string, unknown> & { type: string }

function openSocket(url: string, { ca, token }: { readonly ca: string; readonly token: string }) {
  const socket = new WebSocket(`${url}/ws`, {
    protocols: ['lightwire.v1.json'],
    headers: { Authorization: `Bearer ${token}` },
    tls: { ca },
  } as never)
  const received: Message[] = []
  const waiting: ((message: Message) => void)[] = []
  socket.onmessage = ({ data }: MessageEvent<string>) => {
    const message = JSON.parse(data) as Message
    const first = waiting.shift()
    if (first) first(message)
    else received.push(message)
  }
  return {
    /** Messages in the order received. */
    next: () =>
      new Promise<Message>((resolve, reject) => {
        const there = received.shift()
        if (there) return resolve(there)
        waiting.push(resolve)
        socket.onerror = (event) => reject(new Error((event as ErrorEvent).message))
      }),
    send: (message: object) => socket.send(JSON.stringify(message)),
    close: () => socket.close(),
  }
}

/** What a stream has brought when a word comes, up to the end of that chunk. */
async function readUntil(response: Response, word: string): Promise<string> {
  let text = ''
  for await (const chunk of response.body ?? []) {
    text += Buffer.from(chunk).toString()
    if (text.includes(word)) break
  }
  return text
}
