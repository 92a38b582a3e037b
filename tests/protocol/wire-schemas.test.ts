/** The schemas of the server's frames find what diverges, and the client of all tests fails a test that meets it. */
import { expect, test } from 'bun:test'
import { join } from 'node:path'
import { eventTypes } from '../../lib/protocol/events.ts'
import { clientMessages } from '../../lib/protocol/messages.ts'
import { protocolTypes } from '../../lib/protocol/server-messages.ts'
import { serverMessages } from '../../lib/protocol/server-messages.ts'
import { eventSchemas, frameFault } from '../../lib/protocol/wire-schemas.ts'
import { projectRoot } from '../support/process.ts'
import { temporaryFolder } from '../support/server.ts'

const pong = { type: 'pong', timestamp: '2026-11-22T22:30:41.319Z', cursor: 'k3v9q2:jobs=120,photos=88' }
const jobCompleted = {
  type: 'job_completed',
  timestamp: '2026-11-22T22:30:41.319Z',
  channel: 'jobs',
  seq: 1,
  job_id: 'a',
  photo_id: null,
  session_id: null,
  result: {},
}

test('every event and every message of the protocol but the reserved batch has a schema or is the client’s', () => {
  expect(Object.keys(eventSchemas)).toEqual([...eventTypes])
  expect(new Set([...Object.keys(clientMessages), ...Object.keys(serverMessages), 'batch'])).toEqual(
    new Set(protocolTypes),
  )
})

test.each<[object]>([
  [pong],
  [{ ...pong, id: 7 }],
  [{ ...pong, cursor: 'k3v9q2:' }],
  [jobCompleted],
  [{ type: 'welcome', to: 'anybody', seq: 'of its own' }],
])('a frame as it should be has no fault: %j', (frame) => {
  expect(frameFault(frame)).toBeUndefined()
})

test.each<[object, RegExp]>([
  [{ ...pong, extra: 1 }, /^pong: .*"extra"/],
  [{ ...pong, timestamp: '2026-11-22T22:30:41Z' }, /^pong: timestamp: /],
  [{ ...pong, id: null }, /^pong: id: /],
  [{ ...jobCompleted, result: [] }, /^job_completed: result: /],
  [{ ...jobCompleted, channel: 'photos' }, /^job_completed: channel: /],
  [{ ...jobCompleted, seq: 0 }, /^job_completed: seq: /],
  [{ ...jobCompleted, session_id: undefined }, /^job_completed: session_id: /],
  [{ ...jobCompleted, id: 1 }, /^job_completed: .*"id"/],
  [[], /a string "type"/],
])('a frame that diverges has a fault: %j', (frame, fault) => {
  expect(frameFault(frame)).toMatch(fault)
})

test('a test whose client receives a frame that diverges fails, though it looks at nothing', async () => {
  using folder = temporaryFolder()
  const path = join(folder.path, 'odd.test.ts')
  await Bun.write(
    path,
    `import { test } from 'bun:test'
    import { TestClient } from ${JSON.stringify(join(projectRoot, 'tests/support/client.ts'))}
    test.each([${JSON.stringify(pong)}, ${JSON.stringify({ ...pong, extra: 1 })}])('%j', async (frame) => {
      const server = Bun.serve({
        port: 0,
        fetch: (request, self) => void self.upgrade(request, { headers: { 'Sec-WebSocket-Protocol': 'lightwire.v1.json' } }),
        websocket: { open: (socket) => void socket.send(JSON.stringify(frame)), message: () => undefined },
      })
      const client = new TestClient({ url: server.url.href.replace('http', 'ws') })
      await client.next('pong').catch(() => undefined)
      await server.stop(true)
    })`,
  )

  const run = Bun.spawn([process.execPath, 'test', path], {
    cwd: folder.path,
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const [code, output] = await Promise.all([run.exited, run.stderr.text()])

  expect(code).toBe(1)
  expect(output).toContain('a frame does not conform: pong: ')
  expect(output).toMatch(/1 pass\n *1 fail/)
})
