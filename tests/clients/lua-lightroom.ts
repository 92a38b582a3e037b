/** Lightroom with the plug-in in it: the stand-in as a process, and what it says. */
import { join } from 'node:path'
import { projectRoot } from '../support/process.ts'

export interface Line {
  readonly path?: string
  readonly preset?: string
  readonly pickStatus?: number
  readonly initialized?: true
  readonly aborted?: true
  readonly shown?: string
}

export interface Lightroom extends AsyncDisposable {
  readonly lines: readonly Line[]
  /** What it logged. */
  readonly log: string[]
  run(file: string): void
  /** So many writes to come find the catalog busy. */
  occupy(times: number): void
  /** What is entered in the Plug-in Manager. */
  settle(url: string, token: string): void
  /** Resolves with the exit code and how long that took. */
  quit(): Promise<{ code: number; ms: number }>
  until(holds: (lines: readonly Line[]) => boolean): Promise<void>
}

export async function startLightroom(lua: string, prefs: string, token: string): Promise<Lightroom> {
  const lines: Line[] = []
  const log: string[] = []
  const looking = new Set<() => void>()
  const connected = Promise.withResolvers<Bun.Socket>()
  const over = Promise.withResolvers<void>()
  let rest = ''
  const listener = Bun.listen({
    hostname: '127.0.0.1',
    port: 0,
    socket: {
      open: (socket) => connected.resolve(socket),
      close: () => over.resolve(),
      data(_socket, bytes) {
        const whole = (rest + bytes.toString()).split('\n')
        rest = whole.pop() ?? ''
        lines.push(...whole.map((line) => JSON.parse(line) as Line))
        for (const look of looking) look()
      },
    },
  })
  const program = join(projectRoot, 'tests', 'clients', 'lightroom', 'plugin.lua')
  const child = Bun.spawn([lua, program, projectRoot, String(listener.port), prefs, token], {
    stdout: 'ignore',
    stderr: 'pipe',
  })
  void new Response(child.stderr).text().then((text) => log.push(...text.split('\n')))
  const socket = await connected.promise
  const lightroom: Lightroom = {
    lines,
    log,
    run: (file) => void socket.write(`run ${file}\n`),
    occupy: (times) => void socket.write(`busy ${times}\n`),
    settle: (url, given) => void socket.write(`settings ${url} ${given}\n`),
    async quit() {
      const began = performance.now()
      socket.write('quit\n')
      const code = await child.exited
      const ms = performance.now() - began
      await over.promise
      return { code, ms }
    },
    async until(holds) {
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      const look = () => holds(lines) && resolve()
      looking.add(look)
      look()
      const gone = (reason: string) => reject(new Error(`${reason}: ${JSON.stringify(lines.slice(-20))}`))
      const late = setTimeout(() => gone('late'), 30_000)
      void child.exited.then((code) => gone(`ended with ${code}, ${log.join('\n')}`))
      await promise.finally(() => clearTimeout(late))
      looking.delete(look)
    },
    async [Symbol.asyncDispose]() {
      child.kill()
      await child.exited
      listener.stop(true)
    },
  }
  await lightroom.until((all) => all.some(({ initialized }) => initialized))
  return lightroom
}

/** The flags that the catalog was given, in order. */
export const flags = (lines: readonly Line[]) =>
  lines.flatMap(({ pickStatus, path }) => (pickStatus === undefined ? [] : [`${path} ${pickStatus}`]))

/** Preferences with the address and whether the worker is on. */
export async function prefsFile(folder: string, url: string, worker = true): Promise<string> {
  const file = join(folder, 'preferences.lua')
  await Bun.write(file, `return {url=${JSON.stringify(url)},worker=${worker}}`)
  return file
}
