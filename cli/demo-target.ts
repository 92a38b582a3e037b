/** Which server a demo plays on: the named one, the one that runs here, or one of its own. */
import { FULL_SCOPE } from '../lib/access/rights.ts'
import { baseUrl } from '../lib/config.ts'
import type { Config } from '../lib/settings.ts'
import { CliFailure, isLightwire } from './rest-client.ts'
import { issueToken } from './token.ts'

const TOKEN_MS = 3_600_000

/** What the demo needs of a server that it starts for itself. */
export interface OwnServer extends AsyncDisposable {
  readonly url: string
  issueToken(request: { subject: string; scope: string; expiresInMs: number }): Promise<string>
}

export type StartServer = (overrides: Partial<Config>) => Promise<OwnServer>

export interface Target {
  readonly url: string
  readonly token: string | undefined
  /** How the summary names it. */
  readonly whose: string
}

/** The server that was named, else one that answers where the settings say, else one of its own. */
export async function chooseTarget(
  config: Config,
  { url, token }: { readonly url: string | undefined; readonly token: string | undefined },
  startOne: () => Promise<Target>,
): Promise<Target> {
  if (url !== undefined) {
    if (await isLightwire(url)) return { url, token, whose: 'the server named by --url' }
    throw new CliFailure(`--url=${url}: no Lightwire answers there`)
  }
  const { HOST, PORT } = config
  const reached = HOST === '0.0.0.0' ? '127.0.0.1' : HOST === '::' ? '::1' : HOST
  const running = baseUrl({ ...config, HOST: reached }, PORT)
  if (PORT === 0 || !(await isLightwire(running))) return await startOne()
  const own = await issueToken(config, ['--subject', 'demo', '--expires', '1h'])
  return { url: running, token: own, whose: 'the server that runs here' }
}

export async function startOwn(
  start: StartServer,
  dataFolder: string,
  parts: AsyncDisposableStack,
): Promise<Target> {
  const server = parts.use(await start({ PORT: 0, DATA_DIR: dataFolder, LOG_LEVEL: 'warn' }))
  const token = await server.issueToken({ subject: 'demo', scope: FULL_SCOPE, expiresInMs: TOKEN_MS })
  return { url: server.url, token, whose: 'a server of its own, gone afterwards' }
}
