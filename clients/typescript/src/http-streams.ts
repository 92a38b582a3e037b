/** Events over plain HTTP, as pages: a stream of server-sent events read by `fetch`, or one long-poll after another. */
import type { Environment } from './environment.ts'
import type { LightwireEvent } from './events.ts'
import { waitOf, type Call } from './http-calls.ts'

/** Nothing for so long, not even a comment, means that the stream is dead (PROTOCOL §6). */
const SILENCE_MS = 30_000
/** A page that is late by so much beyond its wait will not come. */
const WAIT_SECONDS = 20
const POLL_TIMEOUT_MS = WAIT_SECONDS * 1000 + 10_000
/** Small enough to come whole over a poor line in time. */
const LIMIT = 200

export interface Page {
  readonly events: readonly LightwireEvent[]
  /** Where the channels stand after them. */
  readonly cursor?: string
  /** What the server said beside the events. */
  readonly said?: { readonly type: string; readonly [field: string]: unknown }
}

export interface PageRequest {
  readonly call: Call
  readonly environment: Environment
  readonly signal: AbortSignal
  readonly channels: readonly string[]
  /** Moves on with every page, for it is asked each time. */
  readonly since: () => string
  readonly where: string | undefined
}

/** The first page comes at once: it says where the channels begin. @throws as {@link Call} */
export type OpenPages = (request: PageRequest) => AsyncGenerator<Page, void>

export const openPolls: OpenPages = async function* ({ call, environment, signal, channels, since, where }) {
  for (let wait = 0; ; wait = WAIT_SECONDS) {
    const answer = await call('/api/events', {
      query: { channels: channels.join(), since: since(), where, wait: String(wait), limit: String(LIMIT) },
      signal,
      timeoutMs: POLL_TIMEOUT_MS,
    })
    yield answer.json as Page
    const pause = waitOf(answer)
    if (pause !== undefined) await new Promise<void>((resolve) => void environment.after(pause, resolve))
  }
}

export const openStream: OpenPages = async function* ({ call, environment, signal, channels, since, where }) {
  const dead = new AbortController()
  const end = () => dead.abort()
  if (signal.aborted) return
  signal.addEventListener('abort', end)
  const { body } = await call('/api/events/stream', {
    query: { channels: channels.join(), since: since(), where },
    signal: dead.signal,
    isStream: true,
  })
  if (!body) return
  const reader = body.getReader()
  // Some readers take no notice of the request's signal once its head is there.
  dead.signal.addEventListener('abort', () => void reader.cancel().catch(() => undefined))
  const decoder = new TextDecoder()
  let cancel = environment.after(SILENCE_MS, end)
  try {
    let rest = ''
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      cancel()
      cancel = environment.after(SILENCE_MS, end)
      const blocks = (rest + decoder.decode(part.value, { stream: true })).split(/\r?\n\r?\n/)
      rest = blocks.pop() ?? ''
      for (const block of blocks) yield pageOf(block)
    }
  } finally {
    cancel()
    signal.removeEventListener('abort', end)
    end()
  }
}

/** One block of the stream (WHATWG HTML §9.2). */
function pageOf(block: string): Page {
  const fields: Record<string, string> = {}
  for (const line of block.split(/\r?\n/)) {
    const colon = line.indexOf(':')
    if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 1).replace(/^ /, '')
  }
  const { id, data } = fields
  if (id !== undefined) return { cursor: id, events: data === undefined ? [] : [JSON.parse(data)] }
  return data === undefined ? { events: [] } : { events: [], said: JSON.parse(data) }
}
