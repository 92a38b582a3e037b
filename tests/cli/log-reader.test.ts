/** Whoever reads the log may go, or stand still: the server ends when it is told to. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { createApi } from '../support/api.ts'
import { projectRoot } from '../support/process.ts'
import { temporaryFolder } from '../support/server.ts'

setDefaultTimeout(60_000)

/** The server says its pid and how it ended on stderr; its log goes to the reader, which may wait for our stdin (3). */
const PIPELINE = `exec 3<&0
(sh -c 'echo pid $$ >&2; exec "$0" run server.ts' "$0" </dev/null; echo "ended $?" >&2) | sh -c "$READER"`

const readers = [
  ['is gone', 'head -n 1 >/dev/null', 0],
  // More than a pipe holds.
  ['stands still', 'read line <&3', 900],
] as const

test.each(readers)('a server whose log reader %s ends with 0 at SIGTERM', async (_, reader, requests) => {
  using folder = temporaryFolder()
  const child = Bun.spawn(['sh', '-c', PIPELINE, process.execPath], {
    cwd: projectRoot,
    env: {
      ...process.env,
      DATA_DIR: folder.path,
      HOST: '127.0.0.1',
      PORT: '0',
      LOG_LEVEL: 'debug',
      READER: reader,
    },
    stdin: 'pipe',
    stderr: 'pipe',
    stdout: 'ignore',
  })
  let said = ''
  const ended = Promise.withResolvers<void>()
  const url = Promise.withResolvers<string>()
  const listening = (async () => {
    for await (const chunk of child.stderr) {
      said += Buffer.from(chunk).toString()
      const [, found] = /REST +(\S+)\/api/.exec(said) ?? []
      if (found !== undefined) url.resolve(found)
      if (/^ended \d+$/m.test(said)) ended.resolve()
    }
  })()
  const api = createApi(await url.promise.then((found) => () => found), undefined)
  for (let n = 0; n < requests; n += 1) await api('GET', '/api/sessions')

  process.kill(Number(/^pid (\d+)$/m.exec(said)?.[1]), 'SIGTERM')
  await ended.promise

  expect(said).toContain('ended 0')
  void child.stdin.end()
  await listening
})
