/** A server process that stands still for longer than any client may be silent, and goes on. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { channels } from '../../lib/protocol/events.ts'
import { createStudio, done } from '../http/studio.ts'
import { createApi } from '../support/api.ts'
import { TestClient } from '../support/client.ts'
import { logged, serveFolder } from './served.ts'

setDefaultTimeout(60_000)

const CLIENTS = 20
/** 1.5 × the shortest heartbeat is 12 s; a stop that lasts longer is what 45 s are at default settings. */
const STOPPED_MS = 13_500

test('after a stop of the whole process its clients go on, nothing is lost, and leases ran out as time did', async () => {
  await using served = await serveFolder({ env: { HEARTBEAT: '8s', AUTH_DEADLINE: '1s' } })
  const { server, api } = served
  const studio = createStudio(api)
  const [short, long] = [await studio.shoot(['createJob']), await studio.shoot(['createJob'])]
  await done(api, ['POST', '/api/jobs/claim', { worker: 'short', lease_seconds: 5 }])
  await done(api, ['POST', '/api/jobs/claim', { worker: 'long', lease_seconds: 3600 }])
  const { token } = served
  const url = `${server.url.replace('http', 'ws')}/ws`
  const clients = Array.from({ length: CLIENTS }, () => new TestClient({ url, token }))
  for (const client of clients) {
    await client.opened
    await client.subscribe(channels)
  }

  process.kill(server.pid, 'SIGSTOP')
  const meanwhile = createApi(() => server.url, token)('POST', '/api/sessions', {
    name: 'meanwhile',
    import_folder: '/x',
  })
  await new Promise((resolve) => setTimeout(resolve, STOPPED_MS))
  process.kill(server.pid, 'SIGCONT')
  const { status } = await meanwhile
  // Two deadlines of a second pass, each seen by a look at all connections.
  for (let look = 0; look < 2; look += 1) await new TestClient({ url }).closed
  await Promise.all(clients.map((client) => client.sync()))
  await served.follower.sync()
  const late = await api('POST', `/api/jobs/${short.job}/complete`, {})
  const inTime = await api('POST', `/api/jobs/${long.job}/complete`, {})

  const requeued = clients[0]?.events.filter(({ type }) => type === 'job_requeued')
  expect(status).toBe(201)
  expect(logged(server, 'closed a connection').filter((line) => line.includes('4408'))).toEqual([])
  expect(clients.map(({ events }) => events.filter(({ type }) => type === 'session_created').length)).toEqual(
    clients.map(() => 1),
  )
  expect(requeued).toMatchObject([{ job_id: short.job, reason: 'lease_expired', attempt: 1 }])
  expect([late.status, inTime.status]).toEqual([409, 200])
  expect(served.faults()).toEqual([])
  for (const client of clients) client.terminate()
})
