/** The application's token: asked for when there is none or the last one is over, one call at a time for all who need it. */

import type { Environment } from './environment.ts'

/** A token that ends so soon is not worth a connection. */
const SPARE_MS = 5000
/** A call that has not come back by then never will: another may be made. */
const ASKING_MS = 30_000

export interface Tokens {
  /** The one there is, or a new one. */
  get(): Promise<string | undefined>
  /** Asks for a new one, whatever there is. */
  renew(): Promise<string | undefined>
  /** The last one is of no use any more. */
  expire(): void
  /** Whether what `get` gave last was asked for just then. */
  readonly isFresh: boolean
}

export function createTokens(
  getToken: (() => string | Promise<string>) | undefined,
  { after }: Pick<Environment, 'after'>,
): Tokens {
  let token: string | undefined
  let asking: Promise<string> | undefined
  let isFresh = false

  const renew = async (): Promise<string | undefined> => {
    if (!getToken) return undefined
    // One refresh in flight: whoever comes meanwhile gets the same.
    asking ??= new Promise<string>((resolve, reject) => {
      const cancel = after(ASKING_MS, () => reject(new Error('getToken does not answer')))
      Promise.resolve().then(getToken).then(resolve, reject).finally(cancel)
    }).finally(() => (asking = undefined))
    token = await asking
    isFresh = true
    return token
  }

  return {
    renew,
    get isFresh() {
      return isFresh
    },
    async get() {
      if (token === undefined || endMs(token) < Date.now() + SPARE_MS) return await renew()
      isFresh = false
      return token
    },
    expire: () => void (token = undefined),
  }
}

/** When a JWT ends, by its own claim; other tokens never, as far as can be seen here. */
function endMs(token: string): number {
  try {
    const claims = token.split('.')[1] ?? ''
    const { exp } = JSON.parse(atob(claims.replaceAll('-', '+').replaceAll('_', '/'))) as { exp?: unknown }
    return typeof exp === 'number' ? exp * 1000 : Infinity
  } catch {
    return Infinity
  }
}
