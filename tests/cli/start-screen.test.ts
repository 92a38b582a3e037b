/** The start screen: a link that opens the web app with a token, shown to who looks at a terminal and written nowhere. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { needs } from '../support/needs.ts'
import { projectRoot, startProcess } from '../support/process.ts'
import { temporaryFolder } from '../support/server.ts'

setDefaultTimeout(60_000)

interface Shown {
  readonly screen: string
  readonly log: string
  readonly url: string
}

/** Starts the server with its log in a file and its screen on a terminal; gives both when the screen is whole. */
async function onTerminal(
  script: string,
  env: Record<string, string>,
  look: (shown: Shown) => Promise<void>,
): Promise<void> {
  using folder = temporaryFolder()
  const [log, screen] = [join(folder.path, 'log.json'), join(folder.path, 'screen.txt')]
  const { PATH = '', HOME = '' } = process.env
  const command = `exec '${process.execPath}' run '${join(projectRoot, 'server.ts')}' > '${log}'`
  const child = Bun.spawn([script, '--quiet', '--flush', '--command', command, screen], {
    env: { PATH, HOME, DATA_DIR: join(folder.path, 'data'), PORT: '0', ...env },
    stdin: 'ignore',
    stdout: 'ignore',
  })
  const read = (path: string) => (existsSync(path) ? readFileSync(path, 'utf8') : '')
  const isShown = () => read(screen).includes('then send:') && read(log).includes('\n')
  while (!isShown() && child.exitCode === null) await Bun.sleep(20)
  const line = JSON.parse(read(log).split('\n')[0] ?? '{}') as { url: string; pid: number }
  try {
    await look({ screen: read(screen), log: read(log), url: line.url })
  } finally {
    process.kill(line.pid, 'SIGTERM')
    await child.exited
  }
}

const linkOf = (screen: string) => /open +(\S+)/.exec(screen)?.[1] ?? ''
const infoOf = (url: string, token?: string) =>
  fetch(
    `${url}/api/websocket/clients`,
    token === undefined ? {} : { headers: { Authorization: `Bearer ${token}` } },
  )

needs('script')(
  'on a terminal the link carries a token of every right for an hour, and the log does not',
  async ({ script }) => {
    await onTerminal(script, { LOG_LEVEL: 'trace' }, async ({ screen, log, url }) => {
      const link = linkOf(screen)
      const token = link.split('#token=')[1] ?? ''
      const { exp, iat } = JSON.parse(atob(token.split('.')[1] ?? '')) as { exp: number; iat: number }

      expect(link).toStartWith(`${url}/#token=`)
      expect((await infoOf(url, token)).status).toBe(200)
      expect(exp - iat).toBeCloseTo(3600, -1)
      expect(log).toContain('listening on')
      expect(log).not.toContain(token.split('.')[2] ?? '')
    })
  },
)

needs('script')(
  'with AUTH=off the link needs no token, and behind a proxy it names that',
  async ({ script }) => {
    await onTerminal(script, { AUTH: 'off' }, async ({ screen, url }) => {
      expect(linkOf(screen)).toBe(`${url}/`)
      expect((await infoOf(url)).status).toBe(200)
    })
    await onTerminal(script, { PUBLIC_URL: 'https://studio.example/' }, ({ screen }) => {
      expect(linkOf(screen)).toStartWith('https://studio.example/#token=')
      return Promise.resolve()
    })
  },
)

test('without a terminal no token is shown', async () => {
  using folder = temporaryFolder()
  const { url, output, kill } = await startProcess({ folder: folder.path })
  while (!output.some((line) => line.includes('a token'))) await Bun.sleep(20)
  await kill('SIGTERM')

  expect(linkOf(output.join('\n'))).toBe(`${url}/`)
  expect(output.join('\n')).not.toMatch(/eyJ|#token/)
})
