/** Walks a MessagePack value before anything unpacks it: JSON's types only, bounded depth, honest lengths. */
import { isUtf8 } from 'node:buffer'
import { Refusal } from './refusals.ts'

/** Deepest nesting of maps and arrays that a message may have, in any framing. */
export const DEPTH_MAX = 32
const PROTO = Buffer.from('__proto__')

/**
 * Accepts exactly one value of the types JSON has too. msgpackr would also build dates, records, sets and
 * regular expressions from extension types, and recurse as deep as it is told.
 * @throws {Refusal} `invalid_message`
 */
export function scanMessagePack(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  /** How many values are still to come in each open container; a map's keys and values both count. */
  const open: { left: number; isMap: boolean }[] = [{ left: 1, isMap: false }]
  let at = 0

  const take = (length: number) => {
    const start = at
    if (length > bytes.length - at) throw refused('it ends in the middle of a value')
    at += length
    return start
  }
  const length = (width: 1 | 2 | 4) => {
    const start = take(width)
    return width === 1 ? view.getUint8(start) : width === 2 ? view.getUint16(start) : view.getUint32(start)
  }
  const string = (size: number, isKey: boolean) => {
    const start = take(size)
    const isProto = isKey && size === PROTO.length && PROTO.equals(bytes.subarray(start, start + size))
    if (isProto) throw refused('a key is __proto__')
    if (!isUtf8(bytes.subarray(start, start + size))) throw refused('a string is not valid UTF-8')
  }
  const container = (size: number, isMap: boolean) => {
    if (open.length > DEPTH_MAX) throw refused(`nesting is deeper than ${DEPTH_MAX} levels`)
    if (size > bytes.length - at) throw refused('it ends in the middle of a value')
    open.push({ left: isMap ? size * 2 : size, isMap })
  }

  for (let top = open.at(-1); top; top = open.at(-1)) {
    if (top.left === 0) {
      open.pop()
      continue
    }
    const isKey = top.isMap && top.left % 2 === 0
    top.left -= 1
    const tag = view.getUint8(take(1))
    const isString = (tag >= 0xa0 && tag <= 0xbf) || (tag >= 0xd9 && tag <= 0xdb)
    if (isKey && !isString) throw refused('a map key is not a string')

    if (tag <= 0x7f || tag >= 0xe0) continue
    if (tag <= 0x8f) container(tag & 0x0f, true)
    else if (tag <= 0x9f) container(tag & 0x0f, false)
    else if (tag <= 0xbf) string(tag & 0x1f, isKey)
    else if (tag === 0xc0 || tag === 0xc2 || tag === 0xc3) continue
    else if (tag === 0xca || tag === 0xcb)
      finite(tag === 0xca ? view.getFloat32(take(4)) : view.getFloat64(take(8)))
    else if (tag >= 0xcc && tag <= 0xd3) take(1 << (tag - (tag <= 0xcf ? 0xcc : 0xd0)))
    else if (tag === 0xd9) string(length(1), isKey)
    else if (tag === 0xda) string(length(2), isKey)
    else if (tag === 0xdb) string(length(4), isKey)
    else if (tag === 0xdc || tag === 0xdd) container(length(tag === 0xdc ? 2 : 4), false)
    else if (tag === 0xde || tag === 0xdf) container(length(tag === 0xde ? 2 : 4), true)
    else throw refused(`type 0x${tag.toString(16)} has no counterpart in JSON`)
  }
  if (at !== bytes.length) throw refused('bytes follow the value')
}

function finite(value: number): void {
  if (!Number.isFinite(value)) throw refused('a number is not finite')
}

function refused(what: string): Refusal {
  return new Refusal('invalid_message', `not an acceptable MessagePack message: ${what}`)
}
