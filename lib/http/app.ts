/** The REST app: every declared route behind the same guard, each answer with the cursor of its own transaction. */
import { zValidator } from '@hono/zod-validator'
import { Hono, type Context, type MiddlewareHandler } from 'hono'
import { cors } from 'hono/cors'
import type * as z from 'zod'
import { decodeJson } from '../protocol/codec.ts'
import { formatCursor, type Positions } from '../protocol/cursor.ts'
import { Refusal, refuseInput, type RefusalCode } from '../protocol/refusals.ts'
import type { Origins } from '../access/origins.ts'
import { requireApi, type Principal } from '../access/rights.ts'
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
  readonly snapshot: <T>(read: (queries: Queries) => Promise<T>) => Promise<Snapshot<T>>
  /** Resolves when what was committed by now is durable. */
  readonly durable: () => Promise<void>
  /** Heads of what is durable. */
  readonly durableHeads: () => Positions
  readonly runWrite: RunWrite
  readonly bodyBytesMax: number
  /** Prometheus text, and who may read it. */
  readonly metrics: { text(): Promise<string>; allows(request: Request): boolean; contentType: string }
  readonly onRefusal: (code: RefusalCode) => void
  readonly onBug: (error: unknown) => void
  /** A refusal with a cause: an expected no to the client, trouble with the disk to the operator. */
  readonly onFault: (fault: unknown) => void
  readonly onAnswer: (method: string, route: string, status: number) => void
}

interface Env {
  Variables: { principal: Principal; cursor: string }
}

export function createApp(routes: readonly Route[], services: AppServices) {
  const app = new Hono<Env>()
  const cursorOf = (positions: Positions) => formatCursor({ epoch: services.epoch, positions })

  app.use(async (c, next) => {
    services.origins().requireHost(c.req.header('host') ?? null)
    // Before the handler runs: a refusal's cursor never claims more than its maker had seen.
    c.set('cursor', cursorOf(services.durableHeads()))
    if (c.req.method !== 'GET' && c.req.method !== 'HEAD' && c.req.method !== 'OPTIONS') {
      services.origins().requireOrigin(c.req.header('origin') ?? null)
    }
    await next()
  })
  app.use(
    '/api/*',
    cors({
      origin: (origin) => (services.origins().allows(origin) ? origin : null),
      allowHeaders: ['Authorization', 'Content-Type'],
      exposeHeaders: [CURSOR_HEADER, 'Retry-After'],
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
  app.get('/metrics', async (c) => {
    if (!services.metrics.allows(c.req.raw))
      throw new Refusal('forbidden', 'metrics are for loopback or METRICS_TOKEN')
    return c.body(await services.metrics.text(), 200, { 'Content-Type': services.metrics.contentType })
  })

  app.notFound((c) => {
    const allowed = methodsOf(routes, c.req.path)
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
    services.onBug(error)
    return refuse(c, new Refusal('internal', 'something went wrong here'))
  })

  async function answer(c: Context<Env>, declared: Route): Promise<Response> {
    const { act } = declared
    if ('probe' in act) {
      const { status, body } = await act.probe()
      return finish(c, declared.path, status, body, {})
    }
    const input = await inputOf(c, declared, services.bodyBytesMax)
    const { value, heads } = await perform(act, input)
    return finish(c, declared.path, declared.status, value, { [CURSOR_HEADER]: cursorOf(heads) })
  }

  async function perform(act: Exclude<Route['act'], { probe: unknown }>, input: Input<never, never, never>) {
    if ('write' in act) return await services.runWrite((write) => act.write(write, input))
    if ('run' in act) return await act.run(services.runWrite, input)
    const seen = await services.snapshot((queries) => act.read(queries, input))
    // What was read may be committed and not yet durable; a cursor never covers what a power cut could take.
    await services.durable()
    return seen
  }

  function finish(
    c: Context<Env>,
    path: string,
    status: number,
    body: object,
    headers: Record<string, string>,
  ) {
    services.onAnswer(c.req.method, path, status)
    return c.body(JSON.stringify(body), status as 200, {
      'Content-Type': 'application/json',
      'Cache-Control': 'no-store',
      ...headers,
    })
  }

  function refuse(c: Context<Env>, refusal: Refusal, headers: Record<string, string> = {}): Response {
    services.onRefusal(refusal.code)
    const cursor = c.req.path.startsWith('/api/') ? { [CURSOR_HEADER]: c.get('cursor') ?? '' } : {}
    const response = problem(refusal, { ...headers, ...cursor })
    services.onAnswer(c.req.method, 'refused', response.status)
    return response
  }

  return app
}

function guard({ right }: Route, services: AppServices): MiddlewareHandler<Env> {
  return async (c, next) => {
    if (right !== 'open') {
      const principal = services.anyone ?? (await identify(c.req.header('authorization'), services))
      requireApi(principal, right)
      c.set('principal', principal)
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

async function inputOf(
  c: Context<Env>,
  declared: Route,
  bytesMax: number,
): Promise<Input<never, never, never>> {
  const valid = (part: 'param' | 'query') => c.req.valid(part as never) as never
  return {
    params: declared.params ? valid('param') : (undefined as never),
    query: declared.query ? valid('query') : (undefined as never),
    body: declared.body ? ((await bodyOf(c, declared.body, bytesMax)) as never) : (undefined as never),
    principal: c.get('principal'),
    signal: c.req.raw.signal,
  }
}

/** The checked JSON body. @throws {Refusal} `unsupported_media_type`, `too_large`, `invalid_message` */
async function bodyOf(c: Context<Env>, schema: z.ZodType, bytesMax: number): Promise<unknown> {
  const type = c.req.header('content-type')?.split(';')[0]?.trim().toLowerCase()
  if (type !== 'application/json') {
    throw new Refusal('unsupported_media_type', 'the body must be Content-Type: application/json')
  }
  const tooLarge = () => new Refusal('too_large', `the body is larger than ${bytesMax} bytes`)
  if (Number(c.req.header('content-length') ?? 0) > bytesMax) throw tooLarge()
  const bytes = await c.req.arrayBuffer().catch((error: unknown) => {
    // Bun's own bound, a little above ours, met by a chunked body.
    throw String(error).includes('maxRequestBodySize') ? tooLarge() : error
  })
  if (bytes.byteLength > bytesMax) throw tooLarge()
  const parsed = schema.safeParse(decodeJson(utf8(bytes)))
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
