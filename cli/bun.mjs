/** Runs the pinned Bun under Node: finds its binary where npm left it, install scripts run or not. */
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'

const modules = join(import.meta.dirname, '..', 'node_modules')
const platformFolder = join(modules, '@oven')
const candidates = [
  join(modules, 'bun', 'bin', 'bun.exe'),
  ...(existsSync(platformFolder) ? readdirSync(platformFolder) : []).map((name) =>
    join(platformFolder, name, 'bin', process.platform === 'win32' ? 'bun.exe' : 'bun'),
  ),
]
// Without its install script the package holds a placeholder of a few hundred bytes.
const binary = candidates.find((path) => existsSync(path) && statSync(path).size > 1_000_000)
if (!binary) {
  console.error('lightwire: the npm package "bun" is not installed here; run "npm install" first.')
  process.exit(1)
}

const child = spawn(binary, process.argv.slice(2), { stdio: 'inherit' })
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
child.on('exit', (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)))
