/** Floods of a real process: those who do harm are cut off, everybody else is served, and memory stays bounded. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { startProcess, tokenOf, type ServerProcess } from '../support/process.ts'
import { temporaryFolder } from '../support/server.ts'
import {
  deflateBombs,
  fragments,
  pings,
  residentMiB,
  slowConnections,
  startHealthy,
  type Target,
} from './flood.ts'

setDefaultTimeout(60_000)

/** What any of the floods may cost beside what the server had before. */
const GROWTH_MIB_MAX = 100
/** Longest that the healthy client waits for its answer, its event and its pong together, on a machine that is busy with others. */
const SLOWEST_MS_MAX = 10_000

const folder = temporaryFolder()
let server: ServerProcess
let target: Target

beforeAll(async () => {
  // As many addresses would: what one of them may do is tested in tests/realtime/rate-limits.test.ts.
  server = await startProcess({ folder: folder.path, env: { RATE_MESSAGES: '100/60s' } })
  target = { url: server.url, pid: server.pid, token: await tokenOf(folder.path) }
})

afterAll(async () => {
  await server.kill()
  folder[Symbol.dispose]()
})

/** Runs a flood beside a healthy client, and holds what it saw. */
async function besideHealthy<T>(flood: () => Promise<T>): Promise<T> {
  const before = await residentMiB(target.pid)
  const healthy = await startHealthy(target)
  const outcome = await flood()
  const { statuses, gaps, events, changes, slowestMs, mostMiB } = await healthy.stop()

  expect(Object.keys(statuses)).toEqual(['200'])
  expect({ gaps, events }).toEqual({ gaps: [], events: changes })
  expect(slowestMs).toBeLessThan(SLOWEST_MS_MAX)
  expect(mostMiB - before).toBeLessThan(GROWTH_MIB_MAX)
  return outcome
}

test('500 connections that say half of something are cut off, and nobody else notices', async () => {
  await besideHealthy(() => slowConnections(target, 500))
})

test('a million empty fragments are one empty message, which is refused', async () => {
  const said = await besideHealthy(() => fragments(target, 1_000_000, Buffer.alloc(0)))

  expect(said).toContain('"code":"invalid_message"')
})

test('a million fragments of one byte end the connection at the frame limit', async () => {
  const said = await besideHealthy(() => fragments(target, 1_000_000, Buffer.from('x')))

  expect(said).toContain('Received too big message')
})

test('a flood of protocol pings ends its connection with 4429', async () => {
  const said = await besideHealthy(() => pings(target, 300_000))

  expect(said).toContain('"disconnect","code":4429')
})

test('200 deflate bombs at once are refused without being unpacked', async () => {
  const told = await besideHealthy(() => deflateBombs(target, 200))

  expect(new Set(told)).toEqual(new Set(['too_large']))
})

test('after all of it the server is healthy and holds nobody', async () => {
  const health = await fetch(`${target.url}/api/system/health`)
  const list = await fetch(`${target.url}/api/websocket/clients`, {
    headers: { Authorization: `Bearer ${target.token}` },
  })

  expect(await health.json()).toMatchObject({ status: 'healthy' })
  expect(await list.json()).toMatchObject({ count: 0 })
})
