/** Requests that carry an `Idempotency-Key`, and their answers to the byte. */

/** What is given again, and whether it was. */
export interface KeyedAnswer {
  readonly status: number
  readonly text: string
  readonly cursor: string | null
  readonly replayed: string | null
}

export interface SendKeyed {
  (key: string, method: string, path: string, body?: unknown): Promise<KeyedAnswer>
}

export function createKeyed(url: () => string, token: string): SendKeyed {
  return async (key, method, path, body) => {
    const response = await fetch(`${url()}${path}`, {
      method,
      headers: {
        Authorization: `Bearer ${token}`,
        'Idempotency-Key': key,
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      },
      // A text is sent as it is.
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    return {
      status: response.status,
      text: await response.text(),
      cursor: response.headers.get('lightwire-cursor'),
      replayed: response.headers.get('idempotency-replayed'),
    }
  }
}
