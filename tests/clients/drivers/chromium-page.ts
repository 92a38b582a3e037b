/** What runs in the page: the acts of the TypeScript driver, spoken to by lines. */
import type { Command } from '../driver.ts'
import { actOn } from './typescript-acts.ts'

/** Given by the browser's keeper. */
declare const sayLine: (line: string) => void

const act = actOn({ say: (line) => sayLine(JSON.stringify(line)) })
Object.assign(globalThis, {
  actOnLine: (line: string) => act(JSON.parse(line) as Command & { n: number }),
})
