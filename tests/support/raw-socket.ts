/** WebSocket frames by hand over TCP (RFC 6455 §5), for what no WebSocket library would send. */
import { createConnection, type Socket } from 'node:net'

export const TEXT = 1
export const CONTINUATION = 0
export const PING = 9

interface FrameOptions {
  readonly opcode: number
  readonly payload?: Uint8Array
  readonly fin?: boolean
}

/** A client's frame, masked with zeros: masking is then no work. */
export function rawFrame({ opcode, payload = new Uint8Array(), fin = true }: FrameOptions): Buffer {
  const { length } = payload
  const first = (fin ? 0x80 : 0) | opcode
  const head =
    length < 126
      ? Buffer.from([first, 0x80 | length, 0, 0, 0, 0])
      : Buffer.from([first, 0x80 | 126, length >> 8, length & 0xff, 0, 0, 0, 0])
  return Buffer.concat([head, payload])
}

export interface RawConnection {
  readonly socket: Socket
  /** Resolves when either side is done with it. */
  readonly closed: Promise<void>
  /** Bytes from the server so far. */
  received(): Buffer
  /** Resolves when this has arrived; rejects when the connection ends before. */
  until(text: string): Promise<void>
}

/** A TCP connection to the server of a URL; what goes wrong with it ends it, and nothing else. */
export function openRaw(url: string, first = ''): RawConnection {
  const { hostname, port } = new URL(url)
  const chunks: Buffer[] = []
  const socket = createConnection(Number(port), hostname, () => void (first !== '' && socket.write(first)))
  socket.on('error', () => undefined)
  const received = () => Buffer.concat(chunks)
  const waiting: { text: string; resolve: () => void; reject: (error: Error) => void }[] = []
  socket.on('data', (chunk) => {
    chunks.push(Buffer.from(chunk))
    if (waiting.length === 0) return
    const text = received().toString('latin1')
    for (const wait of waiting) if (text.includes(wait.text)) wait.resolve()
  })
  const closed = new Promise<void>((resolve) => {
    socket.on('close', () => {
      resolve()
      for (const { text, reject } of waiting) reject(new Error(`closed before ${JSON.stringify(text)} came`))
    })
  })
  return {
    socket,
    closed,
    received,
    until: (text) =>
      new Promise((resolve, reject) => {
        if (received().toString('latin1').includes(text)) return resolve()
        waiting.push({ text, resolve, reject })
      }),
  }
}

/** An upgrade request; `token` undefined sends none. */
export function upgradeText(token: string | undefined, protocol = 'lightwire.v1.json'): string {
  const lines = [
    'GET /ws HTTP/1.1',
    'Host: 127.0.0.1',
    'Upgrade: websocket',
    'Connection: Upgrade',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    `Sec-WebSocket-Protocol: ${protocol}`,
    ...(token === undefined ? [] : [`Authorization: Bearer ${token}`]),
  ]
  return `${lines.join('\r\n')}\r\n\r\n`
}

/** Hands over as much as the kernel takes, and waits for it to take the rest; false once the connection has ended. */
export async function pour({ socket, closed }: RawConnection, bytes: Uint8Array): Promise<boolean> {
  if (socket.destroyed) return false
  if (socket.write(bytes)) return true
  await Promise.race([new Promise<void>((resolve) => socket.once('drain', () => resolve())), closed])
  return !socket.destroyed
}
