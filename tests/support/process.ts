/** The server as a process of its own, to be killed and started again on the same folder. */
import { join } from 'node:path'
import { loadKey } from '../../lib/access/keys.ts'
import { FULL_SCOPE } from '../../lib/access/rights.ts'
import { createTokens } from '../../lib/access/tokens.ts'

export const projectRoot = join(import.meta.dir, '..', '..')

interface ProcessOptions {
  readonly folder: string
  /** Where server.ts lies; a copy with a planted fault, say. */
  readonly root?: string
  readonly env?: Readonly<Record<string, string>>
}

export interface ServerProcess {
  readonly url: string
  readonly pid: number
  /** Lines of stderr and stdout so far. */
  readonly output: string[]
  readonly exited: Promise<number>
  kill(signal?: NodeJS.Signals): Promise<number>
}

/** Starts `server.ts` and resolves when it listens; rejects with its output when it ends before. */
export async function startProcess({
  folder,
  root = projectRoot,
  env = {},
}: ProcessOptions): Promise<ServerProcess> {
  const child = Bun.spawn([process.execPath, 'run', join(root, 'server.ts')], {
    cwd: folder,
    env: { ...inherited(), DATA_DIR: folder, PORT: '0', ...env },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const output: string[] = []
  const listening = Promise.withResolvers<string>()
  void readLines(child.stdout, (line) => {
    output.push(line)
    const url = /"url":"(http[^"]+)"/.exec(line)?.[1]
    if (url !== undefined) listening.resolve(url)
  })
  void readLines(child.stderr, (line) => output.push(line))
  void child.exited.then((code) => listening.reject(new Error(`exited with ${code}: ${output.join('\n')}`)))
  const url = await listening.promise
  return {
    url,
    pid: child.pid,
    output,
    exited: child.exited,
    async kill(signal = 'SIGKILL') {
      child.kill(signal)
      return await child.exited
    },
  }
}

/** Nothing of the tester's own settings reaches a server under test. */
function inherited(): Record<string, string> {
  const { PATH = '', HOME = '', TMPDIR = '/tmp' } = process.env
  return { PATH, HOME, TMPDIR }
}

/** A token of full rights, signed with the secret of a data folder. */
export async function tokenOf(folder: string, subject = 'tester'): Promise<string> {
  const tokens = createTokens({ key: loadKey(folder, undefined), now: () => new Date() })
  return (await tokens.issue({ subject, scope: FULL_SCOPE, expiresInMs: 86_400_000 })).token
}

async function readLines(stream: ReadableStream<Uint8Array>, onLine: (line: string) => void): Promise<void> {
  let rest = ''
  const decoder = new TextDecoder()
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) onLine(line)
  }
  if (rest !== '') onLine(rest)
}
