/** One server on a clock that stands still, workers with REST and sockets, and a subscriber from the very start. */
import { channels } from '../../lib/protocol/events.ts'
import type { Config } from '../../lib/settings.ts'
import type { Api } from '../support/api.ts'
import type { Message, TestClient } from '../support/client.ts'
import type { startTestServer } from '../support/server.ts'
import type { Fields } from './model.ts'
import { subjects, type Operation, type Subject } from './operations.ts'

export type StartServer = typeof startTestServer

/** An answer over REST, or the reply over the socket with the status of its refusal. */
export interface Answered {
  readonly status: number
  readonly body: Fields
  readonly cursor: string | null
}

export type World = Awaited<ReturnType<typeof startWorld>>

const RIGHTS = 'api:read api:write events:read events:publish'
const TOKEN_MS = 10 * 86_400_000
const START_MS = Date.UTC(2026, 10, 22)
/** A sweep comes every second. */
const WAIT_MS_MAX = 30_000
const socketStatus: Readonly<Record<string, number>> = { not_found: 404, conflict: 409, invalid_message: 400 }

export async function startWorld(start: StartServer, config: Partial<Config> = {}) {
  const clock = { ms: START_MS }
  // What a power cut leaves is tested elsewhere.
  const settings = { DURABILITY: 'normal', COALESCE_MS: 0, ...config } as const
  const server = await start(settings, { now: () => new Date(clock.ms) })
  // Tokens outlive all that the clock goes on by.
  const tokenOf = (subject: string) =>
    server.server.issueToken({ subject, scope: RIGHTS, expiresInMs: TOKEN_MS })
  const watcher = await tokenOf('watcher')
  const subscriber = await server.connect({ token: watcher })
  await subscriber.subscribe(channels)
  const workers = new Map<Subject, { api: Api; socket: TestClient }>()
  for (const subject of subjects) {
    const token = await tokenOf(subject)
    workers.set(subject, { api: server.apiAs(token), socket: await server.connect({ token }) })
  }
  /** What was sent and answered, for who must find the cause. */
  const log: string[] = []
  const seqs = new Map<string, number>()
  let read = 0

  async function answer({ rest, publish }: Operation, subject: Subject): Promise<Answered> {
    const worker = workers.get(subject)
    if (!worker) throw new Error(`nobody is called ${subject}`)
    if (rest) return await worker.api<Fields>(...rest)
    const reply = await worker.socket.request({ type: 'publish', ...publish })
    const code = String(reply['code'])
    const status = reply.type === 'published' ? 200 : (socketStatus[code] ?? 500)
    return { status, body: reply, cursor: null }
  }

  return {
    clock,
    log,
    api: server.apiAs(watcher),
    subscriber,

    async send(operation: Operation, subject: Subject): Promise<Answered> {
      const answered = await answer(operation, subject)
      const { rest, publish } = operation
      const { status, body } = answered
      const sent = JSON.stringify(rest ?? publish)
      log.push(`${subject}: ${sent} → ${status} ${JSON.stringify(body).slice(0, 300)}`)
      return answered
    },

    /** Events that came since the last call. @throws where a seq is not the next of its channel */
    events(): Message[] {
      const fresh = subscriber.received.slice(read).filter(({ seq }) => typeof seq === 'number')
      read = subscriber.received.length
      for (const { channel, seq } of fresh) {
        const expected = (seqs.get(String(channel)) ?? 0) + 1
        if (seq !== expected)
          throw new Error(`a gap: ${String(channel)} is at ${String(seq)}, not ${expected}`)
        seqs.set(String(channel), expected)
      }
      return fresh
    },

    /** When the sweep has freed this claim. */
    async freed(id: string, attempt: number): Promise<void> {
      const isEnd = ({ type, job_id, attempt: told }: Message) =>
        job_id === id && (type === 'job_failed' || (type === 'job_requeued' && told === attempt))
      await within(subscriber.next(isEnd), `no sweep has freed job ${id} from attempt ${attempt}`)
    },

    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

async function within<T>(promise: Promise<T>, complaint: string): Promise<T> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Error(complaint)), WAIT_MS_MAX)
  try {
    return await Promise.race([promise, late.promise])
  } finally {
    clearTimeout(timer)
  }
}
