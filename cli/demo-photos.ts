/** The photos of a demo: the image files of a folder, or a few hundred small ones written for it. */
import type { Dirent } from 'node:fs'
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { CliFailure } from './rest-client.ts'
import { encodeJpeg } from './demo-jpeg.ts'

/** Photos that a demo takes from a folder; the rest is left out, and said. */
export const PHOTOS_MAX = 5000
/** Folders that it looks into. */
const FOLDERS_MAX = 10_000
const GENERATED = 300
const PER_CARD = 100

const endings: ReadonlySet<string> = new Set(
  (
    'jpg jpeg png gif webp tif tiff heic heif hif avif jxl psd dng raw rwl 3fr arw srf sr2 cr2 cr3 crw ' +
    'dcr kdc erf fff gpr iiq mef mos mrw nef nrw orf pef ptx raf rw2 srw x3f'
  ).split(' '),
)

export interface PhotoFile {
  readonly file_path: string
  readonly file_name: string
  /** Bytes. */
  readonly file_size: number
}

export interface PhotoFolder {
  readonly files: readonly PhotoFile[]
  /** Whether there was more than a demo takes. */
  readonly truncated: boolean
}

/** The image files under a folder, each folder's by name; links are not followed. @throws {CliFailure} */
export async function findPhotos(folder: string): Promise<PhotoFolder> {
  const files: PhotoFile[] = []
  const waiting = [folder]
  for (let looked = 0; waiting.length > 0; looked += 1) {
    const next = waiting.shift()
    if (next === undefined) break
    if (looked === FOLDERS_MAX) return { files, truncated: true }
    const entries = await readFolder(next, folder)
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = join(next, entry.name)
      if (entry.isDirectory()) waiting.push(path)
      if (!entry.isFile() || !isPhoto(entry.name)) continue
      if (files.length === PHOTOS_MAX) return { files, truncated: true }
      files.push({ file_path: path, file_name: entry.name, file_size: (await stat(path)).size })
    }
  }
  if (files.length === 0) throw new CliFailure(`there is no image file under ${folder}`)
  return { files, truncated: false }
}

/** Fills a folder with small valid JPEGs, as two or three memory cards would. */
export async function writePhotos(folder: string): Promise<void> {
  for (let n = 0; n < GENERATED; n += 1) {
    const card = join(folder, `card-${Math.floor(n / PER_CARD) + 1}`)
    if (n % PER_CARD === 0) await mkdir(card, { recursive: true })
    const name = `IMG_${String(n + 1).padStart(4, '0')}.jpg`
    await writeFile(join(card, name), generatePhoto(n))
  }
}

/** A picture that differs from its neighbours in size and shades. */
export function generatePhoto(n: number): Uint8Array {
  const columns = 12 + (n % 9)
  const rows = 8 + (n % 7)
  return encodeJpeg(
    columns,
    rows,
    (column, row) => 120 * Math.sin((column + n) / 3) * Math.cos((row - n) / 4),
  )
}

/** A name that is no UTF-8 comes with U+FFFD and would name another file to the server. */
function isPhoto(name: string): boolean {
  return endings.has(extname(name).slice(1).toLowerCase()) && !name.includes('\uFFFD')
}

async function readFolder(path: string, root: string): Promise<Dirent[]> {
  try {
    return await readdir(path, { withFileTypes: true })
  } catch (error) {
    // One closed folder inside is passed over; the one that was named must be there.
    if (path !== root) return []
    throw new CliFailure(`--photos=${root}: ${(error as { code?: string }).code ?? 'cannot be read'}`)
  }
}
