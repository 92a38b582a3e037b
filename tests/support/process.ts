/** The server as a process of its own, to be killed and started again on the same folder. */
import { join } from 'node:path'
import { loadKey } from '../../lib/access/keys.ts'
import { FULL_SCOPE } from '../../lib/access/rights.ts'
import { createTokens, type Tokens } from '../../lib/access/tokens.ts'

export const projectRoot = join(import.meta.dir, '..', '..')

interface ProcessOptions {
  readonly folder: string
  /** Where server.ts lies; a copy with a planted fault, say. */
  readonly root?: string
  readonly env?: Readonly<Record<string, string>>
  /** Words before the command, which runs it in its own place: `prlimit …`, `strace -D …`. */
  readonly through?: readonly string[]
  /** With the limits of what one client may do that a server has which was told nothing. */
  readonly limited?: boolean
}

export interface ServerProcess {
  readonly url: string
  readonly pid: number
  /** Lines of stderr and stdout so far. */
  readonly output: string[]
  readonly exited: Promise<number>
  kill(signal?: NodeJS.Signals): Promise<number>
}

/** As a test server, without the limits of what one client may do; `env` may set them again. */
const unlimited = {
  SAMPLE_INTERVAL: '0s',
  RATE_MESSAGES: '0',
  RATE_REQUESTS: '0',
  RATE_CONNECTIONS: '0',
  RATE_AUTH_FAILURES: '0',
  MAX_CONNECTIONS_PER_SUBJECT: '0',
  MAX_CONNECTIONS_PER_ADDRESS: '0',
}

/** Longest that the last lines of a process that ended are waited for: another may hold its pipes. */
const LAST_WORDS_MS = 5000

/** No server outlives its test, however that ends. */
const living = new Set<{ kill(signal: NodeJS.Signals): void }>()
process.once('exit', () => living.forEach((child) => child.kill('SIGKILL')))

/** Starts `server.ts` and resolves when it listens; rejects with its output when it ends before. */
export async function startProcess({
  folder,
  root = projectRoot,
  env = {},
  through = [],
  limited = false,
}: ProcessOptions): Promise<ServerProcess> {
  const child = Bun.spawn([...through, process.execPath, 'run', join(root, 'server.ts')], {
    cwd: folder,
    env: { ...inherited(), DATA_DIR: folder, PORT: '0', ...(limited ? {} : unlimited), ...env },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  living.add(child)
  void child.exited.then(() => living.delete(child))
  const output: string[] = []
  const listening = Promise.withResolvers<string>()
  const told = Promise.all([
    readLines(child.stdout, (line) => {
      output.push(line)
      const url = /"url":"(http[^"]+)"/.exec(line)?.[1]
      if (url !== undefined) listening.resolve(url)
    }),
    readLines(child.stderr, (line) => output.push(line)),
  ])
  const exited = child.exited.then(async (code) => {
    await Promise.race([told, Bun.sleep(LAST_WORDS_MS)])
    return code
  })
  void exited.then((code) => listening.reject(new Error(`exited with ${code}: ${output.join('\n')}`)))
  const url = await listening.promise
  return {
    url,
    pid: child.pid,
    output,
    exited,
    async kill(signal = 'SIGKILL') {
      child.kill(signal)
      return await exited
    },
  }
}

/** Nothing of the tester's own settings reaches a server under test. */
function inherited(): Record<string, string> {
  const { PATH = '', HOME = '', TMPDIR = '/tmp' } = process.env
  return { PATH, HOME, TMPDIR }
}

/** Signs tokens with the secret of a data folder. */
export function tokensOf(folder: string): Tokens {
  return createTokens({ key: loadKey(folder, undefined), now: () => new Date() })
}

/** A token of full rights, signed with the secret of a data folder. */
export async function tokenOf(folder: string, subject = 'tester'): Promise<string> {
  return (await tokensOf(folder).issue({ subject, scope: FULL_SCOPE, expiresInMs: 86_400_000 })).token
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
