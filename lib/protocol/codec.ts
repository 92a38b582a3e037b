/** Framings: how one JSON value becomes a frame and back, the same value in each of them. */
import { constants, deflateRawSync, inflateRawSync, type ZlibOptions } from 'node:zlib'
import { Packr } from 'msgpackr'
import { DEPTH_MAX, scanMessagePack } from './msgpack-scan.ts'
import { Refusal } from './refusals.ts'

export const framings = ['json', 'msgpack', 'deflate'] as const
export type Framing = (typeof framings)[number]

/** A frame as a WebSocket takes it: text for JSON, bytes for the binary framings. */
export type Frame = string | Uint8Array<ArrayBuffer>

/** The name that `Sec-WebSocket-Protocol` negotiates a framing by. */
export const subprotocolOf = (framing: Framing) => `lightwire.v1.${framing}` as const
/** Under this many bytes a single DEFLATE stream gains nothing over its own header and tables. */
const DEFLATE_MIN_BYTES = 128
const INT_MAX_32 = 2 ** 32 - 1
/** Deepest nesting of an event: in a batch there are two more levels around it. */
export const EVENT_DEPTH_MAX = DEPTH_MAX - 2

// Records and extension types would not be read by other libraries; see PROTOCOL §1.
const packr = new Packr({ useRecords: false, int64AsType: 'number', moreTypes: false })

export interface Negotiated {
  readonly framing: Framing
  /** Value for `Sec-WebSocket-Protocol`, absent where the client offered none. */
  readonly answer?: string
  /** The token of an offered `bearer.<token>`; never echoed. */
  readonly bearer?: string
}

/**
 * Chooses the framing from the offered subprotocols, else from `?format=` (PROTOCOL §1).
 * @throws {Refusal} `unsupported_protocol` when the client offers only what nobody here speaks.
 */
export function negotiate(offered: string | null, format: string | null): Negotiated {
  const names = (offered ?? '').split(',').flatMap((name) => name.trim() || [])
  const bearer = names.find((name) => name.startsWith('bearer.'))?.slice('bearer.'.length)
  const token = bearer === undefined ? {} : { bearer }
  for (const name of names) {
    const framing = framings.find((known) => name === subprotocolOf(known))
    if (framing) return { framing, answer: name, ...token }
  }
  const asked = format ?? (names.length === 0 ? 'json' : null)
  const framing = framings.find((known) => known === asked)
  if (framing && names.length === 0) return { framing }
  const known = framings.map(subprotocolOf).join(', ')
  throw new Refusal('unsupported_protocol', `no subprotocol in common; this server speaks ${known}`)
}

/** Encodes a JSON text, so that every framing carries what JSON's own normalisation left. */
export function encodeJson(framing: Framing, json: string): Frame {
  if (framing === 'json') return json
  const packed = packr.pack(widenIntegers(JSON.parse(json)))
  // msgpackr hands out slices of a shared 8 KB buffer; a kept frame must not pin it.
  if (framing === 'msgpack') return new Uint8Array(packed)
  return wrapDeflate(packed, (bytes) => deflateRawSync(bytes, { level: constants.Z_BEST_SPEED }))
}

/** A MessagePack value as a frame of the deflate framing: compressed where that makes it smaller. */
export function wrapDeflate<B extends Uint8Array>(
  packed: B,
  deflateRaw: (bytes: B) => Uint8Array,
): Uint8Array<ArrayBuffer> {
  const deflated = packed.length < DEFLATE_MIN_BYTES ? null : deflateRaw(packed)
  return deflated && deflated.length < packed.length ? prefixed(1, deflated) : prefixed(0, packed)
}

/** Encodes a message that is built here and fits JSON. */
export function encodeMessage(framing: Framing, message: object): Frame {
  return encodeJson(framing, JSON.stringify(message))
}

/**
 * Decodes one frame of at most `maxBytes` (inflated too): text is JSON, bytes are the connection's binary framing,
 * MessagePack where that is JSON.
 * @throws {Refusal} `invalid_message`, or `too_large` for a frame that inflates beyond the bound.
 */
