/** The changes that the doctor makes: each with its answer and the events that must follow from it. */
import * as z from 'zod'
import type { Positions } from '../lib/protocol/cursor.ts'
import type { EventType } from '../lib/protocol/events.ts'
import type { Message } from './demo-client.ts'
import type { Answer, DoctorApi, Wanted } from './doctor-api.ts'

/** An event that must come; without `data` it counts rows of everybody, and only its coming is certain. */
export interface Expected {
  readonly type: EventType
  readonly data?: Readonly<Record<string, unknown>>
}

export interface Change {
  /** `POST /api/photos` */
  readonly what: string
  readonly answeredAtMs: number
  /** Its events lie after `before`, up to `after`. */
  readonly before: Positions
  readonly after: Positions
  readonly expected: readonly Expected[]
}

export type Changes = ReturnType<typeof createChanges>

export function createChanges(api: DoctorApi, run: string) {
  const changes: Change[] = []
  const takenJobs = new Map<string, string>()
  let position: Positions | undefined
  let sessionId: number | undefined

  return {
    run,
    /** In the order made; a change whose answer was faulty is left out. */
    list: changes as readonly Change[],
    /** Jobs of ours that a worker of somebody else has, and its name. */
    takenJobs: takenJobs as ReadonlyMap<string, string>,
    noteTaken: (jobId: string, worker: string) => void takenJobs.set(jobId, worker),
    sessionId: () => sessionId,
    noteSession: (id: number) => {
      sessionId = id
    },
    /** Where the last change, or the read before the first one, left the journal. */
    position: (): Positions => position ?? {},
    startAt: (positions: Positions) => {
      position = positions
    },

    /** Makes a change and keeps what must follow. @throws {Fault} */
    async make<S extends z.ZodType>(
      method: string,
      path: string,
      wanted: Wanted<S>,
      follows: (body: z.output<S>) => readonly Expected[],
    ): Promise<z.output<S>> {
      const before = position
      let answer: Answer<z.output<S>>
      try {
        answer = await api(method, path, wanted)
      } catch (error) {
        // It may have happened all the same: what it left in the journal is nobody's to judge.
        position = await currentPosition(api)
        throw error
      }
      const { body, positions: after, answeredAtMs } = answer
      position = after
      if (before) {
        changes.push({ what: `${method} ${path}`, answeredAtMs, before, after, expected: follows(body) })
      }
      return body
    },

    /** Whether an event is about what this run made, and no worker of somebody else had a hand in it. */
    owns(event: Message): boolean {
      if (event['type'] === 'queue_status' || event['type'] === 'approval_queue_updated') return false
      if (takenJobs.has(String(event['job_id']))) return false
      if (event['type'] === 'session_updated' && takenJobs.size > 0) return false
      return isAbout(event, sessionId, run)
    },
  }
}

/** Whether an event is about what this run made. */
export function isAbout(event: Message, sessionId: number | undefined, run: string): boolean {
  if (sessionId !== undefined && event['session_id'] === sessionId) return true
  const details = (event['details'] ?? event['error_details']) as { run?: unknown } | undefined
  return details?.run === run
}

async function currentPosition(api: DoctorApi): Promise<Positions | undefined> {
  try {
    return (await api('GET', '/api/queue', { schema: z.unknown() })).positions
  } catch {
    return undefined
  }
}
