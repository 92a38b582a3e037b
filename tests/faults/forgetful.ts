/** A disk that forgets what was not synced: builds the LD_PRELOAD library, and does to a folder what a power cut does. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Random } from '../support/random.ts'

/** What a disk keeps or loses at once. */
const BLOCK_BYTES = 4096
const FILE_MODE = 0o600

export interface Cut {
  readonly file: 'lightwire.db' | 'lightwire.db-wal' | 'secret.'
  /** At which sync of that file, from 1. */
  readonly sync: number
  /** The power goes before or after the sync took effect, or the disk refuses it (EIO) and stays. */
  readonly moment: 'before' | 'after' | 'refuse'
}

/** Compiles the library into `folder`; its path. */
export function compileForgetful(compiler: string, folder: string): string {
  const library = join(folder, 'forgetful.so')
  const source = join(import.meta.dir, 'forgetful.c')
  const { exitCode, stderr } = Bun.spawnSync(
    [compiler, '-shared', '-fPIC', '-O2', '-Wall', '-Werror', '-o', library, source, '-ldl', '-lpthread'],
    { stderr: 'pipe' },
  )
  if (exitCode !== 0) throw new Error(`${compiler} ended with ${exitCode}: ${stderr.toString()}`)
  return library
}

interface Kept {
  /** Chooses per changed block whether it reached the disk unsynced; without it nothing unsynced did. */
  readonly random?: Random
}

/** A folder on such a disk; the server that writes to it gets `environment`. */
export function createForgetfulDisk(library: string, folder: string, shadow: string) {
  return {
    environment(cut?: Cut): Record<string, string> {
      rmSync(shadow, { recursive: true, force: true })
      mkdirSync(join(shadow, 'content'), { recursive: true })
      return {
        LD_PRELOAD: library,
        LIGHTWIRE_WATCH: folder,
        LIGHTWIRE_SHADOW: shadow,
        ...(cut ? { LIGHTWIRE_CUT: `${cut.file}:${cut.sync}:${cut.moment}` } : {}),
      }
    },

    /** After the process was killed: leaves in the folder only what is durable. */
    losePower({ random }: Kept = {}): void {
      const files = durableNames(shadow).map(([key, name]) => {
        const content = join(shadow, 'content', key)
        const durable = existsSync(content) ? readFileSync(content) : Buffer.alloc(0)
        const written = join(folder, name)
        const mixed =
          random && existsSync(written) ? mixBlocks(durable, readFileSync(written), random) : durable
        return { name, content: mixed }
      })
      for (const name of readdirSync(folder)) rmSync(join(folder, name))
      for (const { name, content } of files) writeFileSync(join(folder, name), content, { mode: FILE_MODE })
    },
  }
}

/** The memory behind `-shm` is no part of the disk. */
function durableNames(shadow: string): [key: string, name: string][] {
  const lines = readFileSync(join(shadow, 'names'), 'utf8').split('\n')
  return lines.flatMap((line) => {
    const [key = '', name = ''] = line.split(' ')
    return name === '' || name.endsWith('-shm') ? [] : [[key, name]]
  })
}

/** Any of the unsynced blocks may have reached the disk, and the file's length is one of the two. */
function mixBlocks(durable: Buffer, written: Buffer, random: Random): Buffer {
  const length = random.chance(0.5) ? durable.length : written.length
  const mixed = Buffer.alloc(length)
  for (let at = 0; at < length; at += BLOCK_BYTES) {
    const source = random.chance(0.5) ? durable : written
    // Behind the end of the one that was chosen there are zeros.
    if (at < source.length) source.copy(mixed, at, at, Math.min(at + BLOCK_BYTES, length, source.length))
  }
  return mixed
}
