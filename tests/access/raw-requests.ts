/** Requests to the byte: what no HTTP client would send, over REST and as an upgrade, and what the server makes of it. */
import { connect } from 'node:net'

/** `200`, or status and code of a refusal: `401 invalid_token`. */
export async function restOutcome(
  url: string,
  lines: readonly string[],
  path = '/api/sessions',
): Promise<string> {
  const answer = (await exchange(url, [`GET ${path} HTTP/1.1`, ...lines, 'Connection: close'])).toString()
  const code = /"code":"(\w+)"/.exec(answer)?.[1]
  return [statusOf(answer), code].filter(Boolean).join(' ')
}

/** The close code as text, `open` for a socket that was welcomed, or status and code where it was not upgraded. */
export async function socketOutcome(url: string, lines: readonly string[], path = '/ws'): Promise<string> {
  const upgrade = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13']
  const key = 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='
  let outcome: string | undefined
  const isOver = (received: Buffer) => {
    outcome = outcomeOf(received)
    return outcome !== undefined
  }
  const answer = await exchange(url, [`GET ${path} HTTP/1.1`, ...upgrade, key, ...lines], isOver)
  if (outcome !== undefined) return outcome
  return [statusOf(answer.toString()), /"code":"(\w+)"/.exec(answer.toString())?.[1]]
    .filter(Boolean)
    .join(' ')
}

/** Sends a request and gives what came back until the server closes, or until it is enough. */
function exchange(
  url: string,
  lines: readonly string[],
  isEnough: (received: Buffer) => boolean = () => false,
): Promise<Buffer> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    let received: Buffer = Buffer.alloc(0)
    const socket = connect(Number(port), hostname, () => {
      // Each character is one byte.
      socket.write([...lines, `Host: ${hostname}:${port}`, '', ''].join('\r\n'), 'latin1')
    })
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk])
      if (isEnough(received)) socket.destroy()
      // A refused upgrade leaves the connection to the next request.
      else if (isWholeRefusal(received)) socket.end()
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(received))
  })
}

function isWholeRefusal(received: Buffer): boolean {
  const text = received.toString('latin1')
  const head = text.indexOf('\r\n\r\n')
  const length = /content-length: (\d+)/i.exec(text)?.[1]
  return !text.startsWith('HTTP/1.1 101') && head >= 0 && text.length >= head + 4 + Number(length ?? Infinity)
}

function statusOf(answer: string): string {
  return /^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 'no answer'
}

/** Reads the server's frames (RFC 6455 §5.2; it does not mask): the code of a close, or a greeting. */
function outcomeOf(received: Buffer): string | undefined {
  if (!received.toString('latin1').startsWith('HTTP/1.1 101')) return undefined
  let frame = received.subarray(received.indexOf('\r\n\r\n') + 4)
  while (frame.length >= 2) {
    const opcode = (frame[0] ?? 0) & 0x0f
    const short = (frame[1] ?? 0) & 0x7f
    const start = short === 126 ? 4 : 2
    if (frame.length < start) return undefined
    const end = start + (short === 126 ? frame.readUInt16BE(2) : short)
    if (frame.length < end) return undefined
    const content = frame.subarray(start, end)
    if (opcode === 8) return String(content.readUInt16BE(0))
    if (content.toString().includes('connection_established')) return 'open'
    frame = frame.subarray(end)
  }
  return undefined
}
