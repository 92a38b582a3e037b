/** SIGTERM at a real process: what it accepted is answered before it goes. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { createApi } from '../support/api.ts'
import { startProcess } from '../support/process.ts'
import { temporaryFolder } from '../support/server.ts'

setDefaultTimeout(60_000)

test('a write that is there after a stop was acknowledged, and a claim that waits is told', async () => {
  using folder = temporaryFolder()
  const env = { AUTH: 'off' }
  const first = await startProcess({ folder: folder.path, env })
  const api = createApi(() => first.url, undefined)
  const acknowledged = new Set<string>()
  const refused: number[] = []
  let stopping = false
  const writers = Array.from({ length: 32 }, async (_, writer) => {
    for (let n = 0; !stopping || n === 0; n += 1) {
      const file_path = `/${writer}/${n}`
      const status = await api('POST', '/api/photos', { file_path }).then(
        (answer) => answer.status,
        () => 0,
      )
      if (status === 201) acknowledged.add(file_path)
      else if (status > 0) refused.push(status)
      if (status !== 201) return
    }
  })
  const waiting = api<{ code?: string }>('POST', '/api/jobs/claim?wait=30', { worker: 'w' })
  while (acknowledged.size < 500) await new Promise((resolve) => setImmediate(resolve))

  const exited = first.kill('SIGTERM')
  await exited
  stopping = true
  await Promise.all(writers)
  const claim = await waiting
  const second = await startProcess({ folder: folder.path, env })
  const stored: string[] = []
  for (let offset = 0; offset === stored.length; offset += 500) {
    const list = createApi(() => second.url, undefined)
    const { body } = await list<{ photos: { file_path: string }[] }>(
      'GET',
      `/api/photos?limit=500&offset=${offset}`,
    )
    stored.push(...body.photos.map(({ file_path }) => file_path))
  }
  await second.kill()

  expect(await exited).toBe(0)
  expect(stored.filter((path) => !acknowledged.has(path))).toEqual([])
  expect(acknowledged.size).toBe(stored.length)
  expect([...new Set(refused)].filter((status) => status !== 503)).toEqual([])
  expect([claim.status, claim.body.code]).toEqual([503, 'draining'])
})
