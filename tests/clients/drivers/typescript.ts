/** The driver of the TypeScript client, for Bun and, bundled to a file, for Node: commands and reports as JSON lines. */
import { createInterface } from 'node:readline'
import { actOn } from './typescript-acts.ts'

const say = (line: object) => void process.stdout.write(`${JSON.stringify(line)}\n`)

// Node 20 has no WebSocket of its own.
const WebSocket = globalThis.WebSocket ?? (await import('ws')).WebSocket
const act = actOn({ say, WebSocket })
const lines = createInterface({ input: process.stdin })
for await (const line of lines) {
  const isLast = await act(JSON.parse(line))
  if (isLast) break
}
lines.close()
