/** Tests that need a tool: skipped where it is missing, failing where that must not be (CI=true). */
import { test } from 'bun:test'
import { tools, type ToolName } from './tools.ts'

type TestWith<N extends ToolName> = (
  name: string,
  run: (found: Readonly<Record<N, string>>) => Promise<void>,
) => void

/** `needs('python')('what holds', async ({ python }) => …)`: a test that is handed where its tools lie. */
export function needs<const N extends ToolName>(...names: readonly N[]): TestWith<N> {
  const found = names.map((name) => [name, tools[name]] as const)
  const missing = found.filter(([, path]) => path === undefined).map(([name]) => name)
  if (missing.length === 0) {
    const paths = Object.fromEntries(found) as Record<N, string>
    return (name, run) => test(name, () => run(paths))
  }
  if (process.env['CI'] !== 'true')
    return (name) => test.skip(`${name} (needs ${missing.join(', ')})`, () => undefined)
  return (name) =>
    test(name, () => {
      throw new Error(`missing here: ${missing.join(', ')}; tests/support/install.ts installs it`)
    })
}
