/** The commands' REST client: JSON over the public API, patient with rate limits, plain about refusals. */

/** Waits that a rate-limited request accepts before it gives up. */
const WAITS_MAX = 20
const WAIT_SECONDS_MAX = 60
const ANSWER_MS_MAX = 30_000

/** What keeps a command from going on; the message is one line. */
export class CliFailure extends Error {
  override readonly name = 'CliFailure'
}

export interface DemoAnswer<T> {
  readonly body: T
  /** Of the request's own transaction. */
  readonly cursor: string
}

export interface DemoApi {
  /** @throws {CliFailure} unless the answer is 2xx */
  <T>(method: string, path: string, body?: unknown): Promise<DemoAnswer<T>>
}

/** Where to ask, and with which token; undefined sends none. */
export interface Place {
  readonly url: string
  readonly token: string | undefined
}

export interface RawAnswer {
  readonly status: number
  readonly text: string
  /** Empty where the answer carries none. */
  readonly cursor: string
  readonly headers: Headers
}

/** `token` is undefined for a server with `AUTH=off`. */
export function createDemoApi(url: string, token: string | undefined): DemoApi {
  return async <T>(method: string, path: string, body?: unknown): Promise<DemoAnswer<T>> => {
    const { status, text, cursor } = await ask({ url, token }, method, path, body)
    if (status < 200 || status > 299) {
      throw new CliFailure(`${method} ${path}: ${status} ${reasonOf(text)}`)
    }
    return { body: JSON.parse(text) as T, cursor }
  }
}

/** One request, whatever its answer; a redirect is not followed. @throws {CliFailure} when nothing answers */
export async function ask(
  { url, token }: Place,
  method: string,
  path: string,
  body?: unknown,
  own: Readonly<Record<string, string>> = {},
): Promise<RawAnswer> {
  const authorization: Record<string, string> =
    token === undefined ? own : { ...own, Authorization: `Bearer ${token}` }
  const init: RequestInit =
    body === undefined
      ? { method, headers: authorization }
      : {
          method,
          headers: { ...authorization, 'Content-Type': 'application/json' },
          body: JSON.stringify(body),
        }
  try {
    for (let waits = 0; ; waits += 1) {
      const signal = AbortSignal.timeout(ANSWER_MS_MAX)
      const response = await fetch(`${url}${path}`, { ...init, redirect: 'manual', signal })
      const { status, headers } = response
      const text = await response.text()
      if (status !== 429 || waits === WAITS_MAX) {
        return { status, text, cursor: headers.get('lightwire-cursor') ?? '', headers }
      }
      await Bun.sleep(1000 * Math.min(Number(headers.get('retry-after') ?? 1), WAIT_SECONDS_MAX))
    }
  } catch (error) {
    throw new CliFailure(
      `${method} ${path}: ${url} does not answer (${error instanceof Error ? error.message : ''})`,
    )
  }
}

/** Whether a Lightwire answers there. */
export async function isLightwire(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/api/system/health`, { signal: AbortSignal.timeout(2000) })
    const health = (await response.json()) as { status?: unknown; checks?: unknown }
    return typeof health.status === 'string' && typeof health.checks === 'object'
  } catch {
    return false
  }
}

/** The sentence of a problem (RFC 9457), else the start of whatever came. */
export function reasonOf(text: string): string {
  try {
    return String((JSON.parse(text) as { detail?: unknown }).detail ?? text.slice(0, 200))
  } catch {
    return text.slice(0, 200)
  }
}
