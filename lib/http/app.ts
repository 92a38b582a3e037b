/** The REST app: every declared route behind the same guard, each answer with the cursor of its own transaction. */
import { zValidator } from '@hono/zod-validator'
import { Hono, type Context, type MiddlewareHandler } from 'hono'
import { cors } from 'hono/cors'
import type * as z from 'zod'
import { formatCursor, type Positions } from '../protocol/cursor.ts'
import { Refusal, refuseInput, type RefusalCode } from '../protocol/refusals.ts'
import type { Answered, Where } from '../observers.ts'
import type { Origins } from '../access/origins.ts'
import type { HoldBytes } from '../access/pending-bytes.ts'
import type { Principal } from '../access/rights.ts'
import type { Room } from '../access/room.ts'
import { isStorageFault, storageRefusal } from '../store/faults.ts'
import type { Snapshot } from '../store/journal.ts'
import type { Outcome } from '../store/idempotency.ts'
import type { Queries } from '../store/schema.ts'
import type { RunWrite } from '../store/write.ts'
import { announcedBytes, bodyOf } from './body.ts'
import { answerFile } from './files.ts'
import { admit, guard, refuseStranger, type Env, type GuardServices } from './guard.ts'
import { createAnswering, KEY_HEADER, keyOf, REPLAYED_HEADER } from './idempotency.ts'
import { problem } from './problem.ts'
import { quotaHeaders, RATE_HEADER, RATE_POLICY_HEADER } from './quota.ts'
import { mayChange, methodsOf, type Answering, type Input, type Route } from './route.ts'
import type { WebApp } from './web-app.ts'

export const CURSOR_HEADER = 'Lightwire-Cursor'

