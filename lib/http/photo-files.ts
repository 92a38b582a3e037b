/** Photo files that may be read: those inside the folders of PHOTO_FOLDERS, whatever links lead elsewhere. */
import { constants } from 'node:fs'
import { open, realpath, stat, type FileHandle } from 'node:fs/promises'
import { resolve, sep } from 'node:path'

/** Of one file; it is read whole. */
const FILE_BYTES_MAX = 134_217_728

export interface PhotoFile extends AsyncDisposable {
  /** Differs when the file was changed or replaced. */
  readonly version: string
  bytes(): Promise<Uint8Array>
}

/** A file inside one of the folders (absolute paths); undefined for any other, without a look at the disk. */
export async function openPhotoFile(
  path: string,
  folders: readonly string[],
): Promise<PhotoFile | undefined> {
  const wanted = resolve(path)
  // By the letters first: whoever names other files learns nothing about them, not even by how long it took.
  const folder = folders.find((candidate) => isInside(wanted, resolve(candidate)))
  if (folder === undefined || path.includes('\0')) return undefined
  const file = await openQuietly(wanted)
  if (!file) return undefined
  const version = await versionInside(file, wanted, folder).catch(() => undefined)
  if (version === undefined) {
    await file.close()
    return undefined
  }
  return {
    version,
    bytes: () => file.readFile(),
    [Symbol.asyncDispose]: () => file.close(),
  }
}

/** A pipe opens at once instead of when somebody writes to it. */
async function openQuietly(path: string): Promise<FileHandle | undefined> {
  return await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)).catch(() => undefined)
}

/** The open file is the one that its real path names, and that lies inside: a link changed meanwhile shows. */
async function versionInside(file: FileHandle, path: string, folder: string): Promise<string | undefined> {
  const [opened, real, root] = await Promise.all([
    file.stat({ bigint: true }),
    realpath(path),
    realpath(folder),
  ])
  if (!isInside(real, root) || !opened.isFile() || opened.size > FILE_BYTES_MAX) return undefined
  const named = await stat(real, { bigint: true })
  if (named.ino !== opened.ino || named.dev !== opened.dev) return undefined
  return [opened.dev, opened.ino, opened.size, opened.mtimeNs].join('-')
}

function isInside(path: string, folder: string): boolean {
  return path.startsWith(folder.endsWith(sep) ? folder : `${folder}${sep}`)
}
