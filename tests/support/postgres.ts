/** A Postgres cluster of its own, on a Unix socket in a temporary folder; nothing listens on the network. */
import { chmodSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryFolder } from './server.ts'

export interface PostgresCluster extends AsyncDisposable {
  /** A fresh, empty database. */
  createDatabase(): Promise<string>
}

export async function startPostgres(bin: string): Promise<PostgresCluster> {
  const folder = temporaryFolder()
  // The server refuses to run as root; its own user must reach the folder.
  const asRoot = process.getuid?.() === 0
  chmodSync(folder.path, 0o755)
  const home = join(folder.path, 'pg')
  mkdirSync(home)
  if (asRoot) await run(['chown', 'postgres', home])
  const data = join(home, 'data')
  const pg = (...words: string[]) => run(asRoot ? ['setpriv', ...asPostgres, '--', ...words] : words)
  await pg(join(bin, 'initdb'), '-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '-N')
  const settings = `-c listen_addresses= -c unix_socket_directories=${home} -c fsync=off -c max_connections=50`
  await pg(join(bin, 'pg_ctl'), '-D', data, '-w', '-l', join(home, 'log'), '-o', settings, 'start')
  let serial = 0
  return {
    async createDatabase() {
      const name = `test_${(serial += 1)}`
      await pg(join(bin, 'createdb'), '-h', home, '-U', 'postgres', name)
      return `postgres://postgres@localhost/${name}?host=${encodeURIComponent(home)}`
    },
    async [Symbol.asyncDispose]() {
      await pg(join(bin, 'pg_ctl'), '-D', data, '-w', '-m', 'immediate', 'stop')
      folder[Symbol.dispose]()
    },
  }
}

const asPostgres = ['--reuid=postgres', '--regid=postgres', '--clear-groups']

async function run(words: readonly string[]): Promise<void> {
  const child = Bun.spawn([...words], { stdin: 'ignore', stdout: 'ignore', stderr: 'pipe', cwd: '/' })
  const complaint = new Response(child.stderr).text()
  if ((await child.exited) !== 0) throw new Error(`${words.join(' ')}: ${await complaint}`)
}
