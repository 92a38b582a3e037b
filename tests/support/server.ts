/** Starts the real composition root on a free port with a folder of its own, and takes both away again. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hasSecret } from '../../lib/access/keys.ts'
import { FULL_SCOPE } from '../../lib/access/rights.ts'
import type { Config } from '../../lib/settings.ts'
import { startServer, type LightwireServer, type ServerOptions } from '../../server.ts'
import { createApi, type Api } from './api.ts'
import { TestClient } from './client.ts'
import type { Framing } from '../../lib/protocol/codec.ts'

export interface TestServer extends AsyncDisposable {
  readonly server: LightwireServer
  readonly url: string
  readonly socketUrl: string
  /** With every right. */
  readonly token: string
  readonly api: Api
  readonly folder: string
  tokenFor(scope: string, subject?: string): Promise<string>
  apiAs(token: string | undefined): Api
  connect(options?: {
    framing?: Framing
    token?: string | null
    headers?: Record<string, string>
  }): Promise<TestClient>
}

/** A folder that is removed on disposal. */
export function temporaryFolder(): Disposable & { path: string } {
  const path = mkdtempSync(join(tmpdir(), 'lightwire-test-'))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

/** Tests ask more of one connection and of one address than anybody else does; those about limits set their own. */
export const unlimited = {
  // What comes by itself would stand between what tests look for.
  SAMPLE_INTERVAL: 0,
  RATE_MESSAGES: undefined,
  RATE_REQUESTS: undefined,
  RATE_CONNECTIONS: undefined,
  RATE_AUTH_FAILURES: undefined,
  MAX_CONNECTIONS_PER_SUBJECT: 0,
  MAX_CONNECTIONS_PER_ADDRESS: 0,
} satisfies Partial<Config>

export async function startTestServer(
  overrides: Partial<Config> = {},
  options: ServerOptions = {},
): Promise<TestServer> {
  const folder = overrides.DATA_DIR === undefined ? temporaryFolder() : undefined
  const dataDir = overrides.DATA_DIR ?? folder?.path ?? ''
  const server = await startServer(
    { PORT: 0, LOG_LEVEL: 'silent', ...unlimited, ...overrides, DATA_DIR: dataDir },
    // The machine that tests run on is often busy; its own warnings are tested by their own.
    {
      onFatal: () => undefined,
      sampleResources: () => () => Promise.resolve({}),
      // A test's hours pass; its wall clock is not set, unless it says so.
      ...(options.now && !options.monotonicMs ? { moveTimes: () => Promise.resolve() } : {}),
      ...options,
    },
  )
  const tokenFor = (scope: string, subject = 'tester') =>
    server.issueToken({ subject, scope, expiresInMs: 3_600_000 })
  // Where keys come from JWKS alone the server signs none.
  const token = hasSecret(server.config) ? await tokenFor(FULL_SCOPE) : ''
  const socketUrl = `${server.url.replace('http', 'ws')}/ws`
  const clients: TestClient[] = []
  return {
    server,
    url: server.url,
    socketUrl,
    token,
    folder: dataDir,
    tokenFor,
    api: createApi(() => server.url, token),
    apiAs: (other) => createApi(() => server.url, other),
    async connect({ framing = 'json', token: own = token, headers = {} } = {}) {
      const client = new TestClient({
        url: socketUrl,
        framing,
        headers,
        ...(own === null ? {} : { token: own }),
      })
      clients.push(client)
      await client.opened
      return client
    },
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.terminate()
      await server[Symbol.asyncDispose]()
      folder?.[Symbol.dispose]()
    },
  }
}
