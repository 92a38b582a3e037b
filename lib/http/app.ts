/** The REST app: every declared route behind the same guard, each answer with the cursor of its own transaction. */
import { zValidator } from '@hono/zod-validator'
import { Hono, type Context, type MiddlewareHandler } from 'hono'
import { cors } from 'hono/cors'
import type * as z from 'zod'
import { decodeJson } from '../protocol/codec.ts'
import { formatCursor, type Positions } from '../protocol/cursor.ts'
import { Refusal, refuseInput, type RefusalCode } from '../protocol/refusals.ts'
import type { Answered, Where } from '../observers.ts'
import type { Origins } from '../access/origins.ts'
import { requireAnyPublish, requireApi, type Principal } from '../access/rights.ts'
import { isStorageFault, storageRefusal } from '../store/faults.ts'
import type { Snapshot } from '../store/journal.ts'
import type { Queries } from '../store/schema.ts'
import { problem } from './problem.ts'
import type { Input, Route, RunWrite } from './route.ts'

export const CURSOR_HEADER = 'Lightwire-Cursor'

export interface AppServices {
  readonly epoch: string
  readonly origins: () => Origins
  /** Who may do everything without a token (`AUTH=off`). */
  readonly anyone: Principal | undefined
  readonly verify: (token: string) => Promise<Principal>
  readonly requireStanding: (principal: Principal) => void
  readonly snapshot: <T>(read: (queries: Queries) => Promise<T>) => Promise<Snapshot<T>>
  /** Resolves when what was committed by now is durable. */
  readonly durable: () => Promise<void>
  /** Heads of what is durable. */
  readonly durableHeads: () => Positions
  readonly runWrite: RunWrite
  readonly bodyBytesMax: number
  /** Prometheus text, and who may read it. */
  readonly metrics: { text(): Promise<string>; require(request: Request): Promise<void>; contentType: string }
  /** What explains the server to people and programs, by path. */
  readonly documents: ReadonlyMap<string, Document>
  readonly monotonicMs: () => number
  readonly onRefusal: (code: RefusalCode) => void
  readonly onBug: (error: unknown, where: Where) => void
  /** A refusal with a cause: an expected no to the client, trouble with the disk to the operator. */
  readonly onFault: (fault: unknown) => void
  readonly onAnswer: (answered: Answered) => void
}

/** A text that is made when it is first asked for. */
export interface Document {
  readonly contentType: string
  readonly text: () => string
}

interface Env {
  /** Made by whoever took the request. */
  Bindings: { readonly requestId: string }
  Variables: {
    principal?: Principal
    heads?: Positions
    requestId: string
    route?: string
    code?: RefusalCode
  }
}

/** The documentation is static: no script, nothing from elsewhere. */
const DOCUMENT_POLICY =
  "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

