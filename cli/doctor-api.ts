/** The doctor's REST client: every answer is held against its schema, its status and the fields that must be so. */
import type * as z from 'zod'
import { parseCursor, type Positions } from '../lib/protocol/cursor.ts'
import { Refusal } from '../lib/protocol/refusals.ts'
import { ask, reasonOf, type Place, type RawAnswer } from './rest-client.ts'
import { Fault } from './doctor-report.ts'

export interface Answer<T> {
  readonly body: T
  readonly cursor: string
  readonly positions: Positions
  /** When all of it was here; monotonic milliseconds. */
  readonly answeredAtMs: number
}

/** What an answer must be. */
export interface Wanted<S extends z.ZodType> {
  readonly schema: S
  /** 200 unless named. */
  readonly status?: number
  /** Fields of the body and their values. */
  readonly is?: Readonly<Record<string, unknown>>
  readonly body?: unknown
}

export interface DoctorApi {
  /** @throws {Fault} where the answer is another */
  <S extends z.ZodType>(method: string, path: string, wanted: Wanted<S>): Promise<Answer<z.output<S>>>
}

export function createDoctorApi(place: Place): DoctorApi {
  return async (method, path, { schema, status = 200, is = {}, body: sent }) => {
    const answer = await ask(place, method, path, sent)
    const answeredAtMs = performance.now()
    const what = `${method} ${withoutQuery(path)}`
    requireStatus(what, answer, status)
    const body = parseAs(what, answer, schema)
    for (const [name, value] of Object.entries(is)) {
      const seen = (body as Readonly<Record<string, unknown>>)[name]
      if (Bun.deepEquals(seen, value, true)) continue
      throw new Fault({
        expected: `${name} ${JSON.stringify(value)} in the answer to ${what}`,
        seen: JSON.stringify(seen) ?? 'no such field',
        look: 'whether that server is of this version, and what changes answers on the way',
      })
    }
    return { body, cursor: answer.cursor, positions: positionsOf(what, answer.cursor), answeredAtMs }
  }
}

/** @throws {Fault} */
export function requireStatus(
  what: string,
  { status, text }: Pick<RawAnswer, 'status' | 'text'>,
  expected: number,
): void {
  if (status === expected) return
  const seen = `${status}${text === '' ? '' : ` (${reasonOf(text)})`}`
  throw new Fault({ expected: `${what} to answer ${expected}`, seen, look: placeOf(status) })
}

/** The body as its schema reads it. @throws {Fault} */
export function parseAs<S extends z.ZodType>(
  what: string,
  { text }: Pick<RawAnswer, 'text'>,
  schema: S,
): z.output<S> {
  const parsed = schema.safeParse(jsonOf(text))
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  const path = issue?.path.map(String).join('.') || 'the body'
  throw new Fault({
    expected: `an answer to ${what} as openapi.yaml describes it`,
    seen: `${path}: ${issue?.message ?? 'another shape'}`,
    look: 'whether that server is of this version, and what changes answers on the way',
  })
}

/** Where the cause of a status lies. */
export function placeOf(status: number): string {
  if (status === 401) return '--token, or the JWT_SECRET and DATA_DIR that sign it here'
  if (status === 403) return 'the scope of the token, and PUBLIC_URL and ALLOWED_ORIGINS of the server'
  if (status >= 300 && status < 400) return '--live: name the address that it leads to'
  if (status === 404 || status === 405) return 'whether the address is right and that server of this version'
  if (status === 429) return 'who else uses that server as this subject'
  if (status === 503) return "the server's log and the space on its disk"
  if (status >= 500) return "the server's log"
  return 'what changes requests or answers on the way, and the log of the server'
}

function positionsOf(what: string, cursor: string): Positions {
  try {
    return parseCursor(cursor).positions
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    throw new Fault({
      expected: `a cursor in Lightwire-Cursor of ${what}`,
      seen: cursor === '' ? 'no such header' : JSON.stringify(cursor),
      look: 'what changes headers on the way',
    })
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function withoutQuery(path: string): string {
  return path.split('?')[0] ?? path
}
