/** `server.ts`: serves until a signal, and says on one screen how to reach it. */
import { constants } from 'node:os'
import { resolve } from 'node:path'
import { hasSecret } from '../lib/access/keys.ts'
import { FULL_SCOPE } from '../lib/access/rights.ts'
import type { Config } from '../lib/settings.ts'
import { version } from '../package.json' with { type: 'json' }
import type { LightwireServer, startServer } from '../server.ts'

const FIRST_TRY_MS = 3_600_000
/** What a reader of the log gets for the last lines. */
const LAST_LINES_MS = 1000

export async function serve(config: Config, start: typeof startServer): Promise<void> {
  const starting = start(config)
  // From the first moment on: a signal that comes while the server starts ends it properly too.
  let stopping = false
  let running: LightwireServer | undefined
  const leave = (code: number): never => {
    running?.log.drop()
    process.exit(code)
  }
  const stop = async (signal: 'SIGINT' | 'SIGTERM') => {
    // The shell's way to say that a signal ended a process. Whatever was acknowledged is on the disk.
    if (stopping) leave(128 + constants.signals[signal])
    stopping = true
    setTimeout(() => {
      process.stderr.write('lightwire: DRAIN_DEADLINE has passed; ending now\n')
      leave(1)
    }, config.DRAIN_DEADLINE)
    const server = (running = await starting)
    server.log.info({ signal }, 'stopping')
    try {
      await server.drain()
      await server[Symbol.asyncDispose]()
    } catch (error) {
      server.report(error)
      await server.log.finish(LAST_LINES_MS)
      leave(1)
    }
    await server.log.finish(LAST_LINES_MS)
    leave(0)
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void stop(signal))
  const server = (running = await starting)
  // Handlers are guarded one by one; this is the last resort, so that a slip costs a log line and not the process.
  process.on('uncaughtException', server.report)
  process.on('unhandledRejection', server.report)
  process.stderr.write(`${await startScreen(server)}\n`)
}

/** How to run Bun here: npm's scripts have it on their PATH, the shell that called npm has not. */
function bunCommand(): string {
  const found = Bun.which('bun')
  return found === null || found.includes('node_modules') ? 'node cli/bun.mjs' : 'bun'
}

/** Where a browser on this machine finds the server. */
function pageUrl({ PUBLIC_URL }: Config, url: string): string {
  return PUBLIC_URL?.replace(/\/$/, '') ?? url.replace(/\/\/(0\.0\.0\.0|\[::\])(?=:)/, '//127.0.0.1')
}

async function startScreen({ config, url, issueToken }: LightwireServer): Promise<string> {
  const socket = `${url.replace(/^http/, 'ws')}/ws`
  const data = config.DATABASE_URL === undefined ? resolve(config.DATA_DIR) : 'Postgres (DATABASE_URL)'
  const auth =
    config.AUTH === 'off'
      ? 'off: everybody on this machine may do everything'
      : `JWT, ${tokenKeys(config).join(', or ')}`
  // A token belongs on a screen that somebody looks at, not into a log.
  const watched = process.stderr.isTTY && config.AUTH !== 'off' && hasSecret(config)
  const token = watched
    ? await issueToken({ subject: 'first-try', scope: FULL_SCOPE, expiresInMs: FIRST_TRY_MS })
    : undefined
  const lines = [
    '',
    `  Lightwire ${version}`,
    '',
    // In the fragment: browsers send that to nobody.
    `  open      ${pageUrl(config, url)}/${token === undefined ? '' : `#token=${token}`}`,
    '',
    `  REST      ${url}/api`,
    `  events    ${socket}`,
    `  data      ${data}`,
    `  clients   ${auth}`,
    `  docs      ${url}/docs`,
    ...(hasSecret(config)
      ? [
          `  a token   ${bunCommand()} run server.ts token --scope "events:read api:read" --subject NAME --expires 1h`,
        ]
      : []),
  ]
  if (process.stderr.isTTY && (config.AUTH === 'off' || token !== undefined)) {
    const bearer = token === undefined ? '' : ` -H "Authorization: Bearer ${token}"`
    lines.push(
      '',
      `  ${token === undefined ? 'first try' : 'first try, with a token good for an hour, as the link above is'}:`,
      `  npx wscat -c ${socket}${bearer}`,
      '  then send: {"type":"subscribe","channels":["jobs","photos","sessions"]}',
    )
  }
  return `${lines.join('\n')}\n`
}

/** Which keys a token may be signed with. */
function tokenKeys(config: Config): string[] {
  const { JWT_SECRET, JWT_PREVIOUS_SECRET, JWT_ISSUER = '', JWKS_URL, JWKS_FILE } = config
  const generated = JWT_SECRET === undefined && hasSecret(config)
  return [
    ...(JWT_SECRET === undefined ? [] : ['HS256 with JWT_SECRET']),
    ...(generated ? ['HS256 with the secret generated into the data folder'] : []),
    ...(JWT_PREVIOUS_SECRET === undefined ? [] : ['HS256 with JWT_PREVIOUS_SECRET']),
    ...(JWKS_URL === undefined && JWKS_FILE === undefined ? [] : [`of the issuer ${JWT_ISSUER}`]),
  ]
}
