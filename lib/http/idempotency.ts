/** `Idempotency-Key` over HTTP: a route's write and its answer, made once or given again. */
import { formatCursor, type Positions } from '../protocol/cursor.ts'
import { idempotencyKey } from '../protocol/messages.ts'
import { Refusal, refuseInput } from '../protocol/refusals.ts'
import { answerOnce, type Answer, type KeyedRequest } from '../store/idempotency.ts'
import type { RunWrite } from '../store/write.ts'
import type { Answering, Route } from './route.ts'

export const KEY_HEADER = 'Idempotency-Key'
/** `true` on an answer that was given before. */
export const REPLAYED_HEADER = 'Idempotency-Replayed'

type Keyable = Pick<Route, 'method' | 'path' | 'secret'>

/** Whether the answers of a route can be kept: those to changes, but for one that is a secret. */
export function takesKey({ method, path, secret = false }: Keyable): boolean {
  return method !== 'get' && path.startsWith('/api/') && !secret
}

/** The request's key. @throws {Refusal} `invalid_message` for a malformed one, and where a repeat would not be one */
export function keyOf(header: string | undefined, declared: Keyable): string | undefined {
  // A read may be repeated as it is; a polling session names its acts in its messages.
  if (header === undefined || declared.method === 'get' || !declared.path.startsWith('/api/'))
    return undefined
  if (!takesKey(declared)) {
    throw new Refusal(
      'invalid_message',
      `${KEY_HEADER}: not taken here; this answer is secret and is not kept`,
    )
  }
  const key = idempotencyKey.safeParse(header)
  if (!key.success) throw refuseInput(key.error.issues, KEY_HEADER)
  return key.data
}

interface AnsweringServices {
  readonly runWrite: RunWrite
  readonly durableHeads: () => Positions
  readonly epoch: string
}

/** @param status of the route's answers @param request undefined without a key */
export function createAnswering<T extends object>(
  { runWrite, durableHeads, epoch }: AnsweringServices,
  status: number,
  request: KeyedRequest | undefined,
): Answering<T> {
  const made = (value: T, heads: Positions): Answer => ({
    status,
    body: JSON.stringify(value),
    cursor: formatCursor({ epoch, positions: heads }),
  })
  return {
    made: (value, heads = durableHeads()) => ({
      answer: made(value, heads),
      replayed: false,
      committed: undefined,
    }),

    async write({ run, answer, keep = () => true }) {
      const answerOf = (committed: Parameters<typeof answer>[0]) => made(answer(committed), committed.heads)
      if (request) return await answerOnce(runWrite, request, { run, answer: answerOf, keep })
      const committed = await runWrite(run)
      return { answer: answerOf(committed), replayed: false, committed }
    },

    async beside(effect) {
      if (!request) return this.made(effect())
      // In the writer's place, so that equal requests wait for each other; done once, even if the answer is then lost.
      return await this.write({ run: async () => effect(), answer: ({ value }) => value })
    },
  }
}
