/** Calls of the declared routes: counted by route, held to their schemas, each write written down before it is sent. */
import { declaredRoutes } from '../../../cli/openapi-text.ts'
import type { Route } from '../../../lib/http/route.ts'
import { createApi, type Answer } from '../api.ts'
import type { Expected, History, WriteRecord } from './record.ts'

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
  /** What it commits, by what is known before the answer. */
  readonly events?: readonly Expected[]
  /** The same with what the answer tells. */
  readonly learned?: (body: T) => readonly Expected[]
}

interface CallsOptions {
  readonly writer: string
  readonly history: History
  readonly url: () => string
  readonly token: string
}

export type Calls = ReturnType<typeof createCalls>

export function createCalls({ writer, history, url, token }: CallsOptions) {
  const api = createApi(url, token)

  /** @throws {LostAnswer} */
  async function send<T>(name: string, request: Request): Promise<Answer<T>> {
    const route = routes.get(name)
    if (!route) throw new Error(`${name} is no declared route`)
    const path = addressOf(route, request)
    const answer = await api<T>(route.method.toUpperCase(), path, request.body).catch((error: unknown) => {
      throw new LostAnswer(`${name}: no answer`, { cause: error })
    })
    judge(name, route, answer)
    return answer
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
    history.cursors.push({ writer, what: name, cursor: answer.cursor })
  }

  return {
    /** The answer to a read with its cursor; undefined when it was refused. @throws {LostAnswer} */
    async read<T>(name: string, request: Request = {}): Promise<{ body: T; cursor: string } | undefined> {
      const answer = await send<T>(name, request)
      return isDone(answer) ? { body: answer.body, cursor: answer.cursor ?? '' } : undefined
    },

    /** The answer to a write; undefined when it was refused. @throws {LostAnswer} */
    async write<T = unknown>(name: string, request: WriteRequest<T>): Promise<T | undefined> {
      const { what, events = [], learned = () => events } = request
      const record: WriteRecord = { what, outcome: 'lost', events, cursor: undefined }
      history.writes.push(record)
      const answer = await send<T>(name, request)
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

function addressOf({ path }: Route, { params = {}, query = {} }: Request): string {
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(String(params[name] ?? '')),
  )
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) search.set(name, String(value))
  return search.size === 0 ? filled : `${filled}?${search.toString()}`
}
