/** Parallel HTTP clients over kept-alive TCP: each sends its next POST when the last one was answered. */

interface LoadOptions {
  /** `http://127.0.0.1:port` */
  readonly url: string
  readonly path: string
  readonly token: string
  readonly clients: number
  readonly ms: number
  /** The body of the n-th request of all. */
  readonly body: (n: number) => string
}

export interface Load {
  readonly answers: number
  readonly seconds: number
}

/** Runs for `ms`, then waits for what is under way. Any answer but 201 rejects. */
export async function postFor({ url, path, token, clients, ms, body }: LoadOptions): Promise<Load> {
  const { hostname, port, host } = new URL(url)
  const fields = `Authorization: Bearer ${token}\r\nContent-Type: application/json\r\n`
  const head = `POST ${path} HTTP/1.1\r\nHost: ${host}\r\n${fields}`
  const failed = Promise.withResolvers<never>()
  const started = performance.now()
  let answers = 0
  let sent = 0

  const runClient = async () => {
    const done = Promise.withResolvers<void>()
    let received = ''
    const next = () => {
      if (performance.now() - started >= ms) return done.resolve()
      const text = body(sent)
      sent += 1
      socket.write(`${head}Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`)
    }
    const socket = await Bun.connect({
      hostname,
      port: Number(port),
      socket: {
        data(_socket, chunk) {
          received += chunk.toString('latin1')
          if (!isWhole(received)) return
          if (!received.startsWith('HTTP/1.1 201')) return failed.reject(new Error(received.slice(0, 500)))
          received = ''
          answers += 1
          next()
        },
        close: () => failed.reject(new Error('the server closed a connection')),
      },
    })
    next()
    await done.promise
    return socket
  }
  const sockets = await Promise.race([
    Promise.all(Array.from({ length: clients }, runClient)),
    failed.promise,
  ])
  const seconds = (performance.now() - started) / 1000
  failed.promise.catch(() => undefined)
  for (const socket of sockets) socket.terminate()
  return { answers, seconds }
}

function isWhole(received: string): boolean {
  const end = received.indexOf('\r\n\r\n')
  if (end < 0) return false
  const length = /content-length: (\d+)/i.exec(received)?.[1]
  return received.length >= end + 4 + Number(length ?? 0)
}