export function createApp(routes: readonly Route[], services: AppServices) {
  const app = new Hono<Env>()
  const cursorOf = (positions: Positions) => formatCursor({ epoch: services.epoch, positions })

  app.use(async (c, next) => {
    const started = services.monotonicMs()
    const { requestId } = c.env
    c.set('requestId', requestId)
    await next()
    c.res.headers.set('X-Request-Id', requestId)
    services.onAnswer({
      requestId,
      method: c.req.method,
      route: c.get('route') ?? 'none',
      status: c.res.status,
      seconds: (services.monotonicMs() - started) / 1000,
      subject: c.get('principal')?.subject,
      code: c.get('code'),
    })
  })
  app.use(async (c, next) => {
    // Before the handler runs: a refusal's cursor never claims more than its maker had seen.
    c.set('heads', services.durableHeads())
    services.origins().requireHost(c.req.header('host') ?? null)
    if (c.req.method !== 'GET' && c.req.method !== 'HEAD' && c.req.method !== 'OPTIONS') {
      services.origins().requireOrigin(c.req.header('origin') ?? null)
    }
    await next()
  })
  app.use(
    '/api/*',
    cors({
      origin: (origin) => (services.origins().allows(origin) ? origin : null),
      allowMethods: ['GET', 'POST', 'PATCH', 'DELETE'],
      allowHeaders: ['Authorization', 'Content-Type', 'X-Request-Id'],
      exposeHeaders: [CURSOR_HEADER, 'Retry-After', 'X-Request-Id'],
      maxAge: 600,
    }),
  )
  for (const declared of routes) {
    const path = declared.path.replaceAll(/\{(\w+)\}/g, ':$1')
    const handlers: MiddlewareHandler<Env>[] = [guard(declared, services)]
    if (declared.params)
      handlers.push(zValidator('param', declared.params, refuseInvalid) as MiddlewareHandler<Env>)
    if (declared.query)
      handlers.push(zValidator('query', declared.query, refuseInvalid) as MiddlewareHandler<Env>)
    app.on([declared.method.toUpperCase()], [path], ...handlers, (c: Context<Env>) => answer(c, declared))
  }
  for (const [path, { contentType, text }] of services.documents) {
    app.get(path, (c) => {
      c.set('route', path)
      const headers = { 'Content-Type': contentType, 'Content-Security-Policy': DOCUMENT_POLICY }
      return c.body(text(), 200, { ...headers, 'X-Content-Type-Options': 'nosniff' })
    })
  }
  app.get('/metrics', async (c) => {
    c.set('route', '/metrics')
    await services.metrics.require(c.req.raw)
    return c.body(await services.metrics.text(), 200, { 'Content-Type': services.metrics.contentType })
  })

  app.notFound((c) => {
    const allowed = methodsOf(routes, c.req.path)
    if (services.documents.has(c.req.path) || c.req.path === '/metrics') allowed.push('GET')
    if (allowed.length === 0) return refuse(c, new Refusal('not_found', 'there is nothing at this address'))
    const refusal = new Refusal('method_not_allowed', `this address takes ${allowed.join(', ')}`)
    return refuse(c, refusal, { Allow: allowed.join(', ') })
  })
  app.onError((thrown, c) => {
    const error = isStorageFault(thrown) ? storageRefusal(thrown) : thrown
    if (error instanceof Refusal) {
      if (error.cause !== undefined) services.onFault(error)
      return refuse(c, error)
    }
    services.onBug(error, { request_id: c.get('requestId') })
    return refuse(c, new Refusal('internal', 'something went wrong here'))
  })

  async function answer(c: Context<Env>, declared: Route): Promise<Response> {
    const { act } = declared
    if ('probe' in act) {
      const { status, body } = await act.probe()
      return finish(c, status, body, {})
    }
    if (!declared.query) refuseQuery(c)
    const input = await inputOf(c, declared, services)
    const { value, heads } = await perform(act, input)
    return finish(c, declared.status, value, { [CURSOR_HEADER]: cursorOf(heads) })
  }

  async function perform(act: Exclude<Route['act'], { probe: unknown }>, input: Input<never, never, never>) {
    if ('write' in act) return await services.runWrite((write) => act.write(write, input))
    if ('run' in act) return { heads: services.durableHeads(), ...(await act.run(services.runWrite, input)) }
    const seen = await services.snapshot((queries) => act.read(queries, input))
    // What was read may be committed and not yet durable; a cursor never covers what a power cut could take.
    await services.durable()
    return seen
  }

  function finish(c: Context<Env>, status: number, body: object, headers: Record<string, string>) {
    return c.body(JSON.stringify(body), status as 200, {
      'Content-Type': 'application/json',
      'Cache-Control': 'no-store',
      ...headers,
    })
  }

  function refuse(c: Context<Env>, refusal: Refusal, headers: Record<string, string> = {}): Response {
    services.onRefusal(refusal.code)
    const heads = c.get('heads') ?? services.durableHeads()
    const cursor = c.req.path.startsWith('/api/') ? { [CURSOR_HEADER]: cursorOf(heads) } : {}
    c.set('code', refusal.code)
    return problem(refusal, { ...headers, ...cursor })
  }

  return app
}

