/** The OpenAPI document, made from the very schemas that the routes validate with. */
import * as z from 'zod'
import { createDocument, type ZodOpenApiOperationObject, type ZodOpenApiPathsObject } from 'zod-openapi'
import { scopeNames } from '../access/rights.ts'
import { idempotencyKey } from '../protocol/messages.ts'
import { channelName, recovery } from '../protocol/server-messages.ts'
import { refusals, statusOf, type RefusalCode } from '../protocol/refusals.ts'
import { CURSOR_HEADER } from './app.ts'
import { KEY_HEADER, REPLAYED_HEADER, takesKey } from './idempotency.ts'
import { RATE_HEADER, RATE_POLICY_HEADER } from './quota.ts'
import { mayChange, type Route } from './route.ts'

const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.enum(Object.keys(refusals) as [RefusalCode]),
    error: z.string().meta({ description: 'repeats detail, for older clients' }),
    current_status: z.string().optional().meta({ description: 'the state that a refused transition met' }),
    errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
    recovery: z
      .partialRecord(channelName, recovery)
      .optional()
      .meta({ description: 'what became of each channel of a cursor that cannot be served' }),
  })
  .meta({ id: 'Problem', description: 'RFC 9457 problem details' })

const cursorHeader = z.string().meta({
  description: 'Position of this answer in the journal; a subscription since it misses and repeats nothing',
})

const requestIdHeader = z.string().meta({
  description: "The request's own where that is harmless, else a new one; the log names it",
})

const rateHeader = z.string().optional().meta({
  description:
    'How many more requests (r) are admitted within the next t seconds; draft-ietf-httpapi-ratelimit-headers',
})

const ratePolicyHeader = z.string().optional().meta({
  description: 'The limit: q requests within any w seconds',
})

const replayedHeader = z.literal('true').optional().meta({
  description: 'the answer, cursor included, to the first request with this key; nothing was changed',
})

export function openApiDocument(routes: readonly Route[], version: string) {
  const paths: ZodOpenApiPathsObject = {}
  for (const declared of routes) {
    paths[declared.path] = { ...paths[declared.path], [declared.method]: operation(declared) }
  }
  const document = createDocument({
    openapi: '3.1.1',
    info: {
      title: 'Lightwire',
      version,
      description: 'State of a photo workflow; every change commits with its events in one transaction.',
    },
    servers: [{ url: 'http://127.0.0.1:5100' }],
    security: [{ bearer: [] }],
    paths,
    components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } } },
  })
  // Through JSON: a header that all answers share is one object here, and YAML would write it as an alias.
  return JSON.parse(JSON.stringify(document)) as typeof document
}

function operation(declared: Route): ZodOpenApiOperationObject {
  const { params, query, body, bodyOptional = false, right } = declared
  const probe = 'probe' in declared.act
  const stream = 'stream' in declared.act
  const file = 'file' in declared.act
  const json = {
    [stream ? 'text/event-stream' : file ? 'image/webp' : 'application/json']: { schema: declared.answer },
  }
  const bare = probe || stream || file || 'give' in declared.act
  const cursor = bare ? {} : { [CURSOR_HEADER]: cursorHeader }
  const keyed = takesKey(declared)
  const asked = { ...declared.headers?.shape, ...(keyed ? { [KEY_HEADER]: idempotencyKey.optional() } : {}) }
  const replayed = keyed ? { [REPLAYED_HEADER]: replayedHeader } : {}
  const rates = right === 'open' ? {} : { [RATE_HEADER]: rateHeader, [RATE_POLICY_HEADER]: ratePolicyHeader }
  const headers = { headers: z.object({ ...cursor, ...replayed, ...rates, 'X-Request-Id': requestIdHeader }) }
  return {
    operationId: `${declared.method}${declared.path.replaceAll(/[/{}_]+(\w?)/g, (_, letter: string) => letter.toUpperCase())}`,
    summary: declared.summary,
    tags: [declared.tag],
    security: right === 'open' ? [] : [{ bearer: scopesOf(right) }],
    ...(params || query || declared.headers || keyed
      ? {
          requestParams: {
            ...(params ? { path: params as z.ZodObject } : {}),
            ...(query ? { query: query as z.ZodObject } : {}),
            ...(declared.headers || keyed ? { header: z.object(asked) } : {}),
          },
        }
      : {}),
    ...(body
      ? { requestBody: { required: !bodyOptional, content: { 'application/json': { schema: body } } } }
      : {}),
    responses: {
      [String(declared.status)]: {
        description: declared.status === 201 ? 'made, and durable' : 'done',
        content: json,
        ...headers,
      },
      ...(file ? { '304': { description: 'what the client has, by If-None-Match, is still the same' } } : {}),
      ...refusalAnswers(declared),
      ...(probe ? { '503': { description: 'not now', content: json } } : {}),
    },
  }
}

function scopesOf(right: Exclude<Route['right'], 'open'>): string[] {
  if (right === 'any') return []
  if (right === 'publish' || right === 'read') return [`events:${right}`]
  return [scopeNames[right]]
}

/** Every refusal that the route may give, by status. */
function refusalAnswers(declared: Route) {
  const { method, path, right, body, refuses = [] } = declared
  const codes = new Set<RefusalCode>([
    ...(right === 'open' ? [] : (['unauthenticated', 'invalid_token', 'forbidden', 'rate_limited'] as const)),
    'host_refused',
    ...(mayChange(method, path) ? (['origin_refused'] as const) : []),
    ...(right === 'open' ? [] : (['invalid_message'] as const)),
    ...(body ? (['too_large', 'unsupported_media_type'] as const) : []),
    ...refuses,
    // While an issuer is asked for the keys of many tokens.
    ...(right === 'open' ? [] : (['too_many_connections'] as const)),
    ...(takesKey(declared) ? (['idempotency_mismatch'] as const) : []),
    'storage_unavailable',
    ...(right === 'open' ? [] : (['draining'] as const)),
  ])
  const byStatus = Map.groupBy(codes, statusOf)
  return Object.fromEntries(
    [...byStatus].map(([status, list]) => [
      String(status),
      { description: list.join(' or '), content: { 'application/problem+json': { schema: problemSchema } } },
    ]),
  )
}
