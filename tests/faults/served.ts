/** A server process under test with a follower and writers, and what became of what it promised. */
import { createApi } from '../support/api.ts'
import { startProcess, tokenOf, type ServerProcess } from '../support/process.ts'
import { createRandom } from '../support/random.ts'
import { temporaryFolder } from '../support/server.ts'
import { createFollower, cursorFaults, recordFaults } from './follower.ts'
import { disagreements, readStore } from './store-copy.ts'
import { writeAway, type Promised, type WriterOptions } from './writers.ts'

const noLimits = { RATE_REQUESTS: '0', RATE_MESSAGES: '0', RATE_CONNECTIONS: '0', LOG_LEVEL: 'info' }

interface ServeOptions {
  readonly seed?: number
  readonly env?: Readonly<Record<string, string>>
  readonly through?: readonly string[]
  /** Used instead of one of its own. */
  readonly folder?: string
}

export type Served = Awaited<ReturnType<typeof serveFolder>>

export async function serveFolder({ seed = 1, env = {}, through = [], folder: given }: ServeOptions = {}) {
  const parts = new AsyncDisposableStack()
  const folder = given ?? parts.use(temporaryFolder()).path
  const random = createRandom(seed)
  const all: Promised = { sessions: [], photos: [], jobs: [], cursors: [], acknowledged: 0, refused: [] }
  let token = ''
  let server: ServerProcess
  const follower = createFollower(() => token)
  const start = async (options: Pick<ServeOptions, 'env' | 'through'> = {}) => {
    server = await startProcess({
      folder,
      env: { ...noLimits, ...env, ...options.env },
      through: options.through ?? [],
    })
    token = await tokenOf(folder)
    return await follower.join(server.url)
  }
  parts.defer(async () => void (await server.kill()))
  await start({ through })
  parts.defer(() => follower.leave())
  return {
    folder,
    follower,
    /** The process of now. */
    get server() {
      return server
    },
    api: createApi(() => server.url, await tokenOf(folder)),
    /** With every right. */
    get token() {
      return token
    },
    /** What it promised in all of its lives. */
    promised: all,
    /** Writers until `goOn` says no or the server is gone; what they were told this time. */
    async write(goOn: WriterOptions['goOn'], shape: Partial<WriterOptions> = {}): Promise<Promised> {
      const told = await writeAway({ url: server.url, token, random, writers: 4, goOn, ...shape })
      all.sessions.push(...told.sessions)
      all.photos.push(...told.photos)
      all.jobs.push(...told.jobs)
      all.cursors.push(...told.cursors)
      all.acknowledged += told.acknowledged
      all.refused.push(...told.refused)
      return told
    },
    /** Starts again on the same folder; what the follower was told of its cursor, by channel. */
    async restart(): Promise<string[]> {
      const recovery = await start()
      await follower.sync()
      return [...new Set(Object.values(recovery).map(({ status }) => status))]
    },
    /** Everything of the store, the record and the promises that does not fit. */
    faults(): string[] {
      const store = readStore(folder)
      const lost = <T>(kind: string, ids: readonly T[], rows: readonly { id: T }[]) => {
        const there = new Set(rows.map(({ id }) => id))
        return ids.flatMap((id) => (there.has(id) ? [] : [`lost ${kind} ${String(id)}`]))
      }
      return [
        ...disagreements(store),
        ...lost('session', all.sessions, store.sessions),
        ...lost('photo', all.photos, store.photos),
        ...lost('job', all.jobs, store.jobs),
        ...recordFaults(follower.record, store),
        ...cursorFaults([...all.cursors, ...follower.shown], store).map(
          (cursor) => `${cursor} lies beyond the journal`,
        ),
      ]
    },
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  }
}

/** Log lines of a process that have this message. */
export function logged({ output }: ServerProcess, message: string): string[] {
  return output.filter((line) => line.includes(`"msg":"${message}"`))
}
