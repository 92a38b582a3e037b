/** The log: JSON lines on stdout, one line a fact, told in the past tense, ids as fields. */
import pino from 'pino'

export type Logger = Pick<pino.Logger, 'fatal' | 'error' | 'warn' | 'info' | 'debug'>

/** The log of a process that ends: whoever reads it may be gone, or stand still. */
export interface ServerLog extends Logger {
  /** Resolves when every line was written, or after `ms`; nothing is logged any more. */
  finish(ms: number): Promise<void>
  /** Gives up what nobody takes: a process that waits for it at its exit would never end. */
  drop(): void
}

/** Wherever a credential could stand in a logged object. */
const secretPaths = ['token', 'authorization', '*.token', '*.authorization', 'headers.authorization']

/**
 * Characters that JSON may hold as they are and a terminal or a reader would obey: DEL and the C1 controls, the other
 * line ends, and what turns the direction of writing.
 */
const obeyed = /[\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g

/** Pino's number of the level. */
const FATAL = 60

export function createLogger(level: string): ServerLog {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: { paths: secretPaths, censor: '***' },
    serializers: { err: pino.stdSerializers.errWithCause },
  }
  const stdout: ReturnType<typeof pino.destination> & { readonly destroyed?: boolean } = pino.destination(1)
  // Another thread writes the other lines; one of a process that is about to end may not wait for it.
  const lastWords = pino.destination({ dest: 1, sync: true })
  const destination = {
    [Symbol.for('pino.metadata')]: true,
    /** Set by pino before each line. */
    lastLevel: 0,
    write(line: string) {
      if (stdout.destroyed) return
      const isFatal = this.lastLevel >= FATAL
      if (isFatal) stdout.flushSync()
      // They stand within strings of JSON only.
      ;(isFatal ? lastWords : stdout).write(line.replace(obeyed, escaped))
    },
  }
  return Object.assign(pino(options, destination), {
    async finish(ms: number) {
      if (stdout.destroyed) return
      const written = new Promise((resolve) => void stdout.once('close', resolve).once('error', resolve))
      stdout.end()
      await Promise.race([written, Bun.sleep(ms)])
    },
    drop: () => (stdout.destroyed ? undefined : stdout.destroy()),
  })
}

const escaped = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
