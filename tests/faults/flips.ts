/** Flips single bits of a data folder and says what `verify` makes of each, and what a reader of the data sees. */
import { Database } from 'bun:sqlite'
import { closeSync, cpSync, openSync, readSync, rmSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { verify } from '../../cli/verify.ts'
import { configWith } from '../../lib/config.ts'
import type { Random } from '../support/random.ts'

export interface Flip {
  readonly file: 'lightwire.db' | 'lightwire.db-wal'
  readonly byte: number
  readonly bit: number
}

/** `found`: verify names it. `harmless`: every row reads as before. `silent`: neither. */
export interface Verdict {
  readonly kind: 'found' | 'harmless' | 'silent'
  /** Columns that read otherwise, as `photos.file_size`; of a silent flip. */
  readonly changed: readonly string[]
}

export function someFlip(folder: string, file: Flip['file'], random: Random): Flip {
  return { file, byte: random.int(0, statSync(join(folder, file)).size - 1), bit: random.int(0, 7) }
}

/** Done twice it undoes itself. */
export function flip(folder: string, { file, byte, bit }: Flip): void {
  const descriptor = openSync(join(folder, file), 'r+')
  const buffer = Buffer.alloc(1)
  readSync(descriptor, buffer, 0, 1, byte)
  buffer.writeUInt8(buffer.readUInt8(0) ^ (1 << bit))
  writeSync(descriptor, buffer, 0, 1, byte)
  closeSync(descriptor)
}

/** A copy of a stopped server's folder, without what SQLite makes anew. */
export function copyFolder(folder: string, copy: string): void {
  cpSync(folder, copy, { recursive: true, filter: (path) => !path.endsWith('-shm') })
}

/** Moves the log into the database file and removes it, as a proper stop does. */
export function settle(folder: string): void {
  using file = new Database(join(folder, 'lightwire.db'))
  file.run('pragma wal_checkpoint(truncate)')
}

export async function verdictOf(folder: string, at: Flip, before: Contents): Promise<Verdict> {
  flip(folder, at)
  try {
    const holds = await verify(configWith({ DATA_DIR: folder }), [], () => undefined)
    if (!holds) return { kind: 'found', changed: [] }
    const changed = differences(before, contentsOf(folder))
    return { kind: changed.length === 0 ? 'harmless' : 'silent', changed }
  } finally {
    flip(folder, at)
    rmSync(join(folder, 'lightwire.db-shm'), { force: true })
  }
}

type Contents = ReadonlyMap<string, readonly Record<string, unknown>[]>

/** Every row of every table. */
export function contentsOf(folder: string): Contents {
  using file = new Database(join(folder, 'lightwire.db'), { readonly: true })
  const tables = file.query<{ name: string }, []>("select name from sqlite_schema where type = 'table'").all()
  return new Map(
    tables.map(({ name }) => [
      name,
      file.query<Record<string, unknown>, []>(`select * from "${name}" order by 1, 2`).all(),
    ]),
  )
}

function differences(before: Contents, after: Contents): string[] {
  const columns = new Set<string>()
  for (const name of new Set([...before.keys(), ...after.keys()])) {
    const [old, now] = [before.get(name) ?? [], after.get(name) ?? []]
    if (old.length !== now.length) columns.add(`${name} (rows)`)
    for (const [index, row] of old.entries()) {
      for (const [column, value] of Object.entries(row)) {
        if (now[index]?.[column] !== value) columns.add(`${name}.${column}`)
      }
    }
  }
  return [...columns]
}
