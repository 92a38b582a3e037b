/** A folder that cannot be written: a start ends in one line, a running server refuses writes and serves the rest. */
import { expect, setDefaultTimeout } from 'bun:test'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { needs } from '../support/needs.ts'
import { startProcess } from '../support/process.ts'
import { temporaryFolder } from '../support/server.ts'
import { logged, serveFolder } from './served.ts'
import { mountSmallDisk, testWithMount } from './small-disk.ts'
import { inject } from './strace.ts'

setDefaultTimeout(60_000)

const testWithStrace = needs('strace')
const SMALL_KIB = 8192
const REFUSED_ENOUGH = 50

testWithMount('a start on a read-only disk ends with one line that says so, and exit code 1', async () => {
  using folder = temporaryFolder()
  using disk = mountSmallDisk(folder.path, SMALL_KIB)
  await (await startProcess({ folder: folder.path })).kill('SIGTERM')
  disk.remountReadOnly()

  const used = await refusal(folder.path)
  disk.remountReadWrite()
  for (const name of ['secret', 'lock', 'lightwire.db']) rmSync(join(folder.path, name))
  disk.remountReadOnly()
  const fresh = await refusal(folder.path)

  const sentence = /^exited with 1: lightwire: the data cannot be used: EROFS: read-only file system.*$/
  expect([used, fresh]).toEqual([expect.stringMatching(sentence), expect.stringMatching(sentence)])
})

testWithStrace(
  'a disk that turns read-only while the server runs refuses writes with 503; reads go on, and writes when it can',
  async ({ strace }) => {
    await using served = await serveFolder()
    await served.write(({ acknowledged }) => acknowledged < 50)
    await served.follower.sync()
    const { follower, api, server } = served

    const readOnly = await inject(strace, server.pid, {
      calls: 'pwrite64,write,ftruncate,fallocate',
      error: 'EROFS',
      paths: ['lightwire.db', 'lightwire.db-wal'].map((name) => join(served.folder, name)),
    })
    const told = await served.write(({ refused }) => refused.length < REFUSED_ENOUGH)
    const published = follower.record.length
    const list = await api('GET', '/api/photos')
    const health = await api<{ status: string }>('GET', '/api/system/health')
    await follower.sync()
    const publishedMeanwhile = follower.record.length - published
    await readOnly[Symbol.asyncDispose]()
    const after = await served.write(({ acknowledged }) => acknowledged < 20)
    await follower.sync()
    const code = await server.kill('SIGTERM')
    await follower.gone()
    const recovery = await served.restart()

    expect(told.acknowledged).toBe(0)
    expect(new Set(told.refused.map(({ status, body }) => `${status} ${String(body['code'])}`))).toEqual(
      new Set(['503 storage_unavailable']),
    )
    expect(publishedMeanwhile).toBe(0)
    expect([list.status, health.status, health.body.status]).toEqual([200, 200, 'degraded'])
    expect(logged(server, 'disk or database refused').length).toBeGreaterThan(0)
    expect(after.refused).toEqual([])
    expect(code).toBe(0)
    expect(recovery).toEqual(['recovered'])
    expect(served.faults()).toEqual([])
  },
)

async function refusal(folder: string): Promise<string> {
  const server = await startProcess({ folder }).catch((error: unknown) => error)
  return server instanceof Error ? server.message : 'it serves'
}
