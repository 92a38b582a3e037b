/** SQLite's write-ahead log as it lies on the disk, checked frame by frame (https://sqlite.org/fileformat2.html#walformat). */
import { existsSync, readFileSync } from 'node:fs'

const HEADER_BYTES = 32
const FRAME_HEADER_BYTES = 24
/** The last bit says in which order the checksums read their bytes. */
const MAGIC = 0x37_7f_06_82

interface Sums {
  readonly a: number
  readonly b: number
}

/**
 * SQLite ends its history at the first frame that does not fit its checksum, and says nothing: commits behind such a
 * frame tell that it is damaged and not just unfinished. What of the log is read, as a sentence, and what is wrong with it.
 */
export function verifyLog(path: string): { readonly detail: string; readonly faults: readonly string[] } {
  const log = existsSync(path) ? readFileSync(path) : Buffer.alloc(0)
  if (log.length === 0) return { detail: 'empty', faults: [] }
  const header = readHeader(log)
  if (!header) return { detail: '', faults: ['its header is damaged: all commits in it are lost'] }

  const { pageBytes, salts, littleEndian } = header
  const frameBytes = FRAME_HEADER_BYTES + pageBytes
  const frames = Math.floor((log.length - HEADER_BYTES) / frameBytes)
  let sums = header.sums
  let whole = 0
  let commits = 0
  for (; whole < frames; whole += 1) {
    const at = HEADER_BYTES + whole * frameBytes
    const page = at + FRAME_HEADER_BYTES
    const after = add(add(sums, log, at, at + 8, littleEndian), log, page, page + pageBytes, littleEndian)
    const fits = log.readUInt32BE(at + 16) === after.a && log.readUInt32BE(at + 20) === after.b
    if (!fits || saltsAlike(log, at, salts) < 2) break
    sums = after
    if (isCommit(log, at)) commits += 1
  }
  let lost = 0
  for (let frame = whole; frame < frames; frame += 1) {
    const at = HEADER_BYTES + frame * frameBytes
    // Frames of an earlier round of the log have both salts of their own; those of a write that was given up, no commit.
    if (saltsAlike(log, at, salts) > 0 && isCommit(log, at)) lost += 1
  }
  const faults =
    lost === 0
      ? []
      : [
          `frame ${whole + 1} is damaged, and ${lost} ${lost === 1 ? 'commit' : 'commits'} from there on are lost ` +
            '(or, after a power cut, were never acknowledged)',
        ]
  return { detail: `${commits} commits that are not in the database file yet`, faults }
}

function readHeader(log: Buffer) {
  if (log.length < HEADER_BYTES) return undefined
  const magic = log.readUInt32BE(0)
  const littleEndian = magic === MAGIC
  if (!littleEndian && magic !== MAGIC + 1) return undefined
  const sums = add({ a: 0, b: 0 }, log, 0, 24, littleEndian)
  if (log.readUInt32BE(24) !== sums.a || log.readUInt32BE(28) !== sums.b) return undefined
  const pageBytes = log.readUInt32BE(8)
  return { littleEndian, sums, pageBytes, salts: [log.readUInt32BE(16), log.readUInt32BE(20)] as const }
}

/** How many of a frame's two salts are the log's. */
function saltsAlike(log: Buffer, at: number, [first, second]: readonly [number, number]): number {
  return Number(log.readUInt32BE(at + 8) === first) + Number(log.readUInt32BE(at + 12) === second)
}

/** The last frame of a commit says how many pages the database has then. */
function isCommit(log: Buffer, at: number): boolean {
  return log.readUInt32BE(at + 4) !== 0
}

function add({ a, b }: Sums, log: Buffer, from: number, to: number, littleEndian: boolean): Sums {
  const view = new DataView(log.buffer, log.byteOffset + from, to - from)
  let [first, second] = [a, b]
  for (let at = 0; at < view.byteLength; at += 8) {
    first = (first + view.getUint32(at, littleEndian) + second) >>> 0
    second = (second + view.getUint32(at + 4, littleEndian) + first) >>> 0
  }
  return { a: first, b: second }
}