function guard({ right, path }: Route, services: AppServices): MiddlewareHandler<Env> {
  return async (c, next) => {
    c.set('route', path)
    if (right !== 'open') {
      const principal = services.anyone ?? (await identify(c.req.header('authorization'), services))
      c.set('principal', principal)
      if (right === 'publish') requireAnyPublish(principal)
      else requireApi(principal, right)
    }
    await next()
  }
}

async function identify(authorization: string | undefined, { verify }: AppServices): Promise<Principal> {
  if (authorization === undefined) throw new Refusal('unauthenticated', 'send Authorization: Bearer <token>')
  const token = /^Bearer +(\S+)$/i.exec(authorization)?.[1]
  if (token === undefined) throw new Refusal('invalid_token', 'Authorization: expected Bearer <token>')
  return await verify(token)
}

function refuseInvalid(result: { success: boolean; error?: { issues: readonly z.core.$ZodIssue[] } }): void {
  if (!result.success) throw refuseInput(result.error?.issues ?? [])
}

/** A route that takes no query gets none: a misspelt one would be without effect. @throws {Refusal} */
function refuseQuery(c: Context<Env>): void {
  const keys = Object.keys(c.req.query())
  if (keys.length > 0) throw refuseInput([{ path: [], message: '', keys }])
}

async function inputOf(
  c: Context<Env>,
  declared: Route,
  { bodyBytesMax, requireStanding }: AppServices,
): Promise<Input<never, never, never>> {
  // The guard has set it; open routes are probes, which get no input.
  const principal = c.get('principal') as Principal
  const valid = (part: 'param' | 'query') => c.req.valid(part as never) as never
  return {
    params: declared.params ? valid('param') : (undefined as never),
    query: declared.query ? valid('query') : (undefined as never),
    body: declared.body ? ((await bodyOf(c, declared, bodyBytesMax)) as never) : (undefined as never),
    principal,
    signal: c.req.raw.signal,
    requireStanding: () => requireStanding(principal),
  }
}

/** The checked JSON body. @throws {Refusal} `unsupported_media_type`, `too_large`, `invalid_message` */
async function bodyOf(
  c: Context<Env>,
  { body: schema, bodyOptional = false }: Pick<Route, 'body' | 'bodyOptional'>,
  bytesMax: number,
): Promise<unknown> {
  if (!schema) return undefined
  const type = c.req.header('content-type')?.split(';')[0]?.trim().toLowerCase()
  const wrongType = () =>
    new Refusal('unsupported_media_type', 'the body must be Content-Type: application/json')
  // A body that may be absent and has no type is perhaps there and empty.
  if (type !== 'application/json' && !(bodyOptional && type === undefined)) throw wrongType()
  const tooLarge = () => new Refusal('too_large', `the body is larger than ${bytesMax} bytes`)
  if (Number(c.req.header('content-length') ?? 0) > bytesMax) throw tooLarge()
  const bytes = await c.req.arrayBuffer().catch((error: unknown) => {
    // Bun's own bound, a little above ours, met by a chunked body.
    throw String(error).includes('maxRequestBodySize') ? tooLarge() : error
  })
  if (bytes.byteLength > bytesMax) throw tooLarge()
  if (bodyOptional && bytes.byteLength === 0) return checked(schema, {})
  if (type === undefined) throw wrongType()
  return checked(schema, decodeJson(utf8(bytes)))
}

function checked(schema: z.ZodType, value: unknown): unknown {
  const parsed = schema.safeParse(value, { reportInput: true })
  if (!parsed.success) throw refuseInput(parsed.error.issues)
  return parsed.data
}

function utf8(bytes: ArrayBuffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new Refusal('invalid_message', 'the body is not valid UTF-8')
  }
}

function methodsOf(routes: readonly Route[], path: string): string[] {
  const methods = routes.flatMap((declared) => {
    const pattern = new RegExp(`^${declared.path.replaceAll(/\{\w+\}/g, '[^/]+')}$`)
    return pattern.test(path) ? [declared.method.toUpperCase()] : []
  })
  return [...new Set(methods)]
}
