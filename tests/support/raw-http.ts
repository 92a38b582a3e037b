/** HTTP as bytes over a socket, for requests that no client library would send, and answers as they came. */
import { connect } from 'node:net'

export interface RawAnswer {
  /** 0 where the connection ended without an answer. */
  readonly status: number
  /** Names in lower case; repeated ones joined with a comma. */
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
  /** Whether more than one answer came. */
  readonly isMore: boolean
}

const NOTHING: RawAnswer = { status: 0, headers: new Map(), body: '', isMore: false }

/** Sends a request; resolves with its answer when that is whole, stands (101, a stream), or the server hung up. */
export function rawRequest(url: string, text: string): Promise<RawAnswer> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname)
    let received = ''
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1')
      const answer = read(received, text.startsWith('HEAD '))
      if (!answer) return
      resolve(answer)
      socket.destroy()
    })
    socket.on('close', () => resolve(read(received, true) ?? NOTHING))
    socket.on('error', reject)
    socket.write(text, 'latin1')
  })
}

function read(received: string, isBodiless: boolean): RawAnswer | undefined {
  const end = received.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const [statusLine = '', ...lines] = received.slice(0, end).split('\r\n')
  const status = Number(statusLine.split(' ')[1])
  const headers = new Map<string, string>()
  for (const line of lines) {
    const [name = '', ...value] = line.split(':')
    const key = name.toLowerCase()
    const before = headers.get(key)
    headers.set(key, `${before === undefined ? '' : `${before}, `}${value.join(':').trim()}`)
  }
  const body = received.slice(end + 4)
  const length = headers.get('content-length')
  const isWhole =
    isBodiless ||
    [101, 204].includes(status) ||
    headers.get('content-type') === 'text/event-stream' ||
    (length !== undefined && body.length >= Number(length)) ||
    body.endsWith('0\r\n\r\n')
  return isWhole ? { status, headers, body, isMore: body.includes('HTTP/1.1 ') } : undefined
}
