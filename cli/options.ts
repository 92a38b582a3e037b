/** Command-line options: `--name value`, each known by name. */
import { parseArgs } from 'node:util'

/** @throws {TypeError} at an unknown option or one without its value */
export function readOptions<const N extends string>(words: readonly string[], names: readonly N[]) {
  const options = Object.fromEntries(names.map((name) => [name, { type: 'string' as const }]))
  const { values } = parseArgs({ args: [...words], options, strict: true })
  return values as Partial<Record<N, string>>
}
