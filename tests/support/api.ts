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

export function createApi(url: () => string, token: string | undefined): Api {
  return async <T>(method: string, path: string, body?: unknown): Promise<Answer<T>> => {
    const headers: Record<string, string> = token === undefined ? {} : { Authorization: `Bearer ${token}` }
    if (body !== undefined) headers['Content-Type'] = 'application/json'
    const response = await fetch(`${url()}${path}`, {
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    return {
      status: response.status,
      body: (await response.json()) as T,
      cursor: response.headers.get('lightwire-cursor'),
      headers: response.headers,
    }
  }
}
