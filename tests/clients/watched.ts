/** A TypeScript client whose events and errors a test looks at. */
import {
  createClient,
  LightwireError,
  type Client,
  type ClientOptions,
  type LightwireEvent,
} from '../../clients/typescript/src/client.ts'
import { machine, type Environment } from '../../clients/typescript/src/environment.ts'
import type { TestServer } from '../support/server.ts'

export interface Watched extends AsyncDisposable {
  readonly client: Client
  readonly events: LightwireEvent[]
  readonly errors: unknown[]
  /** Resolves when it holds, looked at with each event and each change of status. */
  until(holds: () => boolean): Promise<void>
}

export function watch(
  server: TestServer,
  options: Partial<ClientOptions> = {},
  environment: Environment = machine,
): Watched {
  const events: LightwireEvent[] = []
  const errors: unknown[] = []
  const looking = new Set<() => void>()
  const look = () => looking.forEach((one) => one())
  const client = createClient(
    {
      url: server.url,
      getToken: () => server.token,
      transport: 'websocket',
      onError(error) {
        errors.push(error)
        look()
      },
      ...options,
    },
    environment,
  )
  client.on('*', (event) => {
    events.push(event)
    // Those who follow a state hear of it in the same turn.
    queueMicrotask(look)
  })
  client.onStatus(look)
  return {
    client,
    events,
    errors,
    until: (holds) =>
      new Promise((resolve) => {
        const one = () => {
          if (!holds()) return
          looking.delete(one)
          resolve()
        }
        looking.add(one)
        one()
      }),
    [Symbol.asyncDispose]: () => {
      client.close()
      return Promise.resolve()
    },
  }
}

export const say = (server: TestServer, status: string) =>
  server.api('POST', '/api/system/status', { status })
export const statuses = (events: readonly LightwireEvent[]) =>
  events.map((event) => (event.type === 'system_status' ? event.status : event.type))
export const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'done',
    (error: unknown) => (error instanceof LightwireError ? error.code : String(error)),
  )
