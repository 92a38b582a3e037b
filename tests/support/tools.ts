/** Programs that tests use beyond npm's: where each lies on this machine, undefined where it is missing. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

const POSTGRES_VERSIONS = '/usr/lib/postgresql'
const DEBIAN_PYTHON = '/usr/bin/python3'
const quiet = { stderr: 'ignore' } as const
const DEBIAN_LUA = '/usr/bin/lua5.1'

/** Debian's packages of each tool, and how it is looked up. */
const lookups = {
  /** The folder that holds initdb and postgres. */
  postgresBin: { packages: ['postgresql'], find: findPostgres },
  /** A Python that has websockets and msgpack. */
  python: {
    packages: ['python3', 'python3-websockets', 'python3-msgpack'],
    find: () => findPython('websockets', 'msgpack'),
  },
  /** The same Python, with PyQt6 and a font to draw with. */
  pyqt: {
    packages: ['python3', 'python3-websockets', 'python3-pyqt6', 'fonts-dejavu-core'],
    find: () => findPython('websockets', 'PyQt6.QtWidgets'),
  },
  /** The same Python, with what installs a package without the network. */
  pip: {
    packages: ['python3', 'python3-websockets', 'python3-pip', 'python3-setuptools', 'python3-wheel'],
    find: () => findPython('websockets', 'pip', 'setuptools', 'wheel'),
  },
  /** A type checker that sees the packages of that Python. */
  mypy: {
    packages: ['mypy', 'python3-websockets', 'python3-pyqt6'],
    find: () =>
      findPython('mypy', 'websockets', 'PyQt6.QtWidgets') ? (Bun.which('mypy') ?? undefined) : undefined,
  },
  /** Lua as Lightroom has it, with LuaSocket, and a writer of JSON that gives an empty table as `[]`. */
  lua: { packages: ['lua5.1', 'lua-socket', 'lua-dkjson'], find: findLua },
  luac: { packages: ['lua5.1'], find: () => Bun.which('luac5.1') ?? undefined },
  luacheck: { packages: ['lua-check'], find: () => Bun.which('luacheck') ?? undefined },
  /** A C compiler that finds the headers of libc. */
  cc: { packages: ['gcc', 'libc6-dev'], find: findCompiler },
  openssl: { packages: ['openssl'], find: () => Bun.which('openssl') ?? undefined },
  /** An strace that may trace here. */
  strace: { packages: ['strace'], find: findStrace },
  /** Gives a program a terminal, and writes down what it shows there. */
  script: { packages: ['bsdutils'], find: () => Bun.which('script') ?? undefined },
  prlimit: { packages: ['util-linux'], find: () => Bun.which('prlimit') ?? undefined },
  curl: { packages: ['curl'], find: () => Bun.which('curl') ?? undefined },
  chromium: { packages: ['chromium'], find: () => Bun.which('chromium') ?? undefined },
  /** Slow headers, bodies and readers, as an outsider wrote them. */
  slowhttptest: { packages: ['slowhttptest'], find: () => Bun.which('slowhttptest') ?? undefined },
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
  get pyqt() {
    return lookups.pyqt.find()
  },
  get pip() {
    return lookups.pip.find()
  },
  get mypy() {
    return lookups.mypy.find()
  },
  get lua() {
    return lookups.lua.find()
  },
  get luac() {
    return lookups.luac.find()
  },
  get luacheck() {
    return lookups.luacheck.find()
  },
  get cc() {
    return lookups.cc.find()
  },
  get openssl() {
    return lookups.openssl.find()
  },
  get strace() {
    return lookups.strace.find()
  },
  get script() {
    return lookups.script.find()
  },
  get prlimit() {
    return lookups.prlimit.find()
  },
  get curl() {
    return lookups.curl.find()
  },
  get chromium() {
    return lookups.chromium.find()
  },
  get slowhttptest() {
    return lookups.slowhttptest.find()
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

function findPython(...modules: readonly string[]): string | undefined {
  const names = modules.map((name) => `"${name}"`).join(', ')
  const has = `from importlib.util import find_spec as f; raise SystemExit(not all(map(f, [${names}])))`
  // -I: no PYTHONPATH, no user site; what is tested is the distribution's.
  const works = existsSync(DEBIAN_PYTHON) && Bun.spawnSync([DEBIAN_PYTHON, '-I', '-c', has], quiet).success
  return works ? DEBIAN_PYTHON : undefined
}

function findLua(): string | undefined {
  const has = 'require("socket.http") require("dkjson")'
  const works = existsSync(DEBIAN_LUA) && Bun.spawnSync([DEBIAN_LUA, '-e', has], { stderr: 'ignore' }).success
  return works ? DEBIAN_LUA : undefined
}

function findCompiler(): string | undefined {
  if (process.platform === 'linux' && !existsSync('/usr/include/stdio.h')) return undefined
  return Bun.which('gcc') ?? Bun.which('cc') ?? undefined
}

/** Containers may forbid to trace. */
function findStrace(): string | undefined {
  const strace = Bun.which('strace') ?? undefined
  const works = strace !== undefined && Bun.spawnSync([strace, '-o', '/dev/null', 'true']).success
  return works ? strace : undefined
}
