/** A copy of the project in which a page of docs/ is followed: only what the page names may be edited there. */
import { cpSync, existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { projectRoot, startProcess, tokenOf } from '../support/process.ts'
import { temporaryFolder } from '../support/server.ts'

const parts = [
  'server.ts',
  'lib',
  'cli',
  'bench',
  'tests',
  'docs',
  'package.json',
  'tsconfig.json',
  'bunfig.toml',
]
const written = ['README.md', 'PROTOCOL.md', 'CHANGELOG.md', 'openapi.yaml', 'asyncapi.yaml']

export const readPage = (page: string) => readFileSync(join(projectRoot, page), 'utf8')

/** Files that a page names. */
export function pathsIn(page: string): string[] {
  return [...readPage(page).matchAll(/(?:[\w.-]+\/)*[\w.-]+\.(?:ts|md|yaml|json)\b/g)].map(([path]) => path)
}

/** What a page says to run: names of scripts. */
export function scriptsIn(page: string): string[] {
  return [...readPage(page).matchAll(/npm (?:run )?([\w:-]+)/g)].map(([, name = '']) => name)
}

interface Ran {
  readonly code: number
  readonly output: string
}

interface Documents {
  readonly openapi: {
    readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly responses: object }>>>>
    readonly components: { readonly schemas: Readonly<Record<string, object>> }
  }
  readonly asyncapi: { readonly components: { readonly messages: object; readonly schemas: object } }
}

export type Copy = Awaited<ReturnType<typeof copyFor>>

export async function copyFor(page: string) {
  const folder = temporaryFolder()
  const root = folder.path
  const named = new Set(pathsIn(page))
  for (const name of [...parts, ...written]) {
    cpSync(join(projectRoot, name), join(root, name), { recursive: true })
  }
  symlinkSync(join(projectRoot, 'node_modules'), join(root, 'node_modules'))

  async function run(...args: readonly string[]): Promise<Ran> {
    const { PATH = '', HOME = '', TMPDIR = '/tmp' } = process.env
    const child = Bun.spawn([process.execPath, ...args], {
      cwd: root,
      env: { PATH, HOME, TMPDIR },
      stdout: 'pipe',
      stderr: 'pipe',
    })
    const texts = await Promise.all([child.stdout.text(), child.stderr.text()])
    return { code: await child.exited, output: texts.join('\n') }
  }

  /** Changes the one place that has these words. @throws when the page does not name the file */
  function replace(file: string, words: string, text: string): void {
    if (!named.has(file)) throw new Error(`${page} does not name ${file}`)
    const [before, after, more] = readFileSync(join(root, file), 'utf8').split(words)
    if (before === undefined || after === undefined || more !== undefined) {
      throw new Error(`${file} is not as the test knows it: ${words}`)
    }
    writeFileSync(join(root, file), `${before}${text}${after}`)
  }

  async function typeFaults(): Promise<string[]> {
    const { output } = await run('run', 'typecheck')
    return [...output.matchAll(/^(\S+)\(\d+,\d+\): (error .*)$/gm)].map(
      ([, file, fault]) => `${file}: ${fault}`,
    )
  }
  // What was wrong before is none of the page's.
  const faultsBefore = await typeFaults()

  return {
    root,
    run,

    /** The sample of the page that begins like this. @throws when the page has none */
    sample(start: string): string {
      const samples = [...readPage(page).matchAll(/`([^`]+)`/g)].map(([, text = '']) => text)
      const found = samples.find((text) => text.startsWith(start))
      if (found === undefined) throw new Error(`${page} has no sample that begins with ${start}`)
      return found
    },

    replace,
    insert: (file: string, after: string, text: string) => replace(file, after, `${after}${text}`),

    /** A new file of the copy's reader, who tries what was added. */
    probe(file: string, text: string): void {
      if (existsSync(join(root, file))) throw new Error(`${file} is there already`)
      writeFileSync(join(root, file), text)
    },

    /** What the type check finds since the copy was made, each as `file: message`. */
    async newTypeFaults(): Promise<string[]> {
      return (await typeFaults()).filter((fault) => !faultsBefore.includes(fault))
    },

    /** Runs the tests of a file whose names have these words. */
    test: (file: string, words: string) => run('test', `./${file}`, '-t', words),

    /** The documents as they lie in the copy. */
    documents: () =>
      ({
        openapi: Bun.YAML.parse(readFileSync(join(root, 'openapi.yaml'), 'utf8')),
        asyncapi: Bun.YAML.parse(readFileSync(join(root, 'asyncapi.yaml'), 'utf8')),
      }) as Documents,

    [Symbol.dispose]: () => folder[Symbol.dispose](),
  }
}

/** The copy's server as a process of its own, met with the copy's own client, which checks frames by its schemas. */
export async function serve(root: string) {
  const folder = temporaryFolder()
  const server = await startProcess({ folder: folder.path, root })
  const { createApi } = (await import(
    join(root, 'tests/support/api.ts')
  )) as typeof import('../support/api.ts')
  const { TestClient } = (await import(
    join(root, 'tests/support/client.ts')
  )) as typeof import('../support/client.ts')
  const token = await tokenOf(folder.path)
  const apiAs = (other: string | undefined) => createApi(() => server.url, other)
  const client = new TestClient({ url: `${server.url.replace('http', 'ws')}/ws`, token })
  await client.opened
  return {
    api: apiAs(token),
    apiAs,
    client,
    async tokenFor(scope: string): Promise<string> {
      const input = { subject: 'reader', scope, expires_in: 60 }
      return (await apiAs(token)<{ token: string }>('POST', '/api/tokens', input)).body.token
    },
    async [Symbol.asyncDispose]() {
      client.terminate()
      await server.kill()
      folder[Symbol.dispose]()
    },
  }
}
