/** The OpenAPI document, made from the very schemas that the routes validate with. */
import * as z from 'zod'
import { createDocument, type ZodOpenApiOperationObject, type ZodOpenApiPathsObject } from 'zod-openapi'
import { scopeNames } from '../access/rights.ts'
import { refusals, statusOf, type RefusalCode } from '../protocol/refusals.ts'
import { CURSOR_HEADER } from './app.ts'
import type { Route } from './route.ts'

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
  })
  .meta({ id: 'Problem', description: 'RFC 9457 problem details' })

const cursorHeader = z.string().meta({
  description: 'Position of this answer in the journal; a subscription since it misses and repeats nothing',
})

const requestIdHeader = z.string().meta({
  description: "The request's own where that is harmless, else a new one; the log names it",
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
  const json = { 'application/json': { schema: declared.answer } }
  const cursor = probe ? {} : { [CURSOR_HEADER]: cursorHeader }
  const headers = { headers: z.object({ ...cursor, 'X-Request-Id': requestIdHeader }) }
  return {
    operationId: `${declared.method}${declared.path.replaceAll(/[/{}_]+(\w?)/g, (_, letter: string) => letter.toUpperCase())}`,
    summary: declared.summary,
    tags: [declared.tag],
    security:
      right === 'open' ? [] : [{ bearer: [right === 'publish' ? 'events:publish' : scopeNames[right]] }],
    ...(params || query
      ? {
          requestParams: {
            ...(params ? { path: params as z.ZodObject } : {}),
            ...(query ? { query: query as z.ZodObject } : {}),
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
      ...refusalAnswers(declared),
      ...(probe ? { '503': { description: 'not now', content: json } } : {}),
    },
  }
}

/** Every refusal that the route may give, by status. */
function refusalAnswers({ method, right, body, refuses = [] }: Route) {
  const writes = method !== 'get'
  const codes = new Set<RefusalCode>([
    ...(right === 'open' ? [] : (['unauthenticated', 'invalid_token', 'forbidden'] as const)),
    'host_refused',
    ...(writes ? (['origin_refused'] as const) : []),
    ...(right === 'open' ? [] : (['invalid_message'] as const)),
    ...(body ? (['too_large', 'unsupported_media_type'] as const) : []),
    ...refuses,
    'storage_unavailable',
    ...(writes ? (['draining'] as const) : []),
  ])
  const byStatus = Map.groupBy(codes, statusOf)
  return Object.fromEntries(
    [...byStatus].map(([status, list]) => [
      String(status),
      { description: list.join(' or '), content: { 'application/problem+json': { schema: problemSchema } } },
    ]),
  )
}
