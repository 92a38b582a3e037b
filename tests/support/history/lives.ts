/** The server's lives: on one folder it starts, is killed or drains, and starts again. */
import { startProcess, type ServerProcess } from '../process.ts'
import { wait } from './follower.ts'
import type { Gate } from './gate.ts'
import type { History } from './record.ts'

/** Over which a drain sends the clients away. */
const DRAIN_SPREAD_MS = 300
/** A drain is asked for new things during this. */
const ASKED_MS = 100
/** Every second life evaluates few filters and remembers little, so that many read the journal, and read it for long. */
const NARROW = { MAX_FILTERS: '3', TAIL_BYTES: '65536' }
/** Of LOG_LEVEL: what nobody expected. */
const BUG = /"level":(50|60|"error"|"fatal")/

interface LivesOptions {
  readonly folder: string
  readonly gate: Gate
  readonly history: History
  readonly root?: string | undefined
  readonly env?: Readonly<Record<string, string>> | undefined
}

export type Lives = Awaited<ReturnType<typeof startLives>>

export async function startLives({ folder, gate, history, root, env }: LivesOptions) {
  async function start(): Promise<ServerProcess> {
    const narrow = gate.life % 2 === 0 ? NARROW : {}
    const spread = { DRAIN_SPREAD: `${DRAIN_SPREAD_MS}ms` }
    const process = await startProcess({
      folder,
      ...(root === undefined ? {} : { root }),
      env: { ...spread, ...narrow, ...env },
    })
    gate.open(process.url)
    return process
  }

  let server = await start()

  function over(how: 'kill' | 'drain'): void {
    history.lives.push(how)
    const bug = server.output.find((line) => BUG.test(line))
    if (bug !== undefined) history.unexpected.push(`the server logged ${bug}`)
  }

  /** Its exit code is 0. */
  async function drain(): Promise<void> {
    gate.drain()
    const exited = server.kill('SIGTERM')
    await wait(ASKED_MS)
    gate.shut()
    const code = await exited
    over('drain')
    if (code !== 0)
      history.unexpected.push(`a drain exited with ${code}: ${server.output.slice(-5).join('\n')}`)
  }

  return {
    url: () => server.url,
    async killAndStart(): Promise<void> {
      gate.shut()
      await server.kill()
      over('kill')
      server = await start()
    },
    async drainAndStart(): Promise<void> {
      await drain()
      server = await start()
    },
    /** The last one. */
    end: drain,
  }
}
