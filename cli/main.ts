/** The commands of `server.ts`: serve (no word), token, check, demo, verify, doctor. */
import { findWeaknesses } from '../lib/access/setup.ts'
import { ConfigError, describeConfig, loadConfig } from '../lib/config.ts'
import type { Config } from '../lib/settings.ts'
import { endAtOnce, isStorageFault, isSyncFault } from '../lib/store/faults.ts'
import { NewerSchema } from '../lib/store/migrations.ts'
import { FolderInUse } from '../lib/store/sqlite.ts'
import { WeakSetup } from '../lib/weak-setup.ts'
import type { startServer } from '../server.ts'
import { CliFailure } from './rest-client.ts'
import { runDemo } from './demo.ts'
import { runDoctor } from './doctor.ts'
import { readOptions, UsageError } from './options.ts'
import { serve } from './serve.ts'
import { issueToken } from './token.ts'
import { verify } from './verify.ts'

const USAGE = `usage: bun run server.ts [command]
  (none)   serve
  token    --scope "events:read api:read" --subject NAME --expires 1h [--grants JSON]: prints a token signed with this
           set-up's key; with --grants and no --scope it grants those alone
  check    prints the settings in force, secrets masked, and what is too weak to start with
  demo     [--photos DIR] [--url URL --token TOKEN] [--workers N] [--pause MS]: plays a shoot over the public API
  verify   [--backup FILE]: checks the data of a stopped server, or a copy of its database, and says what holds
  doctor   --live URL [--token TOKEN]: plays a short shoot on a running server and says what holds there`

/** Runs one command; an expected no is one line on stderr and exit 1. */
export async function runCommand(words: readonly string[], start: typeof startServer): Promise<void> {
  const [command, ...rest] = words
  try {
    switch (command) {
      case undefined:
        return await serve(loadConfig(), start)
      case 'token':
        return console.log(await issueToken(loadConfig(), rest))
      case 'check':
        readOptions(rest, [])
        return check(loadConfig())
      case 'demo':
        return await runDemo(loadConfig(), rest, start)
      case 'verify':
        return process.exit((await verify(loadConfig(), rest)) ? 0 : 1)
      case 'doctor':
        return await runDoctor(loadConfig(), rest)
      case 'help':
      case '--help':
      case '-h':
        return console.log(USAGE)
      default:
        throw new UsageError(USAGE)
    }
  } catch (error) {
    const expected = [ConfigError, WeakSetup, FolderInUse, NewerSchema, UsageError, CliFailure].some(
      (kind) => error instanceof kind,
    )
    const message = error instanceof Error ? error.message : String(error)
    const { code, syscall } = (error ?? {}) as { readonly code?: string; readonly syscall?: string }
    const inUse = code === 'EADDRINUSE'
    const cannotListen = syscall === 'listen' && !inUse
    if (!expected && !inUse && !isStorageFault(error)) throw error
    const where =
      expected || inUse
        ? ''
        : cannotListen
          ? 'HOST and PORT are no address to listen on here: '
          : 'the data cannot be used: '
    console.error(`lightwire: ${where}${message}`)
    if (isSyncFault(error)) endAtOnce()
    process.exit(1)
  }
}

/** Prints the settings in force, and after them what is too weak to start with. */
function check(config: Config): void {
  console.log(describeConfig(config).join('\n'))
  const weaknesses = findWeaknesses(config)
  for (const weakness of weaknesses) console.error(`lightwire: ${weakness}`)
  if (weaknesses.length > 0) process.exitCode = 1
}
