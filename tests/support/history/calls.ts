/** Calls of the declared routes: counted by route, held to their schemas, each write written down before it is sent. */
import { isDeepStrictEqual } from 'node:util'
import { declaredRoutes } from '../../../cli/openapi-text.ts'
import type { Route } from '../../../lib/http/route.ts'
import { KEY_HEADER, REPLAYED_HEADER, takesKey } from '../../../lib/http/idempotency.ts'
import { createApi, type Answer } from '../api.ts'
import type { Random } from '../random.ts'
import type { Gate } from './gate.ts'
import type { Expected, History, WriteRecord } from './record.ts'

/** Writes that come with a key. */
const KEYED_SHARE = 0.3

/** `GET /api/jobs/{id}` */
export function routeName({ method, path }: Pick<Route, 'method' | 'path'>): string {
  return `${method.toUpperCase()} ${path}`
}

const routes: ReadonlyMap<string, Route> = new Map(declaredRoutes().map((route) => [routeName(route), route]))
/** What a shoot of many hands meets: a row that is gone, one that moved on, a storage that refuses. */
const expectedRefusals: ReadonlySet<number> = new Set([404, 409, 503])

/** No answer came: whether it happened, nobody was told. */
export class LostAnswer extends Error {}

interface Request {
  readonly params?: Readonly<Record<string, string | number>>
  readonly query?: Readonly<Record<string, string | number>>
  readonly body?: unknown
}

interface WriteRequest<T> extends Request {
  readonly what: string
  /** Its effect is not a change of rows and events: it never comes with a key. */
  readonly effect?: boolean
  /** What it commits, by what is known before the answer. */
  readonly events?: readonly Expected[]
  /** The same with what the answer tells. */
  readonly learned?: (body: T) => readonly Expected[]
}

interface CallsOptions {
  readonly writer: string
  readonly history: History
  readonly gate: Gate
  readonly token: string
  readonly random: Random
}

export type Calls = ReturnType<typeof createCalls>

export function createCalls({ writer, history, gate, token, random }: CallsOptions) {
  let serial = 0

  /** @throws {LostAnswer} */
  async function send<T>(name: string, request: Request, key?: string): Promise<Answer<T>> {
    const route = routes.get(name)
    if (!route) throw new Error(`${name} is no declared route`)
    const path = addressOf(route, request)
    const url = await gate.whenUp()
    const startedMs = performance.now()
    const headers: Record<string, string> = key === undefined ? {} : { [KEY_HEADER]: key }
    const api = createApi(() => String(url), token, headers)
    const answer = await api<T>(route.method.toUpperCase(), path, request.body).catch((error: unknown) => {
      // The server was killed under the request. One that lives or drains owes an answer.
      const owed = gate.url === url || (gate.drainedUrl === url && startedMs < gate.drainingMs)
      if (owed && url !== undefined) history.unexpected.push(`${name}: no answer from a living server`)
      throw new LostAnswer(`${name}: no answer`, { cause: error })
    })
    judge(name, route, answer)
    return answer
  }

  /** With a key, again and again until it is answered; perhaps once more after that, for the same answer. */
  async function sendKeyed<T>(name: string, request: Request): Promise<Answer<T>> {
    const key = `${writer}-${(serial += 1)}`
    for (;;) {
      const answer = await send<T>(name, request, key).catch((error: unknown) => {
        if (!(error instanceof LostAnswer) || gate.stopped) throw error
      })
      if (!answer) continue
      if (replayed(answer)) history.rescued += 1
      if (isDone(answer) && !isEmpty(answer.body) && random.chance(0.2))
        await sendAgain(name, request, key, answer)
      return answer
    }
  }

  async function sendAgain<T>(name: string, request: Request, key: string, first: Answer<T>): Promise<void> {
    const again = await send<T>(name, request, key).catch(() => undefined)
    // Nobody there, or a server that drains: it says nothing of the first.
    if (!again || again.status === 503) return
    history.replays += 1
    const same = replayed(again) && again.cursor === first.cursor && isDeepStrictEqual(again.body, first.body)
    if (!same) history.unexpected.push(`${name}: a repeat under one key was answered another way`)
  }

  function judge(name: string, { status, answer: schema, right }: Route, answer: Answer<unknown>): void {
    const wrong = (what: string) => void history.unexpected.push(`${name}: ${what}`)
    if (!isDone(answer)) {
      if (answer.status === 503) history.unavailable += 1
      if (!expectedRefusals.has(answer.status)) wrong(`${answer.status} ${JSON.stringify(answer.body)}`)
      return
    }
    history.routes.set(name, (history.routes.get(name) ?? 0) + 1)
    if (answer.status !== status) wrong(`answered ${answer.status}, declared is ${status}`)
    const fault = schema.safeParse(answer.body).error?.issues[0]
    if (fault)
      wrong(`the answer does not fit its schema: ${fault.path.map(String).join('.')} ${fault.message}`)
    if (right === 'open') return
    if (answer.cursor === null) return wrong('no cursor')
    // An answer that is given again tells the position of the first.
    if (!replayed(answer)) history.cursors.push({ writer, what: name, cursor: answer.cursor })
  }

  return {
    /** The answer to a read with its cursor; undefined when it was refused. @throws {LostAnswer} */
    async read<T>(name: string, request: Request = {}): Promise<{ body: T; cursor: string } | undefined> {
      const answer = await send<T>(name, request)
      return isDone(answer) ? { body: answer.body, cursor: answer.cursor ?? '' } : undefined
    },

    /** The answer to a write; undefined when it was refused. @throws {LostAnswer} */
    async write<T = unknown>(name: string, request: WriteRequest<T>): Promise<T | undefined> {
      const { what, events = [], learned = () => events, effect = false } = request
      const record: WriteRecord = { what, outcome: 'unanswered', events, cursor: undefined }
      history.writes.push(record)
      const route = routes.get(name)
      const keyed = !effect && route !== undefined && takesKey(route) && random.chance(KEYED_SHARE)
      const answer = await (keyed ? sendKeyed<T>(name, request) : send<T>(name, request))
      record.outcome = isDone(answer) ? 'acknowledged' : 'refused'
      if (!isDone(answer)) return undefined
      history.acknowledged += 1
      record.cursor = answer.cursor ?? undefined
      record.events = learned(answer.body)
      return answer.body
    },
  }
}

function isDone({ status }: Answer<unknown>): boolean {
  return status >= 200 && status < 300
}

function replayed({ headers }: Answer<unknown>): boolean {
  return headers.get(REPLAYED_HEADER) === 'true'
}

/** A claim that found no job: what is not kept for a repeat. */
function isEmpty(body: unknown): boolean {
  return (body as { job?: unknown }).job === null
}

function addressOf({ path }: Route, { params = {}, query = {} }: Request): string {
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(String(params[name] ?? '')),
  )
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) search.set(name, String(value))
  return search.size === 0 ? filled : `${filled}?${search.toString()}`
}
