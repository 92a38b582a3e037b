/** `npm run test:contract -- --seed N --cases N`: Schemathesis, a generator that is not ours, over openapi.yaml and a server. */
import { existsSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { projectRoot, startProcess, tokenOf } from '../support/process.ts'
import { temporaryFolder } from '../support/server.ts'

const VERSION = '4.32.5'
const INSTALL_SECONDS_MAX = 300
const RUN_SECONDS_MAX = 1800

/**
 * A request that waits half a minute tells nothing new, and a stream is read until it ends, which it does not. A method that `claim` has not is taken as one of
 * `/api/jobs/{id}`, whose id is then wrong. Between operations Schemathesis hands the job that an error report names,
 * which may be anybody's, to the routes of our own jobs. Its keys come again with other bodies (422), its cursors are of
 * no journal (410), and that a query's text is JSON of a schema it does not see; a head over 16 KB is Bun's to refuse. A broadcast
 * whose type it took from the catalogue is an event, and needs the event's fields.
 */
const config = `hooks = "hooks.py"

[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", "401", "403", "404", "409", "410", "422", "429", "5xx"]

[[operations]]
include-path = "/api/jobs/claim"
parameters = { "query.wait" = 0 }
checks = { unsupported_method = { enabled = false } }

[[operations]]
include-path = "/api/websocket/broadcast"
checks = { positive_data_acceptance = { enabled = false } }

[[operations]]
include-name = "GET /api/events"
parameters = { "query.wait" = 0 }

[operations.checks]
positive_data_acceptance = { enabled = false }
negative_data_rejection = { expected-statuses = ["400", "401", "403", "404", "410", "431"] }
status_code_conformance = { enabled = false }

[[operations]]
include-path = "/api/events/stream"
enabled = false

[phases.stateful.checks]
positive_data_acceptance = { enabled = false }
`

/** No schema says of every key, however deep, that it must not be this one. */
const hooks = `import json
import schemathesis


@schemathesis.hook
def filter_body(context, body):
    return "__proto__" not in json.dumps(body, default=str)
`

const { values } = parseArgs({
  args: process.argv.slice(2),
  options: {
    seed: { type: 'string', default: '1' },
    /** Per operation. */
    cases: { type: 'string', default: '200' },
  },
})

/** Its own folder in the user's cache, made once per version. */
async function install(): Promise<string> {
  const caches = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache')
  const folder = join(caches, 'lightwire', `schemathesis-${VERSION}`)
  const program = join(folder, 'bin', 'schemathesis')
  if (existsSync(program)) return program
  const steps = [
    ['python3', '-m', 'venv', folder],
    [join(folder, 'bin', 'python'), '-m', 'pip', 'install', '--quiet', `schemathesis==${VERSION}`],
  ]
  for (const command of steps) {
    console.error(`contract: ${command.join(' ')}`)
    if (await runs(command, { seconds: INSTALL_SECONDS_MAX })) continue
    // Half of it would be taken for all of it the next time.
    rmSync(folder, { recursive: true, force: true })
    throw new Error('Schemathesis cannot be had here: it needs python3 with venv, and a package index')
  }
  return program
}

async function runs(
  command: string[],
  { seconds, cwd = projectRoot }: { seconds: number; cwd?: string },
): Promise<boolean> {
  if (Bun.which(command[0] ?? '') === null) return false
  const output = { stdin: 'ignore', stdout: 'inherit', stderr: 'inherit' } as const
  const child = Bun.spawn(command, { ...output, cwd, timeout: seconds * 1000 })
  return (await child.exited) === 0
}

const program = await install()
using folder = temporaryFolder()
using scratch = temporaryFolder()
const server = await startProcess({ folder: folder.path })
const configPath = join(scratch.path, 'schemathesis.toml')
await Bun.write(configPath, config)
await Bun.write(join(scratch.path, 'hooks.py'), hooks)
const token = await tokenOf(folder.path)
// One worker: CPython 3.11 counts the depth of its parser wrongly between threads (python/cpython#106905).
// No --checks: all of them are the default, and naming them here would undo what the configuration leaves out.
const words = `run --url ${server.url} --max-examples ${values.cases} --seed ${values.seed} --workers 1`
const holds = await runs(
  [program, '--config-file', configPath, ...words.split(' ')].concat(
    ['--continue-on-failure', '--no-color', '--header', `Authorization: Bearer ${token}`],
    join(projectRoot, 'openapi.yaml'),
  ),
  { seconds: RUN_SECONDS_MAX, cwd: scratch.path },
)
await server.kill('SIGTERM')
process.exitCode = holds ? 0 : 1
