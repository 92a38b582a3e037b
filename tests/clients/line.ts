/** A line between a client and a server, in the hands of a test: it can be cut, held and mended. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

export interface Line extends AsyncDisposable {
  /** `http://127.0.0.1:PORT`, the same for as long as the line is there. */
  readonly url: string
  /** Connections made through it so far. */
  readonly made: number
  /** Resolves when so many were made. */
  until(made: number): Promise<void>
  /** Ends every connection, in the middle of a byte stream where it happens to be. */
  cut(): void
  /** New connections are refused, and those there are end. */
  down(): void
  /** Nothing passes towards the client, and nobody notices; what is sent waits. */
  hold(): void
  /** Everything passes. */
  mend(): void
}

/** @param target asked at each connection: the server behind may have moved */
export async function startLine(target: () => string): Promise<Line> {
  const pairs = new Set<readonly [client: Socket, upstream: Socket]>()
  let isDown = false
  let isHeld = false
  let made = 0
  const looking = new Set<() => void>()
  const server = createServer((client) => {
    if (isDown) return void client.destroy()
    made += 1
    for (const look of looking) look()
    const upstream = connect(Number(new URL(target()).port), '127.0.0.1')
    const pair = [client, upstream] as const
    pairs.add(pair)
    const end = () => {
      client.destroy()
      upstream.destroy()
      pairs.delete(pair)
    }
    for (const socket of pair) {
      socket.setNoDelay(true)
      socket.on('error', end)
      socket.on('close', end)
    }
    client.pipe(upstream)
    upstream.pipe(client)
    if (isHeld) upstream.unpipe(client).pause()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const cut = () => {
    for (const pair of pairs) for (const socket of pair) socket.destroy()
  }
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get made() {
      return made
    },
    until: (wanted) =>
      new Promise((resolve) => {
        const look = () => {
          if (made < wanted) return
          looking.delete(look)
          resolve()
        }
        looking.add(look)
        look()
      }),
    cut,
    down() {
      isDown = true
      cut()
    },
    hold() {
      isHeld = true
      for (const [client, upstream] of pairs) upstream.unpipe(client).pause()
    },
    mend() {
      isDown = false
      if (isHeld) for (const [client, upstream] of pairs) upstream.pipe(client)
      isHeld = false
    },
    async [Symbol.asyncDispose]() {
      cut()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
