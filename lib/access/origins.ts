/** Which pages may use the server: exact Origin and Host, against cross-site requests and DNS rebinding. */
import { isIP } from 'node:net'
import { Refusal } from '../protocol/refusals.ts'
import type { Config } from '../settings.ts'

/** Of `Sec-Fetch-Site`: a site is more than an origin, any port of this machine say. */
const elsewhere: ReadonlySet<string> = new Set(['cross-site', 'same-site'])

interface OriginOptions {
  readonly port: number
  readonly publicUrl: string | undefined
  readonly allowed: readonly string[]
  /** An address or name the server listens on, beside the loopback names. */
  readonly host: string
}

export type Origins = ReturnType<typeof createOrigins>

/** Made when they are first asked for: the port is known once the server listens. */
export function originsOf(
  { HOST: host, PORT, PUBLIC_URL: publicUrl, ALLOWED_ORIGINS: allowed }: Config,
  port: () => number | undefined,
): () => Origins {
  let made: Origins | undefined
  return () => (made ??= createOrigins({ port: port() ?? PORT, publicUrl, allowed, host }))
}

export function createOrigins({ port, publicUrl, allowed, host }: OriginOptions) {
  const publicHost = publicUrl === undefined ? undefined : new URL(publicUrl).hostname
  // As URLs, for the default port of a scheme is left out of an origin.
  const own = ['127.0.0.1', '[::1]', 'localhost'].flatMap((name) => [
    new URL(`http://${name}:${port}`).origin,
    new URL(`https://${name}:${port}`).origin,
  ])
  const origins = new Set([
    ...own,
    ...allowed,
    ...(publicUrl === undefined ? [] : [new URL(publicUrl).origin]),
  ])
  const hosts = new Set(['localhost', host.toLowerCase(), ...(publicHost === undefined ? [] : [publicHost])])
  /** Without an Origin (no browser) it passes. @throws {Refusal} `origin_refused` */
  const requireOrigin = (header: string | null): void => {
    if (header !== null && !origins.has(header)) {
      throw new Refusal(
        'origin_refused',
        'pages of this origin may not use the server; ALLOWED_ORIGINS would add it',
      )
    }
  }
  return {
    requireOrigin,

    /** Whether a page of this origin may read answers (CORS) and open sockets. */
    allows: (origin: string) => origins.has(origin),

    /** @throws {Refusal} `host_refused` for a name that is not ours: a rebound DNS name would carry it */
    requireHost(header: string | null): void {
      const name = hostName(header)
      if (name === undefined || (isIP(name) === 0 && !hosts.has(name))) {
        throw new Refusal(
          'host_refused',
          'the Host header names no address of this server; PUBLIC_URL would add one',
        )
      }
    },

    /**
     * As `requireOrigin`, and where a browser sends none (an image, a script, a GET without CORS) by what it says
     * of the page's site (Fetch Metadata). @throws {Refusal} `origin_refused`
     */
    requirePage(headers: Headers): void {
      const origin = headers.get('origin')
      requireOrigin(origin)
      if (origin === null && elsewhere.has(headers.get('sec-fetch-site') ?? ''))
        throw new Refusal('origin_refused', 'pages of other sites may use the server only with CORS')
    },
  }
}

/** The name of a Host header without its port, or undefined where it is malformed. */
function hostName(header: string | null): string | undefined {
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9.-]+))(?::\d{1,5})?$/i.exec(header ?? '')
  return (match?.[1] ?? match?.[2])?.toLowerCase()
}
