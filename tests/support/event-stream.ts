/** A client of server-sent events for tests: parses as browsers do (WHATWG HTML §9.2.6) and records everything. */
import type { Message } from './client.ts'

export interface StreamEvent {
  readonly type: string
  /** The last id that the stream has given, this event's own included. */
  readonly id: string
  readonly data: Message
}

interface StreamOptions {
  readonly url: string
  readonly headers?: Record<string, string>
  /** Called with each event before anything waits for it. */
  readonly onEvent?: (event: StreamEvent) => void
  /** Called whenever the stream gave a new id. */
  readonly onId?: (id: string) => void
  /** Called with each block that has an id or an event, as it came. */
  readonly onBlock?: (id: string | undefined, event: StreamEvent | undefined) => void
  /** Gives up, be it before the stream stands. */
  readonly signal?: AbortSignal
}

export class TestStream implements AsyncDisposable {
  readonly events: StreamEvent[] = []
  id = ''
  retryMs: number | undefined
  comments = 0
  /** Resolves when the stream ended, however it did. */
  readonly ended: Promise<void>
  private readonly abort = new AbortController()
  private waiting: { matches: () => boolean; resolve: () => void }[] = []

  private constructor(
    response: Response,
    private readonly options: StreamOptions,
  ) {
    this.ended = this.read(response).catch(() => undefined)
  }

  /** The stream once it stands, else the refusal. */
  static async open(options: StreamOptions): Promise<TestStream | { status: number; body: Message }> {
    const abort = new AbortController()
    options.signal?.addEventListener('abort', () => abort.abort())
    const response = await fetch(options.url, { headers: options.headers ?? {}, signal: abort.signal })
    if (response.status !== 200) return { status: response.status, body: (await response.json()) as Message }
    const stream = new TestStream(response, options)
    stream.abort.signal.addEventListener('abort', () => abort.abort())
    return stream
  }

  /** Resolves when the condition holds, looked at with every event and id. @throws when the stream ends before */
  async until(matches: () => boolean): Promise<void> {
    if (matches()) return
    const met = new Promise<void>((resolve) => this.waiting.push({ matches, resolve }))
    await Promise.race([
      met,
      this.ended.then(() => {
        if (!matches()) throw new Error('the stream ended while something was waited for')
      }),
    ])
  }

  private async read(response: Response): Promise<void> {
    let rest = ''
    const decoder = new TextDecoder()
    for await (const chunk of response.body ?? []) {
      const blocks = (rest + decoder.decode(chunk, { stream: true })).split('\n\n')
      rest = blocks.pop() ?? ''
      for (const block of blocks) this.take(block)
    }
  }

  private take(block: string): void {
    const fields = new Map<string, string>()
    for (const line of block.split('\n')) {
      if (line.startsWith(':')) this.comments += 1
      const [, name = '', value = ''] = /^(\w+): ?(.*)$/.exec(line) ?? []
      if (name !== '') fields.set(name, value)
    }
    const id = fields.get('id')
    if (id !== undefined) {
      this.id = id
      this.options.onId?.(id)
    }
    const retry = fields.get('retry')
    if (retry !== undefined) this.retryMs = Number(retry)
    const data = fields.get('data')
    let event: StreamEvent | undefined
    if (data !== undefined) {
      event = { type: fields.get('event') ?? 'message', id: this.id, data: JSON.parse(data) as Message }
      this.events.push(event)
      this.options.onEvent?.(event)
    }
    if (id !== undefined || event) this.options.onBlock?.(id, event)
    this.waiting = this.waiting.filter(({ matches, resolve }) => {
      if (!matches()) return true
      resolve()
      return false
    })
  }

  /** Hangs up. */
  close(): void {
    this.abort.abort()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
    await this.ended
  }
}
