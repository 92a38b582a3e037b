/** The OpenAPI document, made from the very schemas that the routes validate with. */
import * as z from 'zod'
import { createDocument, type ZodOpenApiOperationObject, type ZodOpenApiPathsObject } from 'zod-openapi'
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
    error: z.string(),
    errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
  })
  .meta({ id: 'Problem', description: 'RFC 9457 problem details' })

const cursorHeader = z.string().meta({
  description: 'Position of this answer in the journal; a subscription since it misses and repeats nothing',
})

export function openApiDocument(routes: readonly Route[], version: string) {
  const paths: ZodOpenApiPathsObject = {}
  for (const declared of routes) {
    paths[declared.path] = { ...paths[declared.path], [declared.method]: operation(declared) }
  }
  return createDocument({
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
}

function operation(declared: Route): ZodOpenApiOperationObject {
  const { params, query, body, right, probe } = { ...declared, probe: 'probe' in declared.act }
  const json = { 'application/json': { schema: declared.answer } }
  const headers = probe ? {} : { headers: z.object({ [CURSOR_HEADER]: cursorHeader }) }
  return {
    operationId: `${declared.method}${declared.path.replaceAll(/[/{}_]+(\w?)/g, (_, letter: string) => letter.toUpperCase())}`,
    summary: declared.summary,
    tags: [declared.tag],
    ...(right === 'open' ? { security: [] } : {}),
    ...(params || query
      ? {
          requestParams: {
            ...(params ? { path: params as z.ZodObject } : {}),
            ...(query ? { query: query as z.ZodObject } : {}),
          },
        }
      : {}),
    ...(body ? { requestBody: { required: true, content: { 'application/json': { schema: body } } } } : {}),
    responses: {
      [String(declared.status)]: { description: 'done', content: json, ...headers },
      ...(probe ? { '503': { description: 'not now', content: json } } : refusalAnswers(declared)),
    },
  }
}

/** Every refusal that the route may give, by status. */
function refusalAnswers({ right, params, query, body, refuses = [] }: Route) {
  const codes: RefusalCode[] = [
    ...(right === 'open' ? [] : (['unauthenticated', 'forbidden'] as const)),
    ...(params || query || body ? (['invalid_message'] as const) : []),
    ...(body ? (['too_large', 'unsupported_media_type'] as const) : []),
    ...refuses,
    'storage_unavailable',
  ]
  return Object.fromEntries(
    codes.map((code) => [
      String(statusOf(code)),
      { description: code, content: { 'application/problem+json': { schema: problemSchema } } },
    ]),
  )
}
