/** `server.ts token` beside a server: whose tokens it signs, and what it says where no server takes them. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { projectRoot, startProcess } from '../support/process.ts'
import { temporaryFolder } from '../support/server.ts'

setDefaultTimeout(60_000)

async function issue(folder: string, words: readonly string[] = []) {
  const child = Bun.spawn([process.execPath, 'run', 'server.ts', 'token', ...words], {
    cwd: projectRoot,
    env: { PATH: process.env['PATH'] ?? '', DATA_DIR: folder },
    stderr: 'pipe',
  })
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited])
  return { token: out.trim(), err, code }
}

test('in the folder of the server it signs what the server takes; in a new one it says that none does', async () => {
  using folder = temporaryFolder()
  using other = temporaryFolder()
  const server = await startProcess({ folder: folder.path })

  const [own, strange] = await Promise.all([issue(folder.path), issue(other.path)])
  const statuses = await Promise.all(
    [own, strange].map(async ({ token }) => {
      const headers = { Authorization: `Bearer ${token}` }
      return (await fetch(`${server.url}/api/sessions`, { headers })).status
    }),
  )
  await server.kill()

  expect(statuses).toEqual([200, 401])
  expect([own.code, own.err]).toEqual([0, ''])
  expect([strange.code, strange.err]).toEqual([0, expect.stringContaining(other.path)])
})

test('grants that make it longer than anybody takes end it with one line', async () => {
  using folder = temporaryFolder()
  const grants = Array.from({ length: 9 }, (_, n) => ({
    channel: 'photos',
    where: { file_name: `${n}`.padEnd(900, 'x') },
  }))

  const { token, err, code } = await issue(folder.path, ['--grants', JSON.stringify(grants)])

  expect([token, code]).toEqual(['', 1])
  expect(err).toContain('--grants: the token would be longer than 8192 bytes')
})
