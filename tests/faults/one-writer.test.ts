/** Exactly one server per data folder, and a folder that cannot be used is refused in one line. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { chmodSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { createApi } from '../support/api.ts'
import { projectRoot, startProcess, tokenOf } from '../support/process.ts'
import { temporaryFolder } from '../support/server.ts'
import { mountSmallDisk, testWithMount } from './small-disk.ts'

setDefaultTimeout(60_000)

const SMALL_KIB = 4096

test('a second server on the same folder ends with one line and exit code 1, the first goes on', async () => {
  using folder = temporaryFolder()
  const first = await startProcess({ folder: folder.path })

  const second = await refusedStart(folder.path)

  expect(second.code).toBe(1)
  expect(second.stdout).toEqual([])
  expect(second.stderr).toEqual([
    expect.stringMatching(/^lightwire: the data folder .* is in use by another/),
  ])
  const api = createApi(() => first.url, await tokenOf(folder.path))
  expect((await api('POST', '/api/sessions', { name: 'still here', import_folder: '/x' })).status).toBe(201)
  await first.kill('SIGTERM')
})

test('a folder whose server was killed can be opened again at once', async () => {
  using folder = temporaryFolder()
  const first = await startProcess({ folder: folder.path })
  const api = createApi(() => first.url, await tokenOf(folder.path))
  const { body } = await api<{ id: number }>('POST', '/api/sessions', { name: 'kept', import_folder: '/x' })

  await first.kill('SIGKILL')
  const second = await startProcess({ folder: folder.path })

  const again = createApi(() => second.url, await tokenOf(folder.path))
  expect((await again('GET', `/api/sessions/${body.id}`)).status).toBe(200)
  await second.kill('SIGTERM')
})

test('of two servers that start on a new folder at once, one serves', async () => {
  using folder = temporaryFolder()

  const starts = await Promise.allSettled([1, 2].map(() => startProcess({ folder: folder.path })))

  const serving = starts.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []))
  expect(serving).toHaveLength(1)
  expect(starts.flatMap((start) => (start.status === 'rejected' ? [String(start.reason)] : []))).toEqual([
    expect.stringContaining('is in use by another lightwire process'),
  ])
  for (const server of serving) await server.kill('SIGTERM')
})

test('a secret that others can read is refused in one line', async () => {
  using folder = temporaryFolder()
  await (await startProcess({ folder: folder.path })).kill('SIGTERM')
  chmodSync(join(folder.path, 'secret'), 0o644)

  const start = await refusedStart(folder.path)

  expect(start.code).toBe(1)
  expect(start.stderr).toEqual([expect.stringContaining('"secret" in DATA_DIR can be read by others')])
})

testWithMount('a disk that cannot be written is refused in one line', async () => {
  using folder = temporaryFolder()
  using disk = mountSmallDisk(folder.path, SMALL_KIB)
  await (await startProcess({ folder: folder.path })).kill('SIGTERM')
  disk.remountReadOnly()

  const start = await refusedStart(folder.path)

  expect(start.code).not.toBe(0)
  expect(start.stderr).toEqual([expect.stringMatching(/^lightwire: /)])
})

// Permissions do not bind root.
test.skipIf(process.getuid?.() === 0)(
  'a folder without the right to write is refused in one line',
  async () => {
    using folder = temporaryFolder()
    const path = join(folder.path, 'closed')
    mkdirSync(path, { mode: 0o500 })

    const start = await refusedStart(path)

    expect(start.code).not.toBe(0)
    expect(start.stderr).toEqual([expect.stringMatching(/^lightwire: /)])
  },
)

/** A start that ends by itself: its exit code and what it wrote, by line. */
async function refusedStart(folder: string) {
  const { PATH = '', HOME = '' } = process.env
  const child = Bun.spawn([process.execPath, 'run', join(projectRoot, 'server.ts')], {
    env: { PATH, HOME, DATA_DIR: folder, PORT: '0' },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const lines = async (stream: ReadableStream<Uint8Array>) =>
    (await new Response(stream).text()).split('\n').filter((line) => line !== '')
  const [stdout, stderr, code] = await Promise.all([lines(child.stdout), lines(child.stderr), child.exited])
  return { stdout, stderr, code }
}
