/** The TypeScript client in Node, which is handed a WebSocket, through every scenario; bundled once, as an application would. */
import { afterAll } from 'bun:test'
import { join } from 'node:path'
import { temporaryFolder } from '../support/server.ts'
import { tools } from '../support/tools.ts'
import { playAll } from './play.ts'
import { driverOf } from './players.ts'

const folder = temporaryFolder()
afterAll(() => folder[Symbol.dispose]())
await Bun.build({
  entrypoints: [driverOf('typescript.ts')],
  target: 'node',
  outdir: folder.path,
  naming: 'driver.mjs',
})

const words = [tools.node ?? 'node', join(folder.path, 'driver.mjs')]
playAll({ name: 'TypeScript in Node', words, transport: 'websocket', framing: 'msgpack' }, 'node')
