/**
 * A client library at the far end of a pipe: a small program per language that does with the library what it is told, a
 * JSON object a line, and says what an application would have seen. The scenarios are written once, against this.
 */

/** Where a browser's page lives; a server under test lets it in, and nobody listens there: the driver answers itself. */
export const PAGE_ORIGIN = 'http://localhost:4999'

/** What a driver is told; `n` numbers the commands from 1. Paths and types are those of PROTOCOL.md. */
export type Command =
  | {
      readonly do: 'connect'
      /** `http://127.0.0.1:PORT`: the server, or a proxy before it. */
      readonly url: string
      /** What `getToken` gives from now on. */
      readonly token: string
      /** Which transport; without it the library's own choice, with its way of falling back. */
      readonly transport?: 'websocket' | 'sse' | 'poll'
      readonly framing?: 'json' | 'msgpack' | 'deflate'
      readonly clientType?: string
      readonly clientName?: string
      /** Where an earlier life of the application stood, as its cursor storage gave it. */
      readonly cursor?: string
    }
  /** Another token for `getToken` to give; nobody is told. */
  | { readonly do: 'token'; readonly token: string }
  | {
      readonly do: 'subscribe'
      readonly channels: readonly string[]
      readonly where?: object
      readonly batchMs?: number
      readonly conflate?: boolean
    }
  | { readonly do: 'unsubscribe'; readonly channels: readonly string[] }
  /** Reads a snapshot by GET and follows from its cursor: the exact join, again whenever the position is lost. */
  | { readonly do: 'follow'; readonly path: string; readonly channels: readonly string[] }
  | { readonly do: 'publish'; readonly event: object; readonly key?: string }
  /** Where it stands. */
  | { readonly do: 'state' }
  | { readonly do: 'close' }

/** A driver's answers, in any order: of `subscribe` the channels now subscribed, of `publish` the seq, of `state` a {@link State}. */
export type Answer =
  | { readonly re: number; readonly ok: unknown }
  | { readonly re: number; readonly refused: { readonly code: string; readonly message: string } }

export interface State {
  /** Of everything subscribed. */
  readonly cursor: string | null
  readonly status: Status
  /** Times that `getToken` was called. */
  readonly tokensAsked: number
  /** What carries events now. */
  readonly transport: 'websocket' | 'sse' | 'poll' | null
}

/** `closed` is final: the library will not try again by itself. */
export type Status = 'connecting' | 'connected' | 'waiting' | 'closed'

/** What the application saw, in the order it saw it. */
export type Report =
  /** Applied: exactly once, in order within a channel. */
  | { readonly event: Seen }
  | { readonly status: Status; readonly code?: string }
  /** The position in these channels is lost: read the state again. What follows is newer than what was missed. */
  | { readonly lost: readonly string[] }
  /** Of `follow`: what the GET answered. */
  | { readonly snapshot: unknown }

export interface Seen {
  readonly type: string
  readonly channel: string
  readonly seq: number
  readonly [field: string]: unknown
}

/** An answer that does not come is a failure, not a reason to wait longer. */
const LATE_MS = 30_000

export interface Driver extends AsyncDisposable {
  readonly reports: readonly Report[]
  readonly events: readonly Seen[]
  /** @throws {RefusedCommand} with the library's code @throws when the driver is gone or silent */
  tell(command: Command): Promise<unknown>
  state(): Promise<State>
  /** Resolves when the program runs, with nothing connected yet. */
  started(): Promise<void>
  /** Resolves when the reports hold what is looked for, now or later. @throws with what there was when it is late */
  until(what: string, holds: (reports: readonly Report[]) => boolean, withinMs?: number): Promise<void>
  /** Sends `close`, and resolves with the exit code. */
  end(): Promise<number>
}

export class RefusedCommand extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(`${code}: ${message}`)
  }
}

/** @param words the program and its arguments; it reads commands from stdin and writes answers and reports to stdout */
export function startDriver(words: readonly string[], env: Record<string, string> = {}): Driver {
  const child = Bun.spawn([...words], {
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', ...env },
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const reports: Report[] = []
  const events: Seen[] = []
  const complaints: string[] = []
  const asked = new Map<number, PromiseWithResolvers<unknown>>()
  const looking = new Set<() => void>()
  let commands = 0

  const gone = (reason: string) => new Error(`the driver ${reason}\n${complaints.join('\n')}`)
  const take = (line: string) => {
    const said = JSON.parse(line) as Answer | Report
    if ('re' in said) {
      const waiting = asked.get(said.re)
      asked.delete(said.re)
      if ('ok' in said) waiting?.resolve(said.ok)
      else waiting?.reject(new RefusedCommand(said.refused.code, said.refused.message))
      return
    }
    reports.push(said)
    if ('event' in said) events.push(said.event)
    for (const look of looking) look()
  }
  const read = linesOf(child.stdout, take)
  void linesOf(child.stderr, (line) => complaints.push(line))
  void Promise.all([child.exited, read]).then(([code]) => {
    for (const waiting of asked.values()) waiting.reject(gone(`ended with ${code}`))
  })

  const tell = async (command: Command): Promise<unknown> => {
    if (child.exitCode !== null) throw gone(`has ended with ${child.exitCode}`)
    commands += 1
    const n = commands
    const waiting = Promise.withResolvers<unknown>()
    asked.set(n, waiting)
    child.stdin.write(`${JSON.stringify({ n, ...command })}\n`)
    await child.stdin.flush()
    const late = setTimeout(() => waiting.reject(gone(`did not answer ${JSON.stringify(command)}`)), LATE_MS)
    try {
      return await waiting.promise
    } finally {
      clearTimeout(late)
    }
  }

  return {
    reports,
    events,
    tell,
    state: async () => (await tell({ do: 'state' })) as State,
    // Refused or not: it answers.
    started: () => tell({ do: 'state' }).then(nothing, nothing),
    async until(what, holds, withinMs = LATE_MS) {
      if (holds(reports)) return
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      const look = () => {
        if (holds(reports)) resolve()
      }
      looking.add(look)
      const late = setTimeout(
        () =>
          reject(
            gone(
              `did not see ${what}; last: ${reports
                .slice(-12)
                .map((r) => JSON.stringify(r))
                .join('\n')}`,
            ),
          ),
        withinMs,
      )
      await promise.finally(() => {
        clearTimeout(late)
        looking.delete(look)
      })
    },
    async end() {
      await tell({ do: 'close' })
      return await child.exited
    },
    async [Symbol.asyncDispose]() {
      child.kill()
      await child.exited
    },
  }
}

const nothing = () => undefined

async function linesOf(stream: ReadableStream<Uint8Array>, take: (line: string) => void): Promise<void> {
  let rest = ''
  const decoder = new TextDecoder()
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line !== '') take(line)
  }
}
