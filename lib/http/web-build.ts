/** Builds the web app from its sources, in memory: every file that its page needs, by the path it is served at. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Glob } from 'bun'

/** A file of the app; one whose name holds its hash never changes. */
export interface WebFile {
  readonly type: string
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly hashed: boolean
}

const minified = {
  minify: true,
  target: 'browser',
  define: { 'process.env.NODE_ENV': '"production"' },
  jsx: { runtime: 'automatic', development: false },
} as const

/**
 * The files of a folder with an `index.html` (its script and styles are bundled), a `src/sw.ts` and a `public/` that is
 * served as it is at the root; none where there is no page. In the service worker `SHELL` is the list of the paths that
 * the page needs and `BUILD` a text that differs from build to build. It throws where the sources are faulty.
 */
export async function buildWebApp(folder: string): Promise<ReadonlyMap<string, WebFile>> {
  const page = join(folder, 'index.html')
  const files = new Map<string, WebFile>()
  if (!existsSync(page)) return files
  for (const [path, file] of await publicFiles(join(folder, 'public'))) files.set(path, file)
  const { outputs } = await Bun.build({
    ...minified,
    entrypoints: [page],
    splitting: true,
    publicPath: '/',
    naming: {
      entry: '[name].[ext]',
      chunk: 'assets/[name]-[hash].[ext]',
      asset: 'assets/[name]-[hash].[ext]',
    },
    plugins: [{ name: 'public files stay where they are', setup: keepPublic }],
  })
  for (const output of outputs) {
    const path = output.path.replace(/^\.?\/*/, '/')
    const file = {
      type: output.type,
      bytes: new Uint8Array(await output.arrayBuffer()),
      hashed: path.startsWith('/assets/'),
    }
    files.set(path === '/index.html' ? '/' : path, file)
  }
  const worker = join(folder, 'src', 'sw.ts')
  if (existsSync(worker)) files.set('/sw.js', await buildWorker(worker, files))
  return files
}

async function buildWorker(path: string, shell: ReadonlyMap<string, WebFile>): Promise<WebFile> {
  const hash = new Bun.CryptoHasher('sha256')
  for (const [name, { bytes }] of shell) hash.update(name).update(bytes)
  const define = {
    ...minified.define,
    SHELL: JSON.stringify([...shell.keys()]),
    BUILD: JSON.stringify(hash.digest('hex').slice(0, 16)),
  }
  const { outputs } = await Bun.build({ ...minified, entrypoints: [path], format: 'iife', define })
  const [output] = outputs
  if (!output) throw new Error('the service worker was built into nothing')
  return { type: output.type, bytes: new Uint8Array(await output.arrayBuffer()), hashed: false }
}

async function publicFiles(folder: string): Promise<[string, WebFile][]> {
  if (!existsSync(folder)) return []
  const names = [...new Glob('**/*').scanSync(folder)].toSorted()
  return await Promise.all(
    names.map(async (name): Promise<[string, WebFile]> => {
      const file = Bun.file(join(folder, name))
      return [`/${name.replaceAll('\\', '/')}`, { type: file.type, bytes: await file.bytes(), hashed: false }]
    }),
  )
}

/** What the page names by an absolute path (`/manifest.webmanifest`) is a public file, nothing to bundle. */
function keepPublic(build: Bun.PluginBuilder): void {
  build.onResolve({ filter: /^\// }, ({ path, importer }) =>
    importer === '' ? undefined : { path, external: true },
  )
}
