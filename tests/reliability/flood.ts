/** Floods against a server process, each with what must have become of it, beside a client that has to be served. */
import { deflateRawSync } from 'node:zlib'
import { TestClient } from '../support/client.ts'
import {
  CONTINUATION,
  openRaw,
  PING,
  pour,
  rawFrame,
  TEXT,
  upgradeText,
  type RawConnection,
} from '../support/raw-socket.ts'

export interface Target {
  readonly url: string
  readonly pid: number
  readonly token: string
}

/** Frames handed over in one piece. */
const FRAMES_PER_WRITE = 10_000
const GREETED = 'connection_established'

async function attach({ url, token }: Target, protocol?: string): Promise<RawConnection> {
  const raw = openRaw(url, upgradeText(token, protocol))
  // MessagePack writes the word as it is.
  await raw.until(protocol === undefined ? GREETED : 'Sec-WebSocket-Protocol')
  return raw
}

/**
 * Connections that say half of something and then nothing: upgrades without a token, half-sent frames, headers and
 * bodies, or nothing at all. Resolves when the server has cut all of them off.
 */
export async function slowConnections(target: Target, count: number): Promise<void> {
  const half = rawFrame({ opcode: TEXT, payload: Buffer.alloc(100, 'x') }).subarray(0, 20)
  const kinds: readonly (() => RawConnection)[] = [
    () => openRaw(target.url, upgradeText(undefined)),
    () => {
      const raw = openRaw(target.url, upgradeText(undefined))
      void raw
        .until(GREETED)
        .then(() => raw.socket.write(half))
        .catch(() => undefined)
      return raw
    },
    () => openRaw(target.url, 'GET /api/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: '),
    () => openRaw(target.url, halfBody(target, '/api/sessions')),
    () => openRaw(target.url, ''),
  ]
  const all = Array.from({ length: count }, (_, index) => kinds[index % kinds.length]?.())
  await Promise.all(all.map((raw) => raw?.closed))
}

/** Half of a body where an honest request may wait for long; resolves when the server has had enough. */
export async function slowClaims(target: Target, count: number): Promise<void> {
  const text = halfBody(target, '/api/jobs/claim?wait=30')
  await Promise.all(Array.from({ length: count }, () => openRaw(target.url, text).closed))
}

function halfBody({ token }: Target, path: string): string {
  const head = `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${token}\r\n`
  return `${head}Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"name":`
}

/** One message in very many fragments; what the server had to say about it. */
export async function fragments(target: Target, count: number, payload: Uint8Array): Promise<string> {
  const raw = await attach(target)
  await pour(raw, rawFrame({ opcode: TEXT, payload, fin: false }))
  await pourMany(raw, rawFrame({ opcode: CONTINUATION, payload, fin: false }), count - 2)
  await pour(raw, rawFrame({ opcode: CONTINUATION, payload }))
  await Promise.race([raw.until('"error"').catch(() => undefined), raw.closed])
  raw.socket.destroy()
  return raw.received().toString('latin1')
}

/** Protocol pings as fast as they are taken, by somebody who reads no pong. */
export async function pings(target: Target, count: number): Promise<string> {
  const raw = await attach(target)
  raw.socket.pause()
  await pourMany(raw, rawFrame({ opcode: PING, payload: Buffer.alloc(100, 'p') }), count)
  raw.socket.resume()
  await raw.closed
  return raw.received().toString('latin1')
}

async function pourMany(raw: RawConnection, frame: Buffer, count: number): Promise<void> {
  for (let left = count; left > 0; left -= FRAMES_PER_WRITE) {
    const bytes = Buffer.concat(Array.from({ length: Math.min(left, FRAMES_PER_WRITE) }, () => frame))
    if (!(await pour(raw, bytes))) return
  }
}

/** Small frames that would inflate to 32 MiB each, on as many connections at once; what each is told. */
export async function deflateBombs(target: Target, count: number): Promise<string[]> {
  const bomb = Buffer.concat([Buffer.from([1]), deflateRawSync(Buffer.alloc(32 * 1024 * 1024))])
  const clients = await Promise.all(
    Array.from({ length: count }, async () => {
      const client = new TestClient({
        url: `${target.url.replace('http', 'ws')}/ws`,
        framing: 'deflate',
        token: target.token,
      })
      await client.opened
      return client
    }),
  )
  for (const client of clients) client.sendRaw(bomb.subarray())
  const told = await Promise.all(
    clients.map(async (client) => {
      const error = await client.next('error')
      client.terminate()
      return String(error['code'])
    }),
  )
  return told
}

/** Resident memory of a process, in MiB. */
export async function residentMiB(pid: number): Promise<number> {
  const status = await Bun.file(`/proc/${pid}/status`).text()
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) / 1024
}

/** A client that works all the while: changes something, sees the event, now and then a ping. */
export async function startHealthy({ url, pid, token }: Target) {
  const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }
  const client = new TestClient({ url: `${url.replace('http', 'ws')}/ws`, token })
  await client.opened
  await client.subscribe(['system'])
  const statuses = new Map<number, number>()
  const found = { slowestMs: 0, mostMiB: 0, changes: 0 }
  let stopped = false
  const running = (async () => {
    for (let pinged = performance.now(); !stopped;) {
      const began = performance.now()
      const body = JSON.stringify({ status: `healthy ${found.changes}` })
      const { status } = await fetch(`${url}/api/system/status`, { method: 'POST', headers, body })
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
      if (status === 200) {
        await client.next((message) => message['status'] === `healthy ${found.changes}`)
        found.changes += 1
      }
      if (began - pinged > 1000) {
        pinged = began
        await client.sync()
      }
      found.slowestMs = Math.max(found.slowestMs, performance.now() - began)
      found.mostMiB = Math.max(found.mostMiB, await residentMiB(pid))
      await Bun.sleep(20)
    }
  })()
  return {
    async stop() {
      stopped = true
      await running
      await client.sync()
      // A busy machine may be warned of on the same channel.
      const events = client.events.filter(({ type }) => type === 'system_status').length
      const seqs = client.events.map(({ seq }) => Number(seq))
      const gaps = seqs.filter((seq, index) => index > 0 && seq !== (seqs[index - 1] ?? 0) + 1)
      client.terminate()
      return { ...found, statuses: Object.fromEntries(statuses), gaps, events }
    },
  }
}
