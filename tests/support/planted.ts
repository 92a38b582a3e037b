/** A copy of the program with a fault planted in its source, to show that a checker would find it. */
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { projectRoot } from './process.ts'
import { temporaryFolder } from './server.ts'

/** One change of one file; `find` must be there exactly once. */
export interface Patch {
  readonly file: string
  readonly find: string
  readonly replace: string
}

interface Copy extends Disposable {
  readonly root: string
  /** @throws when it no longer fits */
  patch(patch: Patch): void
}

/** Copies what the server runs from, patched; removed on disposal. @throws when a patch no longer fits */
export function plant(patches: readonly Patch[]): Copy {
  const folder = temporaryFolder()
  for (const name of ['server.ts', 'package.json', 'tsconfig.json', 'lib', 'cli']) {
    cpSync(join(projectRoot, name), join(folder.path, name), { recursive: true })
  }
  symlinkSync(join(projectRoot, 'node_modules'), join(folder.path, 'node_modules'))
  const patch = ({ file, find, replace }: Patch) => {
    const path = join(folder.path, file)
    const source = readFileSync(path, 'utf8')
    if (source.split(find).length !== 2) throw new Error(`the fault no longer fits ${file}: ${find}`)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(
      path,
      source.replace(find, () => replace),
    )
  }
  for (const one of patches) patch(one)
  return { root: folder.path, patch, [Symbol.dispose]: () => folder[Symbol.dispose]() }
}
