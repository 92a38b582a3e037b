/** A small REST client for tests, over real HTTP. */

export interface Answer<T = Record<string, never>> {
  readonly status: number
  readonly body: T
  readonly cursor: string | null
  readonly headers: Headers
}

export interface Api {
  <T = Record<string, never>>(method: string, path: string, body?: unknown): Promise<Answer<T>>
}

export function createApi(
  url: () => string,
  token: string | undefined,
  more: Readonly<Record<string, string>> = {},
): Api {
  return async <T>(method: string, path: string, body?: unknown): Promise<Answer<T>> => {
    const authorization = token === undefined ? {} : { Authorization: `Bearer ${token}` }
    const headers: Record<string, string> = { ...authorization, ...more }
    if (body !== undefined) headers['Content-Type'] = 'application/json'
    const response = await fetch(`${url()}${path}`, {
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    return {
      status: response.status,
      body: (await bodyOf(response)) as T,
      cursor: response.headers.get('lightwire-cursor'),
      headers: response.headers,
    }
  }
}

/** A stream has no end to wait for; who wants its events reads them by other means. */
async function bodyOf(response: Response): Promise<unknown> {
  if (response.headers.get('content-type') !== 'text/event-stream') return await response.json()
  await response.body?.cancel()
  return {}
}
