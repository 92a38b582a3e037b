/** Requests that wait for the reply which carries their id. */
import type { Environment } from './environment.ts'
import { LightwireError, type Message } from './types.ts'

/** Codes that say nothing about what was asked: it is asked again, on this line or the next. */
export const passing: ReadonlySet<string> = new Set([
  'draining',
  'rate_limited',
  'storage_unavailable',
  'timeout',
  'too_many_connections',
  'unauthenticated',
])

export type Outcome = Message | LightwireError

export type Replies = ReturnType<typeof createReplies>

export function createReplies({ after }: Pick<Environment, 'after'>, send: (message: Message) => void) {
  const waiting = new Map<number, (outcome: Outcome) => void>()
  /** Ids that were waited for too long. */
  const late = new Set<number>()
  let last = 0

  /**
   * Sends with an id of its own. `settle` is called once, in the turn of the reply itself: what arrives behind it must
   * find the effects of the reply.
   */
  const ask = (message: Message, timeoutMs: number, settle: (outcome: Outcome) => void): void => {
    last += 1
    const id = last
    const reason = `no answer to ${message.type} within ${timeoutMs} ms`
    const done = (outcome: Outcome) => {
      cancel()
      waiting.delete(id)
      settle(outcome)
    }
    const cancel = after(timeoutMs, () => {
      late.add(id)
      done(new LightwireError('timeout', reason))
    })
    waiting.set(id, done)
    send({ ...message, id })
  }

  return {
    ask,

    /** @throws {LightwireError} the server's `error`, or `timeout` */
    request: (message: Message, timeoutMs: number): Promise<Message> =>
      new Promise((resolve, reject) =>
        ask(message, timeoutMs, (outcome) =>
          outcome instanceof LightwireError ? reject(outcome) : resolve(outcome),
        ),
      ),

    /** Whether somebody waits for it, or did. */
    take(message: Message): boolean {
      const { id, type } = message
      if (typeof id !== 'number') return false
      const done = waiting.get(id)
      if (!done) return late.delete(id)
      done(type === 'error' ? errorOf(message) : message)
      return true
    },

    /** The line is gone, and with it every answer. */
    lose(reason: string): void {
      const error = new LightwireError('timeout', `the connection ended before the answer: ${reason}`)
      late.clear()
      for (const done of Array.from(waiting.values())) done(error)
    },
  }
}

export function errorOf({ code, error, retry_after_ms: retry }: Message): LightwireError {
  return new LightwireError(String(code), String(error), typeof retry === 'number' ? retry : undefined)
}
