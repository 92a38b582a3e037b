/** What a machine can hold of the house rules: who imports whom, one home per package, sizes, circles, loose types. */
import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { Glob } from 'bun'
import { projectRoot } from './support/process.ts'

interface Source {
  readonly path: string
  readonly text: string
  readonly lines: number
  /** Paths inside the project, and package names. */
  readonly imports: readonly string[]
}

// Bun's Glob finds nothing for "{server.ts,lib/**/*.ts}": braces and ** do not go together.
const globs = ['server.ts', 'lib/**/*.ts', 'cli/**/*.ts', 'clients/typescript/src/*.ts']
const webGlobs = ['clients/web/src/**/*.ts', 'clients/web/src/**/*.tsx']
const paths = [...globs, ...webGlobs].flatMap((glob) => [...new Glob(glob).scanSync(projectRoot)])
/** Written from the catalogue. */
const generated: ReadonlySet<string> = new Set(['clients/typescript/src/events.ts'])
const sources = paths.toSorted().map(read)

test('the rules look at every source file', () => {
  expect(sources.length).toBeGreaterThan(60)
  expect(sources.flatMap(({ imports }) => imports).length).toBeGreaterThan(200)
})

function read(path: string): Source {
  const text = readFileSync(join(projectRoot, path), 'utf8')
  // Both forms of import, types counted, and dynamic ones.
  const names = [
    ...text.matchAll(/(?:^(?:import|export)\b[^'"`;]*?from |^import |\bimport\()['"]([^'"]+)['"]/gm),
  ]
  const imports = names.map(([, name = '']) =>
    name.startsWith('.') ? relative(projectRoot, join(projectRoot, dirname(path), name)) : name,
  )
  return { path, text, lines: text.split('\n').length - 1, imports }
}

const part = (path: string) =>
  path.startsWith('lib/')
    ? path.split('/')[2]
      ? (path.split('/')[1] ?? '')
      : 'leaf'
    : (/^(cli|clients\/web|clients)\//.exec(path)?.[1] ?? 'root')

/** Part → parts it may import beside its own. */
const mayImport: Record<string, readonly string[]> = {
  protocol: [],
  leaf: ['protocol'],
  access: ['protocol', 'leaf'],
  store: ['protocol', 'leaf', 'access'],
  domain: ['protocol', 'leaf', 'access', 'store'],
  realtime: ['protocol', 'leaf', 'access'],
  transport: ['protocol', 'leaf', 'access', 'store', 'domain', 'realtime'],
  http: ['protocol', 'leaf', 'access', 'store', 'domain', 'realtime'],
  cli: ['protocol', 'leaf', 'access', 'store', 'domain', 'realtime', 'http', 'root'],
  // Whoever uses a client has nothing of the server: what they share is written down in PROTOCOL.md, and generated.
  clients: [],
  'clients/web': ['clients'],
  root: ['protocol', 'leaf', 'access', 'store', 'domain', 'realtime', 'transport', 'http', 'cli'],
}

test('imports point down only, and siblings never import each other', () => {
  const wrong = sources.flatMap(({ path, imports }) =>
    imports.flatMap((name) => {
      if (!/\.tsx?$/.test(name)) return []
      const [from, to] = [part(path), part(name)]
      return from === to || mayImport[from]?.includes(to) ? [] : [`${path} → ${name}`]
    }),
  )

  expect(wrong).toEqual([])
})

test('there is no circle of imports, types counted', () => {
  const graph = new Map(
    sources.map(({ path, imports }) => [path, imports.filter((name) => /\.tsx?$/.test(name))]),
  )
  const circles: string[] = []
  const done = new Set<string>()
  const visit = (path: string, trail: readonly string[]) => {
    if (trail.includes(path))
      return void circles.push([...trail.slice(trail.indexOf(path)), path].join(' → '))
    if (done.has(path)) return
    for (const next of graph.get(path) ?? []) visit(next, [...trail, path])
    done.add(path)
  }
  // The commands import the type of what starts them; the root reaches them by name only when it is run.
  graph.set(
    'server.ts',
    (graph.get('server.ts') ?? []).filter((name) => !name.startsWith('cli/')),
  )
  for (const path of graph.keys()) visit(path, [])

  expect(circles).toEqual([])
})

const homes: Record<string, RegExp> = {
  jose: /^lib\/access\/tokens\.ts$/,
  msgpackr: /^(lib\/protocol\/codec|clients\/typescript\/src\/frames)\.ts$/,
  react: /^clients\/(typescript\/src\/react\.ts|web\/)/,
  'react-dom/client': /^clients\/web\/src\/main\.tsx$/,
  uplot: /^clients\/web\/src\/views\/chart\.tsx$/,
  uqr: /^clients\/web\/src\/views\/qr\.tsx$/,
  kysely: /^lib\/(store|domain)\//,
  'kysely/migration': /^lib\/store\//,
  pg: /^lib\/store\//,
  'bun:sqlite': /^lib\/store\//,
  hono: /^lib\/http\//,
  'hono/cors': /^lib\/http\//,
  '@hono/zod-validator': /^lib\/http\//,
  'zod-openapi': /^lib\/http\//,
  'prom-client': /^lib\/metrics\.ts$/,
  sharp: /^lib\/http\/thumbnails\.ts$/,
  pino: /^lib\/logger\.ts$/,
  bun: /^lib\/(transport|http)\//,
  zod: /^(lib|cli)\//,
}

test('each package has one home', () => {
  const wrong = sources.flatMap(({ path, imports }) =>
    imports.flatMap((name) => {
      if (/\.tsx?$/.test(name) || name.endsWith('.json') || name.startsWith('node:')) return []
      return homes[name]?.test(path) ? [] : [`${path} imports ${name}`]
    }),
  )

  expect(wrong).toEqual([])
})

test('process.env is read in config.ts only, Bun.serve in server.ts only', () => {
  // A bundler is told what stands for this name in somebody else's code.
  const defined = "'process.env.NODE_ENV':"
  const using = (what: string) =>
    sources.flatMap(({ path, text }) => (text.replace(defined, '').includes(what) ? [path] : []))

  expect(using('process.env')).toEqual(['lib/config.ts'])
  expect(using('Bun.serve<')).toEqual(['server.ts'])
})

test('protocol is pure: no clock, no I/O, no randomness', () => {
  const impure = /Date\.now|new Date\(\)|performance\.|Math\.random|node:(fs|net|crypto)|setTimeout|fetch\(/
  const wrong = sources.filter(({ path, text }) => path.startsWith('lib/protocol/') && impure.test(text))

  expect(wrong.map(({ path }) => path)).toEqual([])
})

test('a file has at most 300 lines and opens with a sentence that says what it is', () => {
  const long = sources.filter(({ path, lines }) => lines > 300 && !generated.has(path))
  const silent = sources.filter(({ text }) => !/^\/\*\* .+[.:!?;…a-z] ?\*?\/?/.test(text))

  expect(long.map(({ path, lines }) => `${path}: ${lines}`)).toEqual([])
  expect(silent.map(({ path }) => path)).toEqual([])
})

test('there are no barrels, default exports, enums, loose types or mutable state of modules', () => {
  const rules: [string, RegExp][] = [
    ['default export', /^export default/m],
    ['enum', /^(export )?(const )?enum /m],
    ['any', /\bas any\b|: any\b|<any>/],
    ['silenced compiler', /@ts-(ignore|expect-error|nocheck)/],
    ['non-null assertion', /[A-Za-z\])]!\./],
    ['mutable module state', /^(export )?(let|var) /m],
  ]
  const wrong = sources.flatMap(({ path, text }) =>
    rules.flatMap(([name, pattern]) => (pattern.test(text) ? [`${path}: ${name}`] : [])),
  )

  expect(wrong).toEqual([])
  expect(sources.filter(({ path }) => path.endsWith('index.ts'))).toEqual([])
})
