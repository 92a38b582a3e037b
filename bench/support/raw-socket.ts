/** A cheap WebSocket subscriber: a hand-made upgrade over TCP; what comes is counted, or cut into frames. */
import { dlopen, ptr } from 'bun:ffi'
import type { Socket } from 'bun'
import { subprotocolOf, type Framing } from '../../lib/protocol/codec.ts'

const OPCODE_CLOSE = 8
const OPCODE_PING = 9
const OPCODE_PONG = 10

export interface RawOptions {
  /** `http://127.0.0.1:port` */
  readonly url: string
  readonly token?: string
  /** Negotiated as a subprotocol; JSON where none is. What is sent is JSON in any case. */
  readonly framing?: Framing
  /** SO_RCVBUF, with segments as on a network: the kernel then takes little (Linux, IPv4). */
  readonly receiveBufferBytes?: number
  /** Gets each frame of text or binary; without it only bytes are counted. */
  readonly onFrame?: (payload: Buffer) => void
}

export type RawSocket = Awaited<ReturnType<typeof openRawSocket>>

/** Resolves when the upgrade was answered. */
export async function openRawSocket({ url, token, framing, receiveBufferBytes, onFrame }: RawOptions) {
  const { hostname, port, host } = new URL(url)
  const upgraded = Promise.withResolvers<void>()
  const ended = Promise.withResolvers<string>()
  let rest: Buffer | undefined
  let greeted = false
  let closing = ''

  const state = { bytes: 0, frames: 0 }
  const takeFrames = (socket: Socket, chunk: Buffer) => {
    const buffer = rest ? Buffer.concat([rest, chunk]) : chunk
    let at = 0
    for (let frame = frameAt(buffer, at); frame; frame = frameAt(buffer, at)) {
      at = frame.end
      const payload = buffer.subarray(frame.start, frame.end)
      if (frame.opcode === OPCODE_PING) socket.write(maskedFrame(OPCODE_PONG, payload))
      else if (frame.opcode === OPCODE_CLOSE) closing = `${payload.readUInt16BE(0)} ${payload.subarray(2)}`
      else {
        state.frames += 1
        onFrame?.(payload)
      }
    }
    // A copy: what is left over must not pin the whole chunk.
    rest = at < buffer.length ? Buffer.from(buffer.subarray(at)) : undefined
  }
  const handlers = {
    data(socket: Socket, chunk: Buffer) {
      const body = greeted ? chunk : afterHead(chunk)
      if (!body) return upgraded.reject(new Error(`no upgrade: ${chunk.subarray(0, 200)}`))
      if (!greeted) upgraded.resolve()
      greeted = true
      state.bytes += body.length
      if (onFrame) takeFrames(socket, body)
    },
    close: () => {
      upgraded.reject(new Error('closed before the upgrade'))
      ended.resolve(closing)
    },
  }
  const target =
    receiveBufferBytes === undefined
      ? { hostname, port: Number(port) }
      : { fd: connectWithBuffer(hostname, Number(port), receiveBufferBytes) }
  // Bun's types know `fd` for listening only.
  const socket = await Bun.connect({ ...target, socket: handlers } as {
    hostname: string
    port: number
    socket: typeof handlers
  })
  socket.write(
    `GET /ws HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n` +
      `${framing === undefined ? '' : `Sec-WebSocket-Protocol: ${subprotocolOf(framing)}\r\n`}` +
      `${token === undefined ? '' : `Authorization: Bearer ${token}\r\n`}\r\n`,
  )
  await upgraded.promise

  return {
    /** Bytes and frames received after the upgrade; frames only with `onFrame`. */
    state,
    /** Resolves when the connection ended, with the server's close code and reason or ''. */
    ended: ended.promise,
    send(message: object): void {
      socket.write(maskedFrame(1, Buffer.from(JSON.stringify(message))))
    },
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    terminate: () => socket.terminate(),
  }
}

/** What follows the 101 answer's head, undefined when it is none. */
function afterHead(chunk: Buffer): Buffer | undefined {
  const end = chunk.indexOf('\r\n\r\n')
  return end > 0 && chunk.subarray(0, 12).toString() === 'HTTP/1.1 101' ? chunk.subarray(end + 4) : undefined
}

/** A whole, unmasked and unfragmented frame (RFC 6455 §5.2): a server of ours sends no other. */
function frameAt(buffer: Buffer, at: number): { opcode: number; start: number; end: number } | undefined {
  if (buffer.length < at + 2) return undefined
  const opcode = buffer.readUInt8(at) & 0x0f
  const short = buffer.readUInt8(at + 1) & 0x7f
  const start = at + (short < 126 ? 2 : short === 126 ? 4 : 10)
  if (buffer.length < start) return undefined
  const length =
    short < 126 ? short : short === 126 ? buffer.readUInt16BE(at + 2) : Number(buffer.readBigUInt64BE(at + 2))
  const end = start + length
  return buffer.length < end ? undefined : { opcode, start, end }
}

/** A client's frame, masked with zeros: the mask protects proxies, and there is none here. */
function maskedFrame(opcode: number, payload: Buffer): Buffer {
  const head =
    payload.length < 126
      ? [0x80 | opcode, 0x80 | payload.length]
      : [0x80 | opcode, 0x80 | 126, payload.length >> 8, payload.length & 0xff]
  return Buffer.concat([Buffer.from([...head, 0, 0, 0, 0]), payload])
}

const SOCK_STREAM = 1
const AF_INET = 2
const SOL_SOCKET = 1
const SO_RCVBUF = 8
const IPPROTO_TCP = 6
const TCP_MAXSEG = 2
/** With the loopback's own segments the server's side of the kernel would take 2.8 MB for each socket. */
const ETHERNET_SEGMENT_BYTES = 1448

/** Bun has no option for SO_RCVBUF, and after connecting it would be too late for the window. */
function connectWithBuffer(address: string, port: number, bytes: number): number {
  const { symbols } = dlopen('libc.so.6', {
    socket: { args: ['i32', 'i32', 'i32'], returns: 'i32' },
    setsockopt: { args: ['i32', 'i32', 'i32', 'ptr', 'u32'], returns: 'i32' },
    connect: { args: ['i32', 'ptr', 'u32'], returns: 'i32' },
  })
  const descriptor = symbols.socket(AF_INET, SOCK_STREAM, 0)
  symbols.setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, ptr(new Int32Array([bytes])), 4)
  symbols.setsockopt(descriptor, IPPROTO_TCP, TCP_MAXSEG, ptr(new Int32Array([ETHERNET_SEGMENT_BYTES])), 4)
  const target = new DataView(new ArrayBuffer(16))
  target.setUint16(0, AF_INET, true)
  target.setUint16(2, port)
  for (const [index, part] of address.split('.').entries()) target.setUint8(4 + index, Number(part))
  if (symbols.connect(descriptor, ptr(target), 16) !== 0)
    throw new Error(`could not connect to ${address}:${port}`)
  return descriptor
}

/** Opens many, a few at a time, so that no listen queue overflows. */
export async function openMany<T>(count: number, open: (index: number) => Promise<T>): Promise<T[]> {
  const opened: T[] = []
  for (let at = 0; at < count; at += 50) {
    const batch = Array.from({ length: Math.min(50, count - at) }, (_, offset) => open(at + offset))
    opened.push(...(await Promise.all(batch)))
  }
  return opened
}
