/** A Chromium of its own, and pages for it that somebody else's server gives. */
import { createServer, connect, type AddressInfo, type Socket } from 'node:net'
import { chromium, type Browser, type BrowserServer } from 'playwright-core'

const options = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/**
 * Names under `example` lead to this machine, as a resolver of somebody else's might say.
 * @param rules more of the kind: `MAP host:port host:port`
 */
export async function startBrowser(
  executablePath: string,
  rules: readonly string[] = [],
): Promise<Browser & AsyncDisposable> {
  return await chromium.launch(launchOptions(executablePath, rules))
}

/** One that several programs share, each in a context of its own. */
export async function startSharedBrowser(
  executablePath: string,
  rules: readonly string[] = [],
): Promise<BrowserServer> {
  return await chromium.launchServer({ ...launchOptions(executablePath, rules), host: '127.0.0.1' })
}

/** @param endpoint of a shared browser */
export async function joinBrowser(endpoint: string): Promise<Browser & AsyncDisposable> {
  return await chromium.connect(endpoint)
}

function launchOptions(executablePath: string, rules: readonly string[]) {
  const resolving = ['MAP *.example 127.0.0.1', ...rules].join(',')
  return { executablePath, headless: true, args: [...options, `--host-resolver-rules=${resolving}`] }
}

export interface PageServer extends AsyncDisposable {
  readonly port: number
  /** From now on this port is that server: what a name does that is rebound. */
  rebind(url: string): void
}

/** Serves one empty page at every address. */
export async function servePage(): Promise<PageServer> {
  let target: { port: number; host: string } | undefined
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => sockets.delete(socket))
    if (target) {
      const to = connect(target)
      to.on('error', () => undefined)
      return void socket.pipe(to).pipe(socket)
    }
    const head = 'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n'
    socket.once('data', () => socket.end(`${head}\r\n<!doctype html><title>a page</title><body></body>`))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    rebind(url) {
      const { hostname, port } = new URL(url)
      target = { host: hostname, port: Number(port) }
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve))
      // A browser keeps its connections for the next request.
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}
