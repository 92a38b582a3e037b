/** The client libraries under test, each with its driver and what it cannot run without. */
import { join } from 'node:path'
import { projectRoot } from '../support/process.ts'
import { tools, type ToolName } from '../support/tools.ts'
import type { Player } from './stage.ts'

export const driverOf = (file: string) => join(projectRoot, 'tests', 'clients', 'drivers', file)

interface Listed extends Player {
  readonly needs: readonly ToolName[]
}

export const players = {
  bun: {
    name: 'TypeScript in Bun',
    words: [process.execPath, 'run', driverOf('typescript.ts')],
    transport: 'websocket',
    needs: [],
  },
  chromium: {
    name: 'TypeScript in Chromium',
    words: [process.execPath, 'run', driverOf('chromium.ts')],
    transport: 'websocket',
    framing: 'deflate',
    needs: ['chromium'],
  },
  python: {
    name: 'Python',
    words: [tools.python ?? 'python3', driverOf('python.py')],
    transport: 'websocket',
    needs: ['python'],
  },
  lua: {
    name: 'Lua',
    words: [process.execPath, 'run', driverOf('lua.ts')],
    transport: 'poll',
    needs: ['lua'],
  },
} as const satisfies Record<string, Listed>
