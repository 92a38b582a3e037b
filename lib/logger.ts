/** The log: JSON lines on stdout, one line a fact, told in the past tense, ids as fields. */
import pino from 'pino'

export type Logger = Pick<pino.Logger, 'fatal' | 'error' | 'warn' | 'info' | 'debug'>

/** Wherever a credential could stand in a logged object. */
const secretPaths = ['token', 'authorization', '*.token', '*.authorization', 'headers.authorization']

/**
 * Characters that JSON may hold as they are and a terminal or a reader would obey: DEL and the C1 controls, the other
 * line ends, and what turns the direction of writing.
 */
const obeyed = /[\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g

/** Pino's number of the level. */
const FATAL = 60
type Stdout = ReturnType<typeof pino.destination> & { readonly destroyed?: boolean }

/** Of this process, from its first logger on. */
let stdout: Stdout | undefined

export function createLogger(level: string): Logger {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: { paths: secretPaths, censor: '***' },
    serializers: { err: pino.stdSerializers.errWithCause },
  }
  const out: Stdout = (stdout ??= pino.destination(1))
  // Another thread writes the other lines; one of a process that is about to end may not wait for it.
  const lastWords = pino.destination({ dest: 1, sync: true })
  const destination = {
    [Symbol.for('pino.metadata')]: true,
    /** Set by pino before each line. */
    lastLevel: 0,
    write(line: string) {
      if (out.destroyed) return
      const isFatal = this.lastLevel >= FATAL
      if (isFatal) out.flushSync()
      // They stand within strings of JSON only.
      ;(isFatal ? lastWords : out).write(line.replace(obeyed, escaped))
    },
  }
  return pino(options, destination)
}

/** Resolves when every line was written, or after `ms`; nothing is logged any more. */
export async function endLogs(ms: number): Promise<void> {
  const out = stdout
  if (!out || out.destroyed) return
  const written = new Promise((resolve) => void out.once('close', resolve).once('error', resolve))
  out.end()
  await Promise.race([written, Bun.sleep(ms)])
  dropLogs()
}

/** Gives up lines that nobody takes: a process that waits for them at its exit would never end. */
export function dropLogs(): void {
  if (!stdout?.destroyed) stdout?.destroy()
}

const escaped = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
