/** Runs a script of a plug-in in the stand-in for Lightroom, with the client's files beside it, as its README says. */
import { copyFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { projectRoot } from '../support/process.ts'
import { temporaryFolder } from '../support/server.ts'

export const luaFolder = join(projectRoot, 'clients', 'lua')
export const pluginFolder = join(luaFolder, 'lightwire.lrplugin')
export const standInFolder = join(projectRoot, 'tests', 'clients', 'lightroom')
/** What is the plug-in's own and not the client's. */
const PLUGINS_OWN = ['plugin', 'worker', 'catalog', 'flags'].map((name) => `lightwire_${name}.lua`)

export interface Script extends AsyncDisposable {
  /** What it gave to `import("Report")`. */
  readonly reported: readonly unknown[]
  /** Its log and its dialogs. */
  readonly told: readonly string[]
  until(holds: (script: Script) => boolean): Promise<void>
  /** Resolves when it has ended by itself, without an error and without a global. */
  readonly ended: Promise<void>
}

/** @param settings what `import("Setting")` gives by name */
export function startScript(lua: string, source: string, settings: Record<string, string> = {}): Script {
  const folder = temporaryFolder()
  const files = readdirSync(pluginFolder).filter((name) => /^lightwire.*\.lua$/.test(name))
  for (const name of files.filter((own) => !PLUGINS_OWN.includes(own)))
    copyFileSync(join(pluginFolder, name), join(folder.path, name))
  const written = Bun.write(join(folder.path, 'script.lua'), source)
  const reported: unknown[] = []
  const told: string[] = []
  const looking = new Set<() => void>()
  const take = (line: string) => {
    const [, word, json = ''] = /^(\w+) (.*)$/s.exec(line) ?? []
    if (word === 'told') told.push(JSON.parse(json) as string)
    else reported.push(JSON.parse(json))
    for (const look of looking) look()
  }
  const words = Object.entries(settings).map(([name, value]) => `${name}=${value}`)
  const started = written.then(() =>
    Bun.spawn([lua, join(standInFolder, 'script.lua'), standInFolder, folder.path, 'script.lua', ...words], {
      stdout: 'pipe',
      stderr: 'pipe',
    }),
  )
  const ended = started.then(async (child) => {
    const stderr = new Response(child.stderr).text()
    let rest = ''
    const decoder = new TextDecoder()
    for await (const bytes of child.stdout) {
      const lines = (rest + decoder.decode(bytes, { stream: true })).split('\n')
      rest = lines.pop() ?? ''
      lines.forEach(take)
    }
    const code = await child.exited
    if (code !== 0) throw new Error(`ended with ${code}: ${await stderr}`)
  })
  ended.catch(() => undefined)
  const script: Script = {
    reported,
    told,
    ended,
    async until(holds) {
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      const look = () => holds(script) && resolve()
      looking.add(look)
      look()
      const gone = (reason: unknown) =>
        reject(new Error(`${String(reason)}; ${JSON.stringify(reported.slice(-10))} ${told.join('\n')}`))
      const late = setTimeout(() => gone('late'), 30_000)
      ended.then(
        () => gone('ended'),
        (error: unknown) => gone(error),
      )
      await promise.finally(() => clearTimeout(late))
      looking.delete(look)
    },
    async [Symbol.asyncDispose]() {
      const child = await started
      child.kill()
      await child.exited
      folder[Symbol.dispose]()
    },
  }
  return script
}
