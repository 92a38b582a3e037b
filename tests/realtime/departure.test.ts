/** How clients leave a server that drains: when each is asked back, what it is answered first, and how soon a stop is over. */
import { expect, test } from 'bun:test'
import type { Connection } from '../../lib/realtime/connection.ts'
import { dismissAll } from '../../lib/realtime/departure.ts'
import { mostWithin } from '../support/departing.ts'
import { startTestServer } from '../support/server.ts'

interface Told {
  readonly atMs: number
  readonly returnMs: number
}

/** Time that passes when somebody waits for it, and at no other moment. */
function virtualClock() {
  const { setTimeout } = globalThis
  const clock = { nowMs: 0, [Symbol.dispose]: () => void Object.assign(globalThis, { setTimeout }) }
  const later = (run: () => void, ms: number) => {
    clock.nowMs += ms
    queueMicrotask(run)
  }
  Object.assign(globalThis, { setTimeout: later })
  return clock
}

/** Connections that take whatever they are sent; `onTold` runs inside each one's turn. */
function crowdOf(size: number, clock: { readonly nowMs: number }, onTold: (index: number) => void) {
  const told: Told[] = []
  const connections = new Map<string, Connection>()
  for (let index = 0; index < size; index += 1) {
    const id = String(index)
    const connection = {
      id,
      isOpen: true,
      publishes: 0,
      unsentBytes: () => 0,
      announceEnd(_code: string, _reason: string, { retryAfterMs = NaN }) {
        const atMs = clock.nowMs
        told.push({ atMs, returnMs: atMs + retryAfterMs })
        onTold(index)
      },
      close: () => connections.delete(id),
    }
    // Only what a departure looks at.
    connections.set(id, connection as unknown as Connection)
  }
  return { connections, told }
}

test('they come back evenly even where the loop stalled and many left at once', async () => {
  const [size, spreadMs] = [1000, 500]
  using clock = virtualClock()
  const { connections, told } = crowdOf(size, clock, (index) => {
    if (index === 300) clock.nowMs += 150
  })

  const departure = await dismissAll({
    connections,
    spreadMs,
    clientsMs: 60_000,
    monotonicMs: () => clock.nowMs,
  })

  const allowed = (windowMs: number) => 1.5 * (size / spreadMs) * windowMs
  const returns = told.map(({ returnMs }) => returnMs)
  const closes = told.map(({ atMs }) => atMs)
  expect(departure).toEqual({ clients: size, cut: 0 })
  // The stall made a crowd of those who left; none of those who come back.
  expect(mostWithin(closes, 20)).toBeGreaterThan(allowed(20))
  for (const windowMs of [20, 50, 100, 250]) {
    expect(mostWithin(returns, windowMs)).toBeLessThanOrEqual(allowed(windowMs))
  }
  expect(Math.min(...returns)).toBeGreaterThanOrEqual(spreadMs - 1)
  expect(Math.max(...returns)).toBeLessThanOrEqual(2 * spreadMs + 1)
})

test('what a client published before is answered before it is sent away, and later publishes are refused', async () => {
  await using server = await startTestServer({ DRAIN_SPREAD: 2000 })
  const client = await server.connect()
  const stays = await server.connect()
  await Promise.all([client.sync(), stays.sync()])
  const publish = (n: number) => ({
    type: 'publish',
    id: n,
    event: { type: 'system_status', status: String(n), details: {} },
  })
  for (let n = 0; n < 200; n += 1) client.send(publish(n))
  await client.next('published')

  const drained = server.server.drain()
  const refused = await stays.request({ ...publish(0), id: undefined })
  await drained

  const closed = await Promise.all([client.closed, stays.closed])
  const answered = client.received.filter(({ type }) => type === 'published').map(({ seq }) => seq)
  expect(refused).toMatchObject({ type: 'error', code: 'draining', retry_after_ms: 2000 })
  expect(closed.map(({ code }) => code)).toEqual([1012, 1012])
  await server.server[Symbol.asyncDispose]()
  await using again = await startTestServer({ DATA_DIR: server.folder })
  const head = /system=(\d+)/.exec((await again.api('GET', '/api/sessions')).cursor ?? '')?.[1]
  expect(answered).toEqual(Array.from({ length: Number(head) }, (_, index) => index + 1))
})

test('a server that is disposed without a drain sends all away at once, without a time to come back', async () => {
  const server = await startTestServer()
  const clients = await Promise.all(Array.from({ length: 20 }, () => server.connect()))
  await Promise.all(clients.map((client) => client.sync()))

  const startedMs = performance.now()
  await server.server[Symbol.asyncDispose]()
  const tookMs = performance.now() - startedMs

  const closed = await Promise.all(clients.map((client) => client.closed))
  const told = await Promise.all(clients.map((client) => client.next('disconnect')))
  expect(tookMs).toBeLessThan(5000)
  expect([...new Set(closed.map(({ code }) => code))]).toEqual([1012])
  expect(told.every((message) => message['code'] === 1012 && message['retry_after_ms'] === undefined)).toBe(
    true,
  )
  await server[Symbol.asyncDispose]()
})