export interface AppServices extends GuardServices {
  readonly epoch: string
  readonly origins: () => Origins
  readonly room: Room
  readonly holdBytes: HoldBytes
  readonly requireStanding: (principal: Principal) => void
  readonly snapshot: <T>(read: (queries: Queries) => Promise<T>) => Promise<Snapshot<T>>
  /** Resolves when what was committed by now is durable. */
  readonly durable: () => Promise<void>
  /** Heads of what is durable. */
  readonly durableHeads: () => Positions
  readonly runWrite: RunWrite
  readonly bodyBytesMax: number
  /** Prometheus text, and who may read it. */
  readonly metrics: {
    text(): Promise<string>
    require(request: Request, from: Env['Bindings']): Promise<void>
    contentType: string
  }
  /** What explains the server to people and programs, by path. */
  readonly documents: ReadonlyMap<string, Document>
  readonly webApp: WebApp
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

/** What pages of other origins may read of an answer. */
const EXPOSED = [
  CURSOR_HEADER,
  RATE_HEADER,
  RATE_POLICY_HEADER,
  REPLAYED_HEADER,
  'Retry-After',
  'X-Request-Id',
]
/** The documentation is static: no script, nothing from elsewhere. */
const DOCUMENT_POLICY =
  "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/** On an answer to HEAD whose body nobody makes. */
const OF_NO_KNOWN_LENGTH = { 'Transfer-Encoding': 'chunked' }

export function createApp(routes: readonly Route[], services: AppServices) {
  const app = new Hono<Env>()
  const cursorOf = (positions: Positions) => formatCursor({ epoch: services.epoch, positions })

  app.use(async (c, next) => {
    const started = services.monotonicMs()
    const { requestId } = c.env
    c.set('requestId', requestId)
    await next()
    c.res.headers.set('X-Request-Id', requestId)
    const quota = c.get('quota')
    if (quota) for (const [name, value] of quotaHeaders(quota)) c.res.headers.set(name, value)
    if (c.req.method === 'HEAD') await announceLength(c.res)
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
    if (mayChange(c.req.method, c.req.path)) {
      services.origins().requirePage(c.req.raw.headers)
    }
    await next()
  })
  const shared = cors({
    origin: (origin) => (services.origins().allows(origin) ? origin : null),
    allowMethods: ['GET', 'POST', 'PATCH', 'DELETE'],
    allowHeaders: ['Authorization', 'Content-Type', KEY_HEADER, 'X-Request-Id'],
    exposeHeaders: EXPOSED,
    maxAge: 600,
  })
  app.use('/api/*', shared)
  app.use('/ws/*', shared)
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
      admit(c, services.countStranger(c.env.client))
      return c.body(text(), 200, {
        'Content-Type': contentType,
        'Content-Security-Policy': DOCUMENT_POLICY,
      })
    })
  }
  app.get('/metrics', async (c) => {
    c.set('route', '/metrics')
    services.origins().requirePage(c.req.raw.headers)
    await services.metrics
      .require(c.req.raw, c.env)
      .catch((error: unknown) => refuseStranger(c, error, services))
    return c.body(await services.metrics.text(), 200, { 'Content-Type': services.metrics.contentType })
  })

  app.get('*', async (c, next) => {
    const file = await services.webApp.answer(c.req.path, c.req.raw.headers)
    if (!file) return await next()
    c.set('route', c.req.path.startsWith('/assets/') ? '/assets/*' : c.req.path)
    admit(c, services.countStranger(c.env.client))
    return file
  })

  app.notFound(async (c) => {
    admit(c, services.countStranger(c.env.client))
    const { path } = c.req
    const allowed = methodsOf(routes, path)
    if (services.documents.has(path) || path === '/metrics' || (await services.webApp.has(path)))
      allowed.push('GET')
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
    const { act, status } = declared
    if ('probe' in act) {
      const probed = await act.probe()
      return finish(c, probed.status, JSON.stringify(probed.body), {})
    }
    if (!declared.query) refuseQuery(c)
    const key = keyOf(c.req.header(KEY_HEADER), declared)
    const { address, subject } = { address: c.env.client, ...c.get('principal') }
    // Both are given back when the answer is made.
    using _place = declared.waits ? services.room.take({ address, subject }) : undefined
    const bytes = announcedBytes(c.req, declared, services.bodyBytesMax)
    using held = bytes > 0 ? services.holdBytes(bytes, subject ?? address) : undefined
    const { input, sent, size } = await inputOf(c, declared, services)
    // A chunked body counts as the largest until it was read: a claim may wait for long after that.
    held?.shrinkTo(size)
    // What its answer holds is then given to nobody, and a stream would be left by nobody.
    if (c.req.method === 'HEAD' && 'stream' in act) return streamed(c, null)
    if (c.req.method === 'HEAD' && 'give' in act) return finish(c, status, '', OF_NO_KNOWN_LENGTH)
    if ('give' in act) return finish(c, status, JSON.stringify(await act.give(input)), {})
    if ('stream' in act) return streamed(c, await act.stream(input))
    if ('file' in act) return await answerFile(await act.file(input), input.headers)
    const { method, path } = c.req
    const request =
      key === undefined ? undefined : { subject: input.principal.subject, method, path, key, body: sent }
    const outcome = await perform(act, input, createAnswering(services, status, request))
    const { answer: told, replayed } = outcome
    const mark: Record<string, string> = replayed ? { [REPLAYED_HEADER]: 'true' } : {}
    return finish(c, told.status, told.body, { [CURSOR_HEADER]: told.cursor, ...mark })
  }

  async function perform(
    act: Extract<Route['act'], { run: unknown } | { write: unknown } | { read: unknown }>,
    input: Input<never, never, never>,
    answering: Answering<object>,
  ): Promise<Outcome<unknown>> {
    if ('run' in act) return await act.run(answering, input)
    if ('write' in act) {
      return await answering.write({ run: (write) => act.write(write, input), answer: ({ value }) => value })
    }
    const { value, heads } = await services.snapshot((queries) => act.read(queries, input))
    // What was read may be committed and not yet durable; a cursor never covers what a power cut could take.
    await services.durable()
    return answering.made(value, heads)
  }

  function finish(c: Context<Env>, status: number, body: string, headers: Record<string, string>) {
    return c.body(body, status as 200, {
      'Content-Type': 'application/json',
      'Cache-Control': 'no-store',
      ...headers,
    })
  }

  function streamed(c: Context<Env>, stream: ReadableStream<Uint8Array> | null): Response {
    // A proxy that gathers would hold events back.
    const headers = {
      'Content-Type': 'text/event-stream',
      'Cache-Control': 'no-store',
      'X-Accel-Buffering': 'no',
    }
    return stream ? c.body(stream, 200, headers) : c.body(null, 200, { ...headers, ...OF_NO_KNOWN_LENGTH })
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

/** A HEAD says the length that a GET would have (RFC 9110 §8.6); left without, its answer would say 0. */
async function announceLength(response: Response): Promise<void> {
  const { headers } = response
  if (headers.has('Content-Length') || headers.has('Transfer-Encoding')) return
  const { byteLength } = await response.arrayBuffer()
  headers.set('Content-Length', String(byteLength))
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
): Promise<{ input: Input<never, never, never>; sent: unknown; size: number }> {
  // The guard has set it; open routes are probes, which get no input.
  const principal = c.get('principal') as Principal
  const valid = (part: 'param' | 'query') => c.req.valid(part as never) as never
  const { sent, body, size } = await bodyOf(c.req, declared, bodyBytesMax)
  const input = {
    params: declared.params ? valid('param') : (undefined as never),
    query: declared.query ? valid('query') : (undefined as never),
    body: body as never,
    principal,
    signal: c.req.raw.signal,
    headers: c.req.raw.headers,
    limitSilence: c.env.limitSilence,
    address: c.env.client,
    requestId: c.get('requestId'),
    requireStanding: () => requireStanding(principal),
  }
  return { input, sent, size }
}
