/** The commands of `server.ts`: serve (no word), token, check, demo, doctor. */
import { WeakSetup } from '../lib/access/keys.ts'
import { ConfigError, describeConfig, loadConfig } from '../lib/config.ts'
import { isStorageFault } from '../lib/store/faults.ts'
import { FolderInUse } from '../lib/store/sqlite.ts'
import type { startServer } from '../server.ts'
import { CliFailure } from './rest-client.ts'
import { runDemo } from './demo.ts'
import { runDoctor } from './doctor.ts'
import { readOptions, UsageError } from './options.ts'
import { serve } from './serve.ts'
import { issueToken } from './token.ts'

const USAGE = `usage: bun run server.ts [command]
  (none)   serve
  token    --scope "events:read api:read" --subject NAME --expires 1h: prints a token signed with this set-up's key
  check    prints the settings in force, secrets masked
  demo     [--photos DIR] [--url URL --token TOKEN] [--workers N]: plays a shoot over the public API
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
        return console.log(describeConfig(loadConfig()).join('\n'))
      case 'demo':
        return await runDemo(loadConfig(), rest, start)
      case 'doctor':
        return await runDoctor(loadConfig(), rest)
      default:
        throw new UsageError(USAGE)
    }
  } catch (error) {
    const expected = [ConfigError, WeakSetup, FolderInUse, UsageError, CliFailure].some(
      (kind) => error instanceof kind,
    )
    const code = (error as { code?: string } | null)?.code
    if (!expected && code !== 'EADDRINUSE' && !isStorageFault(error)) throw error
    console.error(`lightwire: ${error instanceof Error ? error.message : String(error)}`)
    process.exit(1)
  }
}
