/** Starts the Lua driver, and hands its lines on: LuaSocket waits for sockets, not for stdin. */
import { join } from 'node:path'
import { projectRoot } from '../../support/process.ts'
import { tools } from '../../support/tools.ts'

const { lua } = tools
if (lua === undefined) throw new Error('no Lua 5.1 with LuaSocket here')

const connected = Promise.withResolvers<Bun.Socket>()
const closed = Promise.withResolvers<void>()
const listener = Bun.listen({
  hostname: '127.0.0.1',
  port: 0,
  socket: {
    open: (socket) => connected.resolve(socket),
    data: (_socket, bytes) => void process.stdout.write(bytes),
    close: () => closed.resolve(),
  },
})
const words = [lua, join(projectRoot, 'tests/clients/drivers/client.lua'), projectRoot, String(listener.port)]
const child = Bun.spawn(words, { stdin: 'ignore', stdout: 'inherit', stderr: 'inherit' })
process.on('SIGTERM', () => child.kill())

async function forward(): Promise<void> {
  const socket = await connected.promise
  for await (const bytes of Bun.stdin.stream()) socket.write(bytes)
}

void forward()
const code = await child.exited
// Its last lines may still be on their way; where it never came so far, nothing is.
const isConnected = Bun.peek.status(connected.promise) === 'fulfilled'
if (isConnected) await closed.promise
listener.stop()
process.stdout.write('', () => process.exit(code))
