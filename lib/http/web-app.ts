/** The web app at `/`: a table of known files, built when the first of them is asked for, each with what browsers need. */
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { isKnown } from './files.ts'
import { buildWebApp, type WebFile } from './web-build.ts'

/** No inline script or style; what the app loads, and whom it asks, is this server (CSP Level 3: ws too). */
const APP_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "font-src 'self'",
  "img-src 'self' blob:",
  "connect-src 'self'",
  "manifest-src 'self'",
  "worker-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

const COMPRESSIBLE = /^(text\/|application\/(javascript|json|manifest\+json)|image\/svg\+xml)/
const ROOT_FILE = /^\/([\w-][\w.-]*)?$/
const ASSET = /^\/assets\/[\w-][\w.-]*$/

const compress = promisify(gzip)

interface Served {
  readonly etag: string
  readonly headers: Readonly<Record<string, string>>
  readonly plain: Uint8Array<ArrayBuffer>
  /** Absent where it would save nothing. */
  readonly gzip: Uint8Array<ArrayBuffer> | undefined
}

export interface WebApp {
  /** Whether there is a file of the app at this path. */
  has(path: string): Promise<boolean>
  /** The answer to a GET or HEAD; undefined where there is no such file. */
  answer(path: string, headers: Headers): Promise<Response | undefined>
}

/** @param folder its sources, as `buildWebApp` takes them */
export function createWebApp(folder: string): WebApp {
  let table: Promise<ReadonlyMap<string, Served>> | undefined
  // Whatever else is asked for makes no work.
  const find = async (path: string): Promise<Served | undefined> => {
    if (!ROOT_FILE.test(path) && !ASSET.test(path)) return undefined
    // One that failed, for want of descriptors say, is not the last.
    table ??= buildTable(folder).catch((error: unknown) => {
      table = undefined
      throw error
    })
    return (await table).get(path)
  }
  return {
    has: async (path) => (await find(path)) !== undefined,
    async answer(path, asked) {
      const file = await find(path)
      if (!file) return undefined
      const zipped = file.gzip !== undefined && acceptsGzip(asked.get('accept-encoding'))
      const etag = zipped ? `"${file.etag}-gzip"` : `"${file.etag}"`
      const headers = { ...file.headers, ETag: etag }
      if (isKnown(asked.get('if-none-match'), etag)) return new Response(null, { status: 304, headers })
      return zipped
        ? new Response(file.gzip, { headers: { ...headers, 'Content-Encoding': 'gzip' } })
        : new Response(file.plain, { headers })
    },
  }
}

async function buildTable(folder: string): Promise<ReadonlyMap<string, Served>> {
  const files = await buildWebApp(folder)
  return new Map(
    await Promise.all([...files].map(async ([path, file]) => [path, await served(path, file)] as const)),
  )
}

async function served(path: string, { type, bytes, hashed }: WebFile): Promise<Served> {
  const compressible = COMPRESSIBLE.test(type)
  // Off the loop: a page that is asked for first holds nobody up.
  const zipped = compressible ? new Uint8Array(await compress(bytes, { level: 9 })) : undefined
  return {
    etag: new Bun.CryptoHasher('sha256').update(bytes).digest('hex').slice(0, 32),
    headers: {
      'Content-Type': type,
      'Content-Security-Policy': APP_POLICY,
      'Cache-Control': hashed ? 'public, max-age=31536000, immutable' : 'no-cache',
      ...(zipped ? { Vary: 'Accept-Encoding' } : {}),
      ...(path === '/sw.js' ? { 'Service-Worker-Allowed': '/' } : {}),
    },
    plain: bytes,
    gzip: zipped && zipped.byteLength < bytes.byteLength ? zipped : undefined,
  }
}

/** RFC 9110 §12.5.3, as far as browsers and proxies use it. */
function acceptsGzip(header: string | null): boolean {
  return /(?:^|,)\s*gzip\s*(?:;\s*q=(?!0(?:\.0*)?\s*(?:,|$))[\d.]+\s*)?(?:,|$)/i.test(header ?? '')
}
