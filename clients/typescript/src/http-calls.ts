/** Requests to the server with the token, and what their failures mean for the line. */
import type { Environment } from './environment.ts'
import type { LineEnd } from './line.ts'
import { LightwireError, type Fetch, type Recovery } from './types.ts'

/** An answer that did not say 2xx, in the server's own words where it had some (RFC 9457). */
export class HttpFailure extends LightwireError {
  constructor(
    readonly status: number,
    code: string,
    message: string,
    retryAfterMs: number | undefined,
    readonly recovery: Readonly<Record<string, Recovery>>,
  ) {
    super(code, message, retryAfterMs)
  }
}

interface CallOptions {
  readonly query?: Readonly<Record<string, string | undefined>>
  readonly body?: object
  readonly signal?: AbortSignal
  /** Until the answer is there; of a stream, its head. */
  readonly timeoutMs?: number
  readonly isStream?: boolean
}

export interface Answer {
  readonly headers: Headers
  /** Of a stream. */
  readonly body: ReadableStream<Uint8Array> | null
  /** Of everything else. */
  readonly json: unknown
}

export type Call = (path: string, options?: CallOptions) => Promise<Answer>

interface CallsOptions {
  readonly url: string
  readonly fetch: Fetch
  readonly environment: Environment
  readonly token: () => string | undefined
}

const TIMEOUT_MS = 15_000

/** @throws {HttpFailure} @throws what `fetch` throws when there is no answer */
export function createCalls({ url, fetch, environment, token }: CallsOptions): Call {
  return async (path, { query = {}, body, signal, timeoutMs = TIMEOUT_MS, isStream = false } = {}) => {
    const parameters = Object.entries(query).flatMap(([name, value]) =>
      value === undefined ? [] : [`${name}=${encodeURIComponent(value)}`],
    )
    const held = token()
    const headers: Record<string, string> = held === undefined ? {} : { Authorization: `Bearer ${held}` }
    if (body) headers['Content-Type'] = 'application/json'
    const late = new AbortController()
    const abort = () => late.abort()
    signal?.addEventListener('abort', abort)
    if (signal?.aborted) abort()
    const cancel = environment.after(timeoutMs, abort)
    try {
      const response = await fetch(
        `${url}${path}${parameters.length > 0 ? `?${parameters.join('&')}` : ''}`,
        {
          method: body ? 'POST' : 'GET',
          headers,
          signal: late.signal,
          cache: 'no-store',
          ...(body ? { body: JSON.stringify(body) } : {}),
        },
      )
      if (!response.ok) throw await failureOf(response)
      const { headers: head, body: stream } = response
      return isStream
        ? { headers: head, body: stream, json: undefined }
        : { headers: head, body: null, json: await response.json() }
    } finally {
      cancel()
      // A stream goes on, and so does what may end it.
      if (!isStream) signal?.removeEventListener('abort', abort)
    }
  }
}

async function failureOf(response: Response): Promise<HttpFailure> {
  const problem = (await response.json().catch(() => ({}))) as Readonly<Record<string, unknown>>
  return new HttpFailure(
    response.status,
    typeof problem['code'] === 'string' ? problem['code'] : `http_${response.status}`,
    String(problem['detail'] ?? response.statusText),
    waitOf(response),
    (problem['recovery'] ?? {}) as Readonly<Record<string, Recovery>>,
  )
}

/** Milliseconds before the next request, where the answer asks for it: `Retry-After`, or a rate that is used up. */
export function waitOf({ headers }: { readonly headers: Headers }): number | undefined {
  const after = headers.get('Retry-After')
  if (after !== null) {
    const ms = /^\d+$/.test(after) ? Number(after) * 1000 : Date.parse(after) - Date.now()
    if (ms >= 0) return ms
  }
  const [, left, seconds] = /r=(\d+);\s*t=(\d+)/.exec(headers.get('RateLimit') ?? '') ?? []
  return left === '0' && seconds !== undefined ? Number(seconds) * 1000 : undefined
}

/** What a failed request ends a line with. @param isFirst nothing has worked yet, so it may never work */
export function endOf(error: unknown, isFirst = false): LineEnd {
  if (!(error instanceof HttpFailure)) return { code: 1006, reason: String(error) }
  const { status, code, message, retryAfterMs } = error
  const wait = retryAfterMs === undefined ? {} : { retryAfterMs }
  const end = { reason: message, name: code, ...wait }
  if (code === 'invalid_token') return { ...end, code: 4501 }
  if (status === 401) return { ...end, code: 4401 }
  if (code === 'cursor_gone') return { ...end, code: 4409 }
  if (code === 'draining') return { ...end, code: 1012 }
  // What is wrong with the request itself will be wrong with the next one too; what a proxy says may pass.
  const isRefused = isFirst && [400, 403, 405, 413, 415, 422].includes(status) && !code.startsWith('http_')
  return { ...end, code: isRefused ? 1008 : 1013 }
}
