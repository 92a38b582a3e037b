/** An outside issuer: its keys over HTTP, as well or as badly as told, and tokens that it signs. */
import { base64url, ecdsa, ecPair, forge, jwkOf } from './forge.ts'

export interface Issuer extends AsyncDisposable {
  readonly url: string
  /** Requests for the keys so far. */
  readonly asked: number
  /** From now on it publishes the keys of these kids, and signs with the last. */
  rotate(...kids: string[]): void
  /** From now on it answers like this instead; undefined: as it should. */
  misbehave(answer: ((request: Request) => Response | Promise<Response>) | undefined): void
  keySet(): string
  token(change?: object, kid?: string): string
}

export const ISSUER = 'https://id.studio.example'
export const AUDIENCE = 'lightwire'

export function startIssuer(): Issuer {
  const pairs = new Map<string, ReturnType<typeof ecPair>>()
  let published: readonly string[] = ['first']
  let answer: ((request: Request) => Response | Promise<Response>) | undefined
  let asked = 0
  const pairOf = (kid: string) => {
    const pair = pairs.get(kid) ?? ecPair()
    pairs.set(kid, pair)
    return pair
  }
  const keySet = () =>
    JSON.stringify({ keys: published.map((kid) => ({ ...jwkOf(pairOf(kid).publicKey), kid, use: 'sig' })) })
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch(request) {
      asked += 1
      return (
        answer?.(request) ??
        new Response(keySet(), { headers: { 'Content-Type': 'application/jwk-set+json' } })
      )
    },
  })
  return {
    url: `${server.url.href}keys`,
    get asked() {
      return asked
    },
    rotate: (...kids) => void (published = kids),
    misbehave: (other) => void (answer = other),
    keySet,
    token(change = {}, kid = published.at(-1) ?? '') {
      const exp = Math.floor(Date.now() / 1000) + 600
      const claims = {
        iss: ISSUER,
        aud: AUDIENCE,
        sub: 'anna',
        scope: 'api:read admin',
        exp,
        jti: base64url(String(exp)),
      }
      const header = JSON.stringify({ alg: 'ES256', kid, typ: 'at+jwt' })
      return forge(header, JSON.stringify({ ...claims, ...change }), ecdsa(pairOf(kid).privateKey))
    },
    [Symbol.asyncDispose]: () => server.stop(true),
  }
}
