/** What is published: a bounded queue that outlives connections, in order, each act with a key so that it happens once. */
import { backoffMs } from './backoff.ts'
import { randomKey, type Environment } from './environment.ts'
import type { Draft } from './events.ts'
import { sendable } from './frames.ts'
import { passing } from './replies.ts'
import { LightwireError, type Message, type PublishOptions, type Published } from './types.ts'

/** After this without an answer the same is sent again. */
const ANSWER_MS = 20_000

interface Waiting {
  readonly message: Message
  settle(outcome: Published | LightwireError): void
}

interface OutboxOptions {
  readonly environment: Environment
  readonly max: number
  /** Resolves with the reply. @throws {LightwireError} */
  readonly request: (message: Message, timeoutMs: number) => Promise<Message>
  readonly isUp: () => boolean
}

export type Outbox = ReturnType<typeof createOutbox>

export function createOutbox({ environment, max, request, isUp }: OutboxOptions) {
  const { after, random } = environment
  const queue: Waiting[] = []
  let isSending = false
  let failures = 0
  let pause: (() => void) | undefined
  let isClosed = false

  // One at a time: were the second taken while the first is refused for now, their order would be lost.
  const pump = async (): Promise<void> => {
    const [first] = queue
    if (!first || isSending || pause || !isUp()) return
    isSending = true
    let outcome: Published | LightwireError
    try {
      const { event_type, channel, seq } = await request(first.message, ANSWER_MS)
      outcome = { event_type, channel, seq } as Published
    } catch (error) {
      outcome = error instanceof LightwireError ? error : new LightwireError('internal', String(error))
    }
    isSending = false
    if (isClosed) return
    if (outcome instanceof LightwireError && passing.has(outcome.code)) {
      failures += 1
      pause = after(outcome.retryAfterMs ?? backoffMs(failures, random), () => {
        pause = undefined
        void pump()
      })
      return
    }
    failures = 0
    first.settle(outcome)
    void pump()
  }

  return {
    publish(
      event: Draft,
      { key = randomKey(), command = false, timeoutMs }: PublishOptions,
    ): Promise<Published> {
      if (queue.length >= max)
        return Promise.reject(new LightwireError('queue_full', `${max} publishes wait for their answer`))
      return new Promise((resolve, reject) => {
        // One that cannot be sent would end each line that it is sent over, and what waits behind it with it.
        const message = sendable({ type: 'publish', event, key, ...(command ? { command } : {}) })
        const late = () => entry.settle(new LightwireError('timeout', `no answer within ${timeoutMs} ms`))
        const cancel = timeoutMs === undefined ? () => undefined : after(timeoutMs, late)
        const entry: Waiting = {
          message,
          settle(outcome) {
            cancel()
            const index = queue.indexOf(entry)
            if (index >= 0) queue.splice(index, 1)
            if (outcome instanceof LightwireError) reject(outcome)
            else resolve(outcome)
          },
        }
        queue.push(entry)
        void pump()
      })
    },

    /** There is a line again: what waits goes out. */
    resume(): void {
      pause?.()
      pause = undefined
      failures = 0
      void pump()
    },

    close(error: LightwireError): void {
      isClosed = true
      pause?.()
      for (const entry of queue.slice()) entry.settle(error)
    },
  }
}
