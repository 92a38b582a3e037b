import { expect, setDefaultTimeout, test } from 'bun:test'
import type { TestClient } from '../support/client.ts'
import { startTestServer, type TestServer } from '../support/server.ts'
import { eventsOf, publishProgress, subscribeWith } from './batches.ts'

setDefaultTimeout(30_000)

/** With one filter more than MAX_FILTERS, so that it reads the journal for ever. */
async function openReader(server: TestServer, options: object): Promise<TestClient> {
  const first = await server.connect()
  await subscribeWith(first, { channels: ['jobs'], where: { job_id: 'of the one filter' } })
  const reader = await server.connect()
  await subscribeWith(reader, { channels: ['jobs'], where: { job_id: 'a' }, ...options })
  await reader.sync()
  return reader
}

/** Pings at every moment of a commit; resolves when the last of them was answered. */
async function pingThrough(client: TestClient, commit: Promise<void>): Promise<void> {
  const pongs: Promise<unknown>[] = []
  let over = false
  void commit.finally(() => (over = true))
  while (!over && pongs.length < 30) {
    pongs.push(client.sync())
    await new Promise((resolve) => setImmediate(resolve))
  }
  await Promise.all([commit, ...pongs])
}

test('a client that stays a reader is answered each ping, whenever it comes, without another event', async () => {
  await using server = await startTestServer({ MAX_FILTERS: 1 })
  const reader = await openReader(server, {})

  for (let n = 0; n < 10; n += 1) await pingThrough(reader, publishProgress(server, [['a', n]]))
  await reader.sync()

  expect(eventsOf(reader)).toHaveLength(10)
})

test('the pong of a client that stays a reader does not wait for what batch_ms holds back', async () => {
  await using server = await startTestServer({ MAX_FILTERS: 1 })
  const reader = await openReader(server, { batch_ms: 5000 })
  const started = performance.now()

  await pingThrough(reader, publishProgress(server, [['a', 1]]))

  expect(performance.now() - started).toBeLessThan(4000)
  expect(eventsOf(reader)).toEqual([])
})
