/** `pretest`: installs what tests need beyond npm (as root, on Debian or Ubuntu), else says what is missing. */
import { packagesOf, toolNames, tools } from './tools.ts'

const APT_SECONDS_MAX = 600

const aptOptions = [
  '-q',
  '-o',
  'DPkg::Lock::Timeout=120',
  '-o',
  'Acquire::Retries=1',
  '-o',
  'Acquire::http::Timeout=30',
]

function missingTools() {
  return toolNames.filter((name) => tools[name] === undefined)
}

function apt(words: readonly string[]): boolean {
  const { success } = Bun.spawnSync(['apt-get', ...aptOptions, ...words], {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'inherit',
    timeout: APT_SECONDS_MAX * 1000,
  })
  return success
}

/** Of the packages that bring the missing tools, those that dpkg does not know as installed. */
function missingPackages(): string[] {
  const wanted = missingTools().flatMap(packagesOf)
  return wanted.filter((name) => {
    const { stdout } = Bun.spawnSync(['dpkg-query', '-W', '-f', '${db:Status-Status}', name], {
      stderr: 'ignore',
    })
    return stdout.toString() !== 'installed'
  })
}

const mayInstall = process.platform === 'linux' && process.getuid?.() === 0 && Bun.which('apt-get') !== null
if (missingTools().length > 0 && mayInstall) {
  const packages = missingPackages()
  if (packages.length > 0) {
    console.error(`pretest: installing ${packages.join(' ')}`)
    // A failed update may still leave lists that are good enough.
    apt(['update'])
    apt(['install', '-y', '--no-install-recommends', ...packages])
  }
}
const missing = missingTools()
if (missing.length > 0) {
  for (const name of missing) {
    console.error(
      `pretest: ${name} is missing (Debian and Ubuntu: apt-get install ${packagesOf(name).join(' ')})`,
    )
  }
  console.error('pretest: the tests that need it report themselves as skipped')
  if (process.env['CI'] === 'true') process.exit(1)
}
