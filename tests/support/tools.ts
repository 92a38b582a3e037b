/** Programs that tests use beyond npm's: where each lies on this machine, undefined where it is missing. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

const POSTGRES_VERSIONS = '/usr/lib/postgresql'
const DEBIAN_PYTHON = '/usr/bin/python3'

/** Debian's packages of each tool, and how it is looked up. */
const lookups = {
  /** The folder that holds initdb and postgres. */
  postgresBin: { packages: ['postgresql'], find: findPostgres },
  /** A Python that has websockets and msgpack. */
  python: { packages: ['python3', 'python3-websockets', 'python3-msgpack'], find: findPython },
  /** A C compiler that finds the headers of libc. */
  cc: { packages: ['gcc', 'libc6-dev'], find: findCompiler },
  curl: { packages: ['curl'], find: () => Bun.which('curl') ?? undefined },
  node: { packages: ['nodejs'], find: () => Bun.which('node') ?? undefined },
} as const satisfies Record<string, { packages: readonly string[]; find: () => string | undefined }>

export type ToolName = keyof typeof lookups
export const toolNames = Object.keys(lookups) as readonly ToolName[]

/** Debian's packages that bring a tool. */
export function packagesOf(name: ToolName): readonly string[] {
  return lookups[name].packages
}

/** Looked up when asked for: `tools.python`. */
export const tools: { readonly [N in ToolName]: string | undefined } = {
  get postgresBin() {
    return lookups.postgresBin.find()
  },
  get python() {
    return lookups.python.find()
  },
  get cc() {
    return lookups.cc.find()
  },
  get curl() {
    return lookups.curl.find()
  },
  get node() {
    return lookups.node.find()
  },
}

/** Debian keeps them out of PATH, a folder per version; the newest that is whole. */
function findPostgres(): string | undefined {
  const versions = existsSync(POSTGRES_VERSIONS) ? readdirSync(POSTGRES_VERSIONS) : []
  const folders = versions
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => join(POSTGRES_VERSIONS, version, 'bin'))
  const inPath = Bun.which('initdb')
  if (inPath !== null) folders.push(join(inPath, '..'))
  return folders.find((folder) => ['initdb', 'postgres'].every((name) => existsSync(join(folder, name))))
}

function findPython(): string | undefined {
  const has =
    'from importlib.util import find_spec as f; raise SystemExit(not (f("websockets") and f("msgpack")))'
  // -I: no PYTHONPATH, no user site; what is tested is the distribution's.
  const works = existsSync(DEBIAN_PYTHON) && Bun.spawnSync([DEBIAN_PYTHON, '-I', '-c', has]).success
  return works ? DEBIAN_PYTHON : undefined
}

function findCompiler(): string | undefined {
  if (process.platform === 'linux' && !existsSync('/usr/include/stdio.h')) return undefined
  return Bun.which('gcc') ?? Bun.which('cc') ?? undefined
}
