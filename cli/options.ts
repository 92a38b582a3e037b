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

/** The address of a server without a slash at its end. @throws {UsageError} when it is no http or https URL */
export function readServerUrl(name: string, url: string): string {
  if (/^https?:$/.test(URL.canParse(url) ? new URL(url).protocol : '')) return url.replace(/\/+$/, '')
  throw new UsageError(`--${name}=${url}: expected a URL such as http://127.0.0.1:5100`)
}
