/** The log: JSON lines on stdout, one line a fact, told in the past tense, ids as fields. */
import pino from 'pino'

export type Logger = Pick<pino.Logger, 'fatal' | 'error' | 'warn' | 'info' | 'debug'>

/** Wherever a credential could stand in a logged object. */
const secretPaths = ['token', 'authorization', '*.token', '*.authorization', 'headers.authorization']

export function createLogger(level: string): Logger {
  return pino({
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: { paths: secretPaths, censor: '***' },
    serializers: { err: pino.stdSerializers.errWithCause },
  })
}
