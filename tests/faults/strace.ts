/** System calls that fail as told: strace attached to a running server for a while. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryFolder } from '../support/server.ts'

/** A tracer that has not let go by then is ended. */
const LATE_MS = 2000

export interface Injection {
  /** `fdatasync,fsync` */
  readonly calls: string
  /** `EIO` */
  readonly error: string
  /** Which of a thread's calls fail: `3`, `3+`, `2..5`; all without it. */
  readonly when?: string
  /** Files that the calls are about. */
  readonly paths: readonly string[]
}

export interface Injected extends AsyncDisposable {
  /** The calls seen so far, one a line; those that failed end in `(INJECTED)`. */
  calls(): string[]
  /** The calls succeed again from here on. */
  end(): Promise<void>
}

/** Attaches to a process and all of its threads; resolves when the calls fail from here on. */
export async function inject(strace: string, pid: number, injection: Injection): Promise<Injected> {
  const folder = temporaryFolder()
  const log = join(folder.path, 'calls')
  const words = ['-f', '-p', String(pid), '-o', log, ...filters(injection)]
  const tracer = Bun.spawn([strace, ...words], {
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'pipe',
  })
  const attached = Promise.withResolvers<void>()
  void watch(tracer.stderr, (said) => {
    if (said.includes(`Process ${pid} attached`)) attached.resolve()
  }).then((said) => attached.reject(new Error(`strace ended: ${said}`)))
  await attached.promise
  let ended = false
  const end = async () => {
    if (ended) return
    ended = true
    tracer.kill('SIGINT')
    // It can miss the end of a process that killed itself, and would keep that from being seen by anybody.
    const late = setTimeout(() => tracer.kill('SIGKILL'), LATE_MS)
    await tracer.exited
    clearTimeout(late)
  }
  return {
    calls: () =>
      readFileSync(log, 'utf8')
        .split('\n')
        .filter((line) => line.includes('(')),
    end,
    async [Symbol.asyncDispose]() {
      await end()
      folder[Symbol.dispose]()
    },
  }
}

/** Words in front of a command whose calls fail from its first one on; the command stays the child of whoever starts it. */
export function tracing(strace: string, injection: Injection): string[] {
  return [strace, '-D', '-f', '-qq', '-o', '/dev/null', ...filters(injection), '--']
}

function filters({ calls, error, when, paths }: Injection): string[] {
  const fault = `inject=${calls}:error=${error}${when === undefined ? '' : `:when=${when}`}`
  return ['-e', `trace=${calls}`, '-e', fault, ...paths.flatMap((path) => ['-P', path])]
}

async function watch(stream: ReadableStream<Uint8Array>, look: (said: string) => void): Promise<string> {
  let said = ''
  for await (const chunk of stream) {
    said += new TextDecoder().decode(chunk)
    look(said)
  }
  return said
}
