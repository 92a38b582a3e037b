/** Frames: of what comes those of the binary framings, which `msgpackr` and an inflater read; what is sent is always JSON. */
import { LightwireError, type Framing, type Message } from './types.ts'

/** What the server takes in one frame (PROTOCOL §2, `too_large`): one byte more ends the connection for good. */
const SENT_BYTES_MAX = 65_536
/** Of the number that a line gives to a message. */
const ID_BYTES_MAX = `,"id":${Number.MAX_SAFE_INTEGER}`.length
/** More than the server ever sends in one frame. */
const INFLATED_BYTES_MAX = 1_048_576

type Unpack = (bytes: Uint8Array) => unknown
type Inflate = (bytes: Uint8Array<ArrayBuffer>) => Uint8Array | Promise<Uint8Array>

export type Decode = (frame: string | ArrayBuffer) => Message | Promise<Message>

const parse = (text: string) => JSON.parse(text) as Message

/**
 * A copy that any line can send, whatever its number and whatever becomes of the original.
 * @throws {LightwireError} `too_large` @throws {TypeError} for what is no JSON
 */
export function sendable(message: Message): Message {
  const text = JSON.stringify(message)
  if (new TextEncoder().encode(text).length + ID_BYTES_MAX > SENT_BYTES_MAX)
    throw new LightwireError('too_large', `the message has more than ${SENT_BYTES_MAX} bytes`)
  return parse(text)
}

/** Loads what the framing needs. */
export async function createDecoder(framing: Framing): Promise<Decode> {
  if (framing === 'json') return (frame) => parse(frame as string)
  const { Unpackr } = await import('msgpackr')
  const unpackr = new Unpackr({ useRecords: false, int64AsType: 'number' })
  const unpack: Unpack = (bytes) => unpackr.unpack(bytes)
  const inflate = framing === 'deflate' ? findInflate() : undefined
  return (frame) => {
    if (typeof frame === 'string') return parse(frame)
    const bytes = new Uint8Array(frame)
    if (!inflate) return unpack(bytes) as Message
    const rest = bytes.subarray(1)
    if (bytes[0] === 0) return unpack(rest) as Message
    const inflated = inflate(rest)
    return inflated instanceof Promise
      ? inflated.then((whole) => unpack(whole) as Message)
      : (unpack(inflated) as Message)
  }
}

interface Zlib {
  inflateRawSync(bytes: Uint8Array, options: { maxOutputLength: number }): Uint8Array
}

/** Node's and Bun's own where there is one: it needs no turn of the event loop per frame. */
function findInflate(): Inflate {
  const { process } = globalThis as { process?: { getBuiltinModule?: (name: string) => Zlib | undefined } }
  const zlib = process?.getBuiltinModule?.('node:zlib')
  if (zlib) return (bytes) => zlib.inflateRawSync(bytes, { maxOutputLength: INFLATED_BYTES_MAX })
  return async (bytes) => {
    const chunks: Uint8Array[] = []
    let length = 0
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate-raw'))
    const reader = stream.getReader()
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      length += part.value.length
      if (length > INFLATED_BYTES_MAX) throw new RangeError('a frame inflates to more than is allowed')
      chunks.push(part.value)
    }
    const whole = new Uint8Array(length)
    let at = 0
    for (const chunk of chunks) {
      whole.set(chunk, at)
      at += chunk.length
    }
    return whole
  }
}
