/** Requests of this page: the token goes along, a change has a key and is sent again until it is answered. */
import { randomKey } from '../../typescript/src/environment.ts'

const TRIES = 4
const PAUSE_MS = 500
/** Where the server does not say how long to wait. */
const PAUSE_MAX_MS = 5000
const TIMEOUT_MS = 15_000

export interface Answer<T> {
  readonly value: T
  readonly cursor: string
}

/** The server's own words for a no; `network` where there was no answer. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  constructor(
    readonly code: string,
    message: string,
    readonly status = 0,
    readonly currentStatus: string | undefined = undefined,
    readonly retryAfterMs: number | undefined = undefined,
  ) {
    super(message)
  }
}

export interface Api {
  /** @throws {ApiError} */
  get<T>(path: string, signal?: AbortSignal): Promise<Answer<T>>
  /** Once, whatever happens to the answer; given up after some tries. @throws {ApiError} */
  change<T>(method: 'POST' | 'PATCH' | 'DELETE', path: string, body?: object): Promise<Answer<T>>
  /** The same, given up only when the server says no or this life of the page ends. @throws {ApiError} */
  insist(method: 'POST', path: string): Promise<Answer<unknown>>
  /** For answers that the server keeps no copy of. @throws {ApiError} */
  post<T>(path: string, body: object): Promise<Answer<T>>
  /** Where the journal stands now, for who may read events and nothing else. @throws {ApiError} */
  head(channels: readonly string[]): Promise<string>
  /** @throws {ApiError} */
  blob(path: string, signal: AbortSignal): Promise<Blob>
}

/** @param ended of the life of the page that this is for */
export function createApi(token: () => string | undefined, ended: AbortSignal): Api {
  const send = async (path: string, init: RequestInit): Promise<Response> => {
    const held = token()
    const headers = new Headers(init.headers)
    if (held !== undefined) headers.set('Authorization', `Bearer ${held}`)
    if (init.body !== undefined) headers.set('Content-Type', 'application/json')
    const late = AbortSignal.timeout(TIMEOUT_MS)
    const signal = init.signal ? AbortSignal.any([init.signal, late]) : late
    const response = await fetch(path, { ...init, headers, signal, cache: init.cache ?? 'no-store' }).catch(
      (error) => {
        throw new ApiError('network', String(error))
      },
    )
    if (!response.ok) throw await errorOf(response)
    return response
  }
  const json = async <T>(path: string, init: RequestInit): Promise<Answer<T>> => {
    const response = await send(path, init)
    const value = await response.json().catch((error: unknown) => {
      throw new ApiError('network', String(error))
    })
    // The route's own shape, as openapi.yaml has it.
    return { value: value as T, cursor: response.headers.get('Lightwire-Cursor') ?? '' }
  }
  const repeat = async <T>(tries: number, method: string, path: string, body: object): Promise<Answer<T>> => {
    const headers = { 'Idempotency-Key': randomKey() }
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await json(path, { method, headers, body: JSON.stringify(body) })
      } catch (error) {
        if (!(error instanceof ApiError) || !passes(error) || attempt >= tries || ended.aborted) throw error
        const pause = Math.min(PAUSE_MS * 2 ** attempt, PAUSE_MAX_MS) * (0.5 + Math.random() / 2)
        const waitMs = Math.min(error.retryAfterMs ?? pause, TIMEOUT_MS)
        await new Promise((resolve) => setTimeout(resolve, waitMs))
      }
    }
  }
  return {
    get: (path, signal) => json(path, { method: 'GET', signal: signal ?? null }),
    post: (path, body) => json(path, { method: 'POST', body: JSON.stringify(body) }),
    change: (method, path, body = {}) => repeat(TRIES, method, path, body),
    insist: (method, path) => repeat(Infinity, method, path, {}),
    async head(channels) {
      const over = new AbortController()
      try {
        const { body } = await send(`/api/events/stream?channels=${channels.join(',')}`, {
          signal: over.signal,
        })
        return await firstId(body)
      } finally {
        over.abort()
      }
    },
    async blob(path, signal) {
      const response = await send(path, { method: 'GET', signal, cache: 'default' })
      return await response.blob()
    },
  }
}

/** A stream begins with the cursor that it begins at. */
async function firstId(body: ReadableStream<Uint8Array> | null): Promise<string> {
  const reader = body?.getReader()
  const decoder = new TextDecoder()
  let text = ''
  for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
    text += decoder.decode(part.value, { stream: true })
    const id = /^id: ?(.+)\n/m.exec(text)?.[1]
    if (id !== undefined) return id
  }
  throw new ApiError('network', 'the stream ended before it began')
}

/** Timeouts, a full house, and proxies before a server that restarts. */
const passing: ReadonlySet<number> = new Set([408, 429, 502, 503, 504])

/** Whether the same request may go well a moment later. */
export function passes({ status, code }: ApiError): boolean {
  return code === 'network' || passing.has(status)
}

/** Whether asking again gives the same no: it is about what was asked, not about the moment. */
export const isNo = (status: number) => status >= 400 && status < 500 && !passing.has(status)

export function isFinal(error: unknown): boolean {
  return error instanceof ApiError && isNo(error.status)
}

async function errorOf(response: Response): Promise<ApiError> {
  const problem = (await response.json().catch(() => ({}))) as Readonly<Record<string, unknown>>
  const text = (name: string) => (typeof problem[name] === 'string' ? problem[name] : undefined)
  const after = Number(response.headers.get('Retry-After') ?? Number.NaN)
  return new ApiError(
    text('code') ?? `http_${response.status}`,
    text('detail') ?? response.statusText,
    response.status,
    text('current_status'),
    Number.isNaN(after) ? undefined : after * 1000,
  )
}
