/** An address that stays while the server behind it is killed and started elsewhere. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

export interface SteadyAddress extends AsyncDisposable {
  readonly url: string
}

/** @param urlNow asked at each connection */
export async function startSteady(urlNow: () => string): Promise<SteadyAddress> {
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect(Number(new URL(urlNow()).port), '127.0.0.1')
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket)
      socket.pipe(other)
      socket.on('error', () => other.destroy())
      socket.on('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
