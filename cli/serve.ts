/** `server.ts`: serves until a signal, and says on one screen how to reach it. */
import { resolve } from 'node:path'
import { FULL_SCOPE } from '../lib/access/rights.ts'
import type { Config } from '../lib/config.ts'
import { version } from '../package.json' with { type: 'json' }
import type { LightwireServer, startServer } from '../server.ts'

const FIRST_TRY_MS = 3_600_000

export async function serve(config: Config, start: typeof startServer): Promise<void> {
  const starting = start(config)
  // From the first moment on: a signal that comes while the server starts ends it properly too.
  let stopping = false
  const stop = async (signal: string) => {
    if (stopping) process.exit(1)
    stopping = true
    const server = await starting
    server.log.info({ signal }, 'stopping')
    try {
      await server[Symbol.asyncDispose]()
    } catch (error) {
      server.report(error)
      process.exit(1)
    }
    process.exit(0)
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void stop(signal))
  const server = await starting
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

async function startScreen({ config, url, issueToken }: LightwireServer): Promise<string> {
  const socket = `${url.replace(/^http/, 'ws')}/ws`
  const data = config.DATABASE_URL === undefined ? resolve(config.DATA_DIR) : 'Postgres (DATABASE_URL)'
  const auth =
    config.AUTH === 'off'
      ? 'off: everybody on this machine may do everything'
      : `JWT, HS256 with ${config.JWT_SECRET === undefined ? 'the secret generated into the data folder' : 'JWT_SECRET'}`
  const lines = [
    '',
    `  Lightwire ${version}`,
    '',
    `  REST      ${url}/api`,
    `  events    ${socket}`,
    `  data      ${data}`,
    `  clients   ${auth}`,
    `  docs      ${url}/docs`,
    `  a token   ${bunCommand()} run server.ts token --scope "events:read api:read" --subject NAME --expires 1h`,
  ]
  // A token belongs on a screen that somebody looks at, not into a log.
  if (process.stderr.isTTY) {
    const bearer =
      config.AUTH === 'off'
        ? ''
        : ` -H "Authorization: Bearer ${await issueToken({ subject: 'first-try', scope: FULL_SCOPE, expiresInMs: FIRST_TRY_MS })}"`
    lines.push(
      '',
      `  first try, good for an hour:  ${url}/api/system/health`,
      `  npx wscat -c ${socket}${bearer}`,
      '  then send: {"type":"subscribe","channels":["jobs","photos","sessions"]}',
    )
  }
  return `${lines.join('\n')}\n`
}
