/** The demo's REST client: JSON over the public API, patient with rate limits, plain about refusals. */

/** Waits that a rate-limited request accepts before it gives up. */
const WAITS_MAX = 20
const WAIT_SECONDS_MAX = 60

/** What keeps a demo from running; the message is one line. */
export class DemoFailure extends Error {
  override readonly name = 'DemoFailure'
}

export interface DemoAnswer<T> {
  readonly body: T
  /** Of the request's own transaction. */
  readonly cursor: string
}

export interface DemoApi {
  /** @throws {DemoFailure} unless the answer is 2xx */
  <T>(method: string, path: string, body?: unknown): Promise<DemoAnswer<T>>
}

/** `token` is undefined for a server with `AUTH=off`. */
export function createDemoApi(url: string, token: string | undefined): DemoApi {
  const authorization: Record<string, string> =
    token === undefined ? {} : { Authorization: `Bearer ${token}` }
  return async <T>(method: string, path: string, body?: unknown): Promise<DemoAnswer<T>> => {
    const init: RequestInit =
      body === undefined
        ? { method, headers: authorization }
        : {
            method,
            headers: { ...authorization, 'Content-Type': 'application/json' },
            body: JSON.stringify(body),
          }
    for (let waits = 0; ; waits += 1) {
      const response = await fetch(`${url}${path}`, init).catch((error: unknown) => {
        throw new DemoFailure(
          `${method} ${path}: ${url} does not answer (${error instanceof Error ? error.message : ''})`,
        )
      })
      if (response.status === 429 && waits < WAITS_MAX) {
        await Bun.sleep(1000 * Math.min(Number(response.headers.get('retry-after') ?? 1), WAIT_SECONDS_MAX))
        continue
      }
      const text = await response.text()
      if (!response.ok) throw new DemoFailure(`${method} ${path}: ${response.status} ${reasonOf(text)}`)
      return { body: JSON.parse(text) as T, cursor: response.headers.get('lightwire-cursor') ?? '' }
    }
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
function reasonOf(text: string): string {
  try {
    return String((JSON.parse(text) as { detail?: unknown }).detail ?? text.slice(0, 200))
  } catch {
    return text.slice(0, 200)
  }
}
