/** Thumbnails: small WebP images of photo files, a few made at once, the newest kept in memory. */
import { createHash } from 'node:crypto'
import { Refusal } from '../protocol/refusals.ts'
import { openPhotoFile } from './photo-files.ts'

/** Longer edge in pixels; few of them, so that few are made. */
export const thumbnailSizes = ['160', '320', '640', '1280'] as const
type Size = (typeof thumbnailSizes)[number]

/** Decoders at work, and requests that wait for one. */
const MAKERS_MAX = 2
const WAITING_MAX = 200
const CACHE_BYTES_MAX = 33_554_432
/** A picture of more is none that a camera made. */
const PIXELS_MAX = 200_000_000
const MAKE_SECONDS_MAX = 20
const QUALITY = 78
const BUSY_RETRY_MS = 2000

/** What cameras and exports write. The library reads more, which nobody needs here: the rest stays shut. */
const DECODERS = ['Jpeg', 'Png', 'Webp', 'Tiff', 'Heif'].map((name) => `VipsForeignLoad${name}Buffer`)

export interface Thumbnail {
  readonly etag: string
  /** Made when they are asked for. @throws {Refusal} `no_preview`, `rate_limited` */
  bytes(): Promise<Uint8Array<ArrayBuffer>>
}

export type Thumbnails = ReturnType<typeof createThumbnails>

interface ThumbnailOptions {
  /** Absolute paths; only files inside of them are read. */
  readonly folders: readonly string[]
  /** The library that decodes is not to be had on this machine. */
  readonly onBug: (error: unknown) => void
}

export function createThumbnails({ folders, onBug }: ThumbnailOptions) {
  const cache = new Map<string, Uint8Array<ArrayBuffer>>()
  const making = new Map<string, Promise<Uint8Array<ArrayBuffer>>>()
  const waiting: (() => void)[] = []
  let cachedBytes = 0
  let makers = 0
  let loaded: ReturnType<typeof loadDecoder> | undefined

  function keep(key: string, bytes: Uint8Array<ArrayBuffer>): void {
    cache.set(key, bytes)
    cachedBytes += bytes.byteLength
    for (const [oldest, { byteLength }] of cache) {
      if (cachedBytes <= CACHE_BYTES_MAX) return
      cache.delete(oldest)
      cachedBytes -= byteLength
    }
  }

  async function inTurn<T>(make: () => Promise<T>): Promise<T> {
    if (makers >= MAKERS_MAX) {
      if (waiting.length >= WAITING_MAX)
        throw new Refusal('rate_limited', 'too many thumbnails are being made', {
          retryAfterMs: BUSY_RETRY_MS,
        })
      // Whoever is done hands its place on.
      await new Promise<void>((resolve) => waiting.push(resolve))
    } else makers += 1
    try {
      return await make()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else makers -= 1
    }
  }

  async function make(path: string, size: Size): Promise<Uint8Array<ArrayBuffer>> {
    await using file = await openPhotoFile(path, folders)
    if (!file) throw noPreview()
    loaded ??= loadDecoder()
    const decode = await loaded.catch((error: unknown) => {
      onBug(error)
      throw noPreview()
    })
    return await decode(await file.bytes(), Number(size))
  }

  return {
    /** @throws {Refusal} `no_preview` where the file is none that may be read */
    async find(path: string, size: Size): Promise<Thumbnail> {
      const version = await versionOf(path, folders)
      if (version === undefined) throw noPreview()
      const key = createHash('sha256').update(`${path}\0${version}\0${size}`).digest('hex').slice(0, 32)
      return {
        etag: `"${key}"`,
        async bytes() {
          const kept = cache.get(key)
          if (kept) {
            cache.delete(key)
            cache.set(key, kept)
            return kept
          }
          let made = making.get(key)
          if (!made) {
            made = inTurn(() => make(path, size)).finally(() => making.delete(key))
            making.set(key, made)
            // Once for all who wait for it.
            made.then(
              (bytes) => keep(key, bytes),
              () => undefined,
            )
          }
          return await made
        },
      }
    },
  }
}

async function versionOf(path: string, folders: readonly string[]): Promise<string | undefined> {
  await using file = await openPhotoFile(path, folders)
  return file?.version
}

/** The same for every reason: whoever may name paths learns from it nothing about the disk. */
function noPreview(): Refusal {
  return new Refusal('no_preview', 'no preview can be made of this photo')
}

/** Loaded when it is first needed: it is large, and most servers never need it. */
async function loadDecoder() {
  const { default: sharp } = await import('sharp')
  sharp.cache(false)
  sharp.concurrency(1)
  sharp.block({ operation: ['VipsForeignLoad'] })
  sharp.unblock({ operation: DECODERS })
  return async (file: Uint8Array, size: number): Promise<Uint8Array<ArrayBuffer>> => {
    try {
      const image = sharp(file, { limitInputPixels: PIXELS_MAX, failOn: 'error', sequentialRead: true })
        .timeout({ seconds: MAKE_SECONDS_MAX })
        // As the camera was held (EXIF); nothing else of its metadata, such as the place, is passed on.
        .autoOrient()
        .resize(size, size, { fit: 'inside', withoutEnlargement: true })
      return new Uint8Array(await image.webp({ quality: QUALITY }).toBuffer())
    } catch {
      throw noPreview()
    }
  }
}
