/** Command-line options: `--name value`, each known by name. */
import { parseArgs } from 'node:util'

/** A wrong word on the command line; the message says what is right. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** @throws {UsageError} at an unknown option or one without its value */
export function readOptions<const N extends string>(words: readonly string[], names: readonly N[]) {
  const options = Object.fromEntries(names.map((name) => [name, { type: 'string' as const }]))
  try {
    const { values } = parseArgs({ args: [...words], options, strict: true })
    return values as Partial<Record<N, string>>
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause })
  }
}
