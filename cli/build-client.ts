/** `npm run build:client`: the TypeScript client as a package, minified modules and declarations, in clients/typescript/dist. */
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const root = join(import.meta.dir, '..')
const source = join(root, 'clients', 'typescript')

/** Writes the package's `dist` into a folder. @throws with what is wrong with the sources */
export async function buildClient(folder: string): Promise<void> {
  const { outputs } = await Bun.build({
    entrypoints: ['client.ts', 'react.ts'].map((name) => join(source, 'src', name)),
    outdir: folder,
    target: 'browser',
    format: 'esm',
    minify: true,
    sourcemap: 'linked',
    // What an application has itself: a second copy of React would break its hooks.
    external: ['msgpackr', 'react', '@lightwire/client'],
  })
  await writeDeclarations(folder)
  if (outputs.length < 2) throw new Error('the client was not built')
}

async function writeDeclarations(folder: string): Promise<void> {
  const made = mkdtempSync(join(tmpdir(), 'lightwire-types-'))
  try {
    const compiler = join(root, 'node_modules', '.bin', 'tsc')
    const options = ['--noEmit', 'false', '--declaration', '--emitDeclarationOnly', '--outDir', made]
    const run = Bun.spawn([compiler, '-p', join(source, 'tsconfig.build.json'), ...options], {
      stdout: 'pipe',
    })
    const [said, code] = await Promise.all([new Response(run.stdout).text(), run.exited])
    if (code !== 0) throw new Error(`the declarations were not written:\n${said}`)
    for (const name of readdirSync(made)) {
      const path = join(made, name)
      const text = await Bun.file(path).text()
      // The compiler leaves the names of sources in.
      await Bun.write(path, text.replaceAll(/(from '\.\/[\w-]+)\.ts'/g, "$1.js'"))
    }
    cpSync(made, folder, { recursive: true })
  } finally {
    rmSync(made, { recursive: true })
  }
}

if (import.meta.main) await buildClient(join(source, 'dist'))
