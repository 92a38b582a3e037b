/** Programs that nobody here wrote, run as processes: one that talks in lines, and curl. */

export interface LineProcess extends AsyncDisposable {
  /** Complete lines of stdout so far. */
  readonly lines: readonly string[]
  /** The first line that matches, past ones included; rejects when the program ends without it. */
  line(matches: (line: string) => boolean): Promise<string>
  /** Writes one line to its stdin. */
  say(line: string): void
}

export function startLines(
  command: readonly string[],
  env: Readonly<Record<string, string>> = {},
): LineProcess {
  const { PATH = '', HOME = '' } = process.env
  const child = Bun.spawn([...command], {
    env: { PATH, HOME, ...env },
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const lines: string[] = []
  let ended: Error | undefined
  const waiting = new Set<{ matches: (line: string) => boolean; found: PromiseWithResolvers<string> }>()
  const errors = new Response(child.stderr).text()
  void readLines(child.stdout, (line) => {
    lines.push(line)
    for (const waiter of waiting) {
      if (!waiter.matches(line)) continue
      waiting.delete(waiter)
      waiter.found.resolve(line)
    }
  }).then(async () => {
    ended = new Error(`${command[0]} ended with ${await child.exited}: ${lines.join('\n')}\n${await errors}`)
    for (const { found } of waiting) found.reject(ended)
  })
  return {
    lines,
    line(matches) {
      const past = lines.find(matches)
      if (past !== undefined) return Promise.resolve(past)
      if (ended) return Promise.reject(ended)
      const found = Promise.withResolvers<string>()
      waiting.add({ matches, found })
      return found.promise
    },
    say(line) {
      void child.stdin.write(`${line}\n`)
      void child.stdin.flush()
    },
    async [Symbol.asyncDispose]() {
      child.kill()
      await child.exited
    },
  }
}

/** Calls the REST API as a shell would: `curl`, an HTTP status of 2xx, the JSON of the answer. */
export function createCurl(curl: string, url: string, token: string) {
  return async <T>(method: string, path: string, json?: string): Promise<T> => {
    const body = json === undefined ? [] : ['-H', 'Content-Type: application/json', '-d', json]
    const child = Bun.spawn(
      [
        curl,
        '-sS',
        '--fail-with-body',
        '-X',
        method,
        '-H',
        `Authorization: Bearer ${token}`,
        ...body,
        url + path,
      ],
      { env: { PATH: process.env['PATH'] ?? '' }, stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' },
    )
    const [answer, errors, code] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ])
    if (code !== 0) throw new Error(`curl ${method} ${path} ended with ${code}: ${errors}${answer}`)
    return JSON.parse(answer) as T
  }
}

async function readLines(stream: ReadableStream<Uint8Array>, onLine: (line: string) => void): Promise<void> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) onLine(line)
  }
  if (rest !== '') onLine(rest)
}