export function decodeFrame(framing: Framing, frame: string | Uint8Array, maxBytes: number): unknown {
  if (typeof frame === 'string') return decodeJson(frame)
  const packed = framing === 'deflate' ? unwrapDeflate(frame, maxBytes) : frame
  scanMessagePack(packed)
  return normalise(packr.unpack(packed))
}

/** Parses a JSON text whose depth is bounded before anything recursive sees it; `what` it is, for a refusal. @throws {Refusal} */
export function decodeJson(json: string, what = 'the message'): unknown {
  requireDepth(json, DEPTH_MAX)
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch {
    throw new Refusal('invalid_message', `${what} is not JSON`)
  }
  return normalise(value)
}

function unwrapDeflate(frame: Uint8Array, maxBytes: number): Uint8Array {
  if (frame[0] === 0) return frame.subarray(1)
  if (frame[0] !== 1) throw new Refusal('invalid_message', 'a deflate frame begins with byte 0 or 1')
  let inflated: Inflated
  try {
    // Its types do not know what `info` makes it give.
    const options = { maxOutputLength: maxBytes, info: true } as ZlibOptions
    inflated = inflateRawSync(frame.subarray(1), options) as unknown as Inflated
  } catch (cause) {
    const tooLarge =
      cause instanceof RangeError || (cause as { code?: string }).code === 'ERR_BUFFER_TOO_LARGE'
    if (tooLarge) throw new Refusal('too_large', `the frame inflates to more than ${maxBytes} bytes`)
    throw new Refusal('invalid_message', 'the frame is not raw DEFLATE (RFC 1951)')
  }
  if (inflated.engine.bytesWritten !== frame.length - 1)
    throw new Refusal('invalid_message', 'bytes follow the DEFLATE stream')
  return inflated.buffer
}

interface Inflated {
  readonly buffer: Uint8Array
  /** How many bytes it took. */
  readonly engine: { readonly bytesWritten: number }
}

function prefixed(kind: 0 | 1, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const frame = new Uint8Array(payload.length + 1)
  frame[0] = kind
  frame.set(payload, 1)
  return frame
}

/**
 * msgpackr writes integers above 2^32 − 1 as floats; other libraries would then read another type than from JSON.
 * From 2^64 on MessagePack has no integers; there a float is all it can say.
 */
function widenIntegers(value: unknown): unknown {
  if (typeof value === 'number') {
    const wide = Number.isInteger(value) && (value > INT_MAX_32 || value < -(2 ** 31))
    return wide && value >= -(2 ** 63) && value < 2 ** 64 ? BigInt(value) : value
  }
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(widenIntegers)
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, widenIntegers(field)]))
}

/** The one place where decoded values are made JSON's: well-formed strings, finite numbers, no holes. */
function normalise(value: unknown): unknown {
  if (typeof value === 'string') {
    if (!value.isWellFormed()) throw new Refusal('invalid_message', 'a string holds a lone surrogate')
    return value
  }
  if (typeof value === 'bigint') return Number(value)
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw new Refusal('invalid_message', 'a number is not finite')
  }
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(normalise)
  const entries = Object.entries(value)
  for (const [key] of entries) {
    normalise(key)
    // Objects lose it on the way; the scan refuses it in MessagePack, where unpacking would rename it.
    if (key === '__proto__') throw new Refusal('invalid_message', 'a key is __proto__')
  }
  return Object.fromEntries(entries.map(([key, field]) => [key, normalise(field)]))
}

/** Looks at a JSON text's brackets. @throws {Refusal} `invalid_message` where it nests deeper */
export function requireDepth(json: string, levelsMax: number): void {
  let depth = 0
  let inString = false
  for (let at = 0; at < json.length; at += 1) {
    const code = json.charCodeAt(at)
    if (inString) {
      if (code === 0x5c) at += 1
      else if (code === 0x22) inString = false
    } else if (code === 0x22) inString = true
    else if (code === 0x7b || code === 0x5b) {
      depth += 1
      if (depth > levelsMax)
        throw new Refusal('invalid_message', `nesting is deeper than ${levelsMax} levels`)
    } else if (code === 0x7d || code === 0x5d) depth -= 1
  }
}
