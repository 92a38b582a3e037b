/** The doctor's report: every point in its place, ok, FAILED or skipped, printed as soon as all before it are known. */
import { CliFailure } from './rest-client.ts'

/** In the order of the report; work may be done in another. */
export const points = [
  'health',
  'ready',
  'version and limits',
  'request without a token',
  'socket with a bad token',
  'rights of the token',
  'socket json',
  'socket msgpack',
  'socket deflate',
  'exact join',
  'photos imported',
  'photos analyzed',
  'photos selected',
  'job created',
  'priority changed',
  'job cancelled',
  'job claimed',
  'job progress',
  'job retried',
  'job completed',
  'job failed',
  'photo approved',
  'photo rejected',
  'export completed',
  'export failed',
  'system status',
  'system error',
  'session completed',
  'session deleted',
  'frames as documented',
  'every event once',
  'events in order',
  'framings agree',
  'latency',
  'resume',
  'filters and batches',
  'conflation',
  'stream resumes',
  'pull and long-poll',
  'polling session',
  'idempotent repeat',
  'conflict',
  'unknown channel',
  'invalid body',
  'state from events',
  'clients listed',
  'channels listed',
  'disconnect',
  'broadcast',
] as const

export type Point = (typeof points)[number]

const SENTENCE_LENGTH_MAX = 600
const colours = { ok: '\u001b[32m', FAILED: '\u001b[31m', skipped: '\u001b[33m' } as const
const PLAIN = '\u001b[0m'

type Verdict = keyof typeof colours

interface Outcome {
  readonly verdict: Verdict
  readonly detail: string
}

/** A point that does not hold: what was expected, what was seen, and where to look. */
export class Fault extends Error {
  override readonly name = 'Fault'

  constructor({ expected, seen, look }: { expected: string; seen: string; look: string }) {
    super(`expected ${expected}, saw ${seen}; look at ${look}`)
  }
}

/** A point that cannot be tried; the message says why. */
export class NotTried extends Error {
  override readonly name = 'NotTried'
}

/** Takes a few words for the point's line. */
export type Note = (detail: string) => void

export interface Report {
  /** Runs a point; what it gives, or undefined when it failed or could not be tried. */
  check<T>(
    point: Point,
    run: (note: Note) => Promise<T>,
    options?: { readonly evenStopped?: boolean },
  ): Promise<T | undefined>
  /** From now on points are skipped, save those that clean up. */
  stop(): void
  /** Gives every point that has no outcome yet this reason. */
  skipRest(reason: string): void
  /** How many points have this outcome. */
  count(verdict: Verdict): number
}

export function createReport(print: (line: string) => void, coloured: boolean): Report {
  const outcomes = new Map<Point, Outcome>()
  const width = Math.max(...points.map((point) => point.length))
  let printed = 0
  let stopped = false

  function settle(point: Point, verdict: Verdict, detail: string): void {
    outcomes.set(point, { verdict, detail })
    for (;;) {
      const next = points[printed]
      const outcome = next && outcomes.get(next)
      if (!next || !outcome) return
      printed += 1
      const word = outcome.verdict.padEnd(7)
      const shown = coloured ? `${colours[outcome.verdict]}${word}${PLAIN}` : word
      print(`  ${shown}  ${next.padEnd(width)}  ${harmless(outcome.detail)}`.trimEnd())
    }
  }

  return {
    async check(point, run, { evenStopped = false } = {}) {
      let detail = ''
      try {
        if (stopped && !evenStopped) throw new NotTried('interrupted')
        const value = await run((words) => {
          detail = words
        })
        settle(point, 'ok', detail)
        return value
      } catch (error) {
        const { verdict, sentence } = outcomeOf(error)
        settle(point, verdict, sentence)
        return undefined
      }
    },

    stop() {
      stopped = true
    },

    skipRest(reason) {
      for (const point of points) if (!outcomes.has(point)) settle(point, 'skipped', reason)
    },

    count: (verdict) => [...outcomes.values()].filter((outcome) => outcome.verdict === verdict).length,
  }
}

/** The value, or the reason why what needs it cannot be tried. @throws {NotTried} */
export function need<T>(value: T | undefined, reason: string): T {
  if (value === undefined) throw new NotTried(reason)
  return value
}

/** A promise, but no longer than that. @throws {Fault} */
export async function within<T>(
  promise: Promise<T>,
  ms: number,
  missing: { expected: string; look: string },
): Promise<T> {
  const late = Promise.withResolvers<never>()
  const fault = () => new Fault({ ...missing, seen: `nothing for ${ms / 1000} s` })
  const timer = setTimeout(() => late.reject(fault()), ms)
  try {
    return await Promise.race([promise, late.promise])
  } finally {
    clearTimeout(timer)
  }
}

/** A bug of the doctor itself is none of these and rises. */
function outcomeOf(error: unknown): { verdict: Verdict; sentence: string } {
  if (error instanceof NotTried) return { verdict: 'skipped', sentence: error.message }
  if (error instanceof Fault) return { verdict: 'FAILED', sentence: error.message }
  if (!(error instanceof CliFailure)) throw error
  const place = 'whether the server runs there, what is between, and its log'
  return { verdict: 'FAILED', sentence: `expected an answer, saw: ${error.message}; look at ${place}` }
}

/** What a server says may hold anything; a terminal gets none of it that moves its cursor. */
function harmless(text: string): string {
  return text.replaceAll(/\p{Cc}+/gu, ' ').slice(0, SENTENCE_LENGTH_MAX)
}
