/** WebSocket frames as bytes (RFC 6455 §5), for those that no client library would send. */
import { connect } from 'node:net'

export interface Frame {
  readonly opcode: number
  readonly payload: Buffer
}

/** What to make a frame of; a client's is final, masked and as long as its payload unless this says otherwise. */
interface FrameOptions {
  readonly opcode: number
  readonly payload?: string | Uint8Array
  readonly final?: boolean
  readonly masked?: boolean
  /** Reserved bits, RSV1 being 4. */
  readonly reserved?: number
  /** How the length is written, when not in the fewest bytes. */
  readonly lengthBytes?: 0 | 2 | 8
  /** What the head says, instead of the payload's own length. */
  readonly length?: bigint
}

export function frameOf({
  opcode,
  payload = '',
  final = true,
  masked = true,
  reserved = 0,
  lengthBytes,
  length,
}: FrameOptions): Buffer {
  const bytes = Buffer.from(payload)
  const size = length ?? BigInt(bytes.length)
  const width = lengthBytes ?? (size < 126n ? 0 : size < 65_536n ? 2 : 8)
  const head = Buffer.alloc(2 + width)
  head.writeUInt8((final ? 0x80 : 0) | (reserved << 4) | opcode, 0)
  head.writeUInt8((masked ? 0x80 : 0) | (width === 0 ? Number(size) : width === 2 ? 126 : 127), 1)
  if (width === 2) head.writeUInt16BE(Number(size), 2)
  if (width === 8) head.writeBigUInt64BE(size, 2)
  const mask = Buffer.from([0x12, 0x34, 0x56, 0x78])
  const body = masked ? bytes.map((byte, at) => byte ^ (mask[at % 4] ?? 0)) : bytes
  return Buffer.concat([head, masked ? mask : Buffer.alloc(0), body])
}

export type RawFrames = Awaited<ReturnType<typeof openRawFrames>>

/** Upgrades; with `AUTH=off` no token is needed. */
export async function openRawFrames(url: string, { token }: { token?: string } = {}) {
  const { hostname, port, host } = new URL(url)
  const socket = connect(Number(port), hostname)
  const frames: Frame[] = []
  const ended = Promise.withResolvers<number>()
  const upgraded = Promise.withResolvers<void>()
  let rest = Buffer.alloc(0)
  let isOpen = false
  let closeCode = 1006
  let waiting: { matches: (frame: Frame) => boolean; resolve: (frame: Frame) => void }[] = []
  socket.on('data', (chunk) => {
    rest = Buffer.concat([rest, Buffer.from(chunk)])
    if (!isOpen) {
      const end = rest.indexOf('\r\n\r\n')
      if (end < 0) return
      if (!rest.toString('latin1').startsWith('HTTP/1.1 101'))
        return upgraded.reject(new Error(rest.toString()))
      rest = rest.subarray(end + 4)
      isOpen = true
      upgraded.resolve()
    }
    for (let frame = take(); frame; frame = take()) {
      const { opcode, payload } = frame
      frames.push(frame)
      if (opcode === 8) closeCode = payload.length >= 2 ? payload.readUInt16BE(0) : 1005
      waiting = waiting.filter(
        ({ matches, resolve }) => !matches({ opcode, payload }) || (resolve({ opcode, payload }), false),
      )
    }
  })
  socket.on('close', () => ended.resolve(closeCode))
  // What the server resets is seen as its close.
  socket.on('error', () => undefined)
  const bearer = token === undefined ? '' : `Authorization: Bearer ${token}\r\n`
  socket.write(
    `GET /ws HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n` +
      `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${bearer}\r\n`,
  )
  await upgraded.promise

  /** A whole frame of the server's, unmasked. */
  function take(): Frame | undefined {
    if (rest.length < 2) return undefined
    const short = rest.readUInt8(1) & 0x7f
    const start = short < 126 ? 2 : short === 126 ? 4 : 10
    if (rest.length < start) return undefined
    const size = short < 126 ? short : short === 126 ? rest.readUInt16BE(2) : Number(rest.readBigUInt64BE(2))
    if (rest.length < start + size) return undefined
    const frame = { opcode: rest.readUInt8(0) & 0x0f, payload: rest.subarray(start, start + size) }
    rest = rest.subarray(start + size)
    return frame
  }

  return {
    frames,
    /** The code of the server's close frame, 1006 where it sent none. */
    closed: ended.promise,
    send: (...sent: readonly FrameOptions[]): void => void socket.write(Buffer.concat(sent.map(frameOf))),
    /** The first frame that is such, past ones included. */
    next(matches: (frame: Frame) => boolean): Promise<Frame> {
      const there = frames.find(matches)
      if (there) return Promise.resolve(there)
      return new Promise((resolve, reject) => {
        waiting.push({ matches, resolve })
        void ended.promise.then((code) => reject(new Error(`closed with ${code} while waiting`)))
      })
    },
    [Symbol.dispose]: (): void => void socket.destroy(),
  }
}
