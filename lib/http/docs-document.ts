/** What the documentation page reads of OpenAPI 3.1, AsyncAPI 3.0 and JSON Schema, and how references are followed. */
import * as z from 'zod'

const text = z.string().optional()
const flag = z.boolean().optional()
const number = z.number().optional()
type MaybeSchema = z.ZodOptional<typeof schemaModel>
type MaybeSchemas = z.ZodOptional<z.ZodArray<typeof schemaModel>>

/** The keywords of JSON Schema 2020-12 that the page shows. */
const schemaObject = z.looseObject({
  $ref: text,
  title: text,
  description: text,
  type: z.union([z.string(), z.array(z.string())]).optional(),
  const: z.unknown().optional(),
  enum: z.array(z.unknown()).optional(),
  default: z.unknown().optional(),
  examples: z.array(z.unknown()).optional(),
  deprecated: flag,
  readOnly: flag,
  writeOnly: flag,
  format: text,
  pattern: text,
  minimum: number,
  maximum: number,
  exclusiveMinimum: number,
  exclusiveMaximum: number,
  multipleOf: number,
  minLength: number,
  maxLength: number,
  minItems: number,
  maxItems: number,
  uniqueItems: flag,
  minProperties: number,
  maxProperties: number,
  required: z.array(z.string()).optional(),
  get properties(): z.ZodOptional<z.ZodRecord<z.ZodString, typeof schemaModel>> {
    return z.record(z.string(), schemaModel).optional()
  },
  get additionalProperties(): MaybeSchema {
    return schemaModel.optional()
  },
  get propertyNames(): MaybeSchema {
    return schemaModel.optional()
  },
  get items(): MaybeSchema {
    return schemaModel.optional()
  },
  get prefixItems(): MaybeSchemas {
    return z.array(schemaModel).optional()
  },
  get anyOf(): MaybeSchemas {
    return z.array(schemaModel).optional()
  },
  get oneOf(): MaybeSchemas {
    return z.array(schemaModel).optional()
  },
  get allOf(): MaybeSchemas {
    return z.array(schemaModel).optional()
  },
  get not(): MaybeSchema {
    return schemaModel.optional()
  },
})
export const schemaModel = z.union([z.boolean(), schemaObject])
export type SchemaObject = z.output<typeof schemaObject>
export type Schema = z.output<typeof schemaModel>

const schemas = z.record(z.string(), schemaModel).default({})
/** Each may be a reference: it is followed, and read where it leads. */
const references = z.array(z.unknown()).default([])
const named = z.record(z.string(), z.unknown()).default({})
const content = z.record(z.string(), z.looseObject({ schema: schemaModel.optional() })).default({})
const tags = z.array(z.looseObject({ name: z.string(), description: text })).default([])
/** Each of the list grants by itself; its schemes count together. */
const security = z.array(z.record(z.string(), z.array(z.string()))).optional()

export const openApiModel = z.looseObject({
  info: z.looseObject({ title: z.string(), version: z.string(), summary: text, description: text }),
  servers: z.array(z.looseObject({ url: z.string(), description: text })).default([]),
  tags,
  security,
  paths: named,
  components: z.looseObject({ schemas }).default({ schemas: {} }),
})

export const operationModel = z.looseObject({
  operationId: text,
  summary: text,
  description: text,
  deprecated: flag,
  tags: z.array(z.string()).default([]),
  security,
  parameters: references,
  requestBody: z.unknown().optional(),
  responses: named,
})
export type Operation = z.output<typeof operationModel>

export const parameterModel = z.looseObject({
  name: z.string(),
  in: z.string(),
  required: flag,
  deprecated: flag,
  description: text,
  schema: schemaModel.default(true),
})
export const bodyModel = z.looseObject({ description: text, required: flag, content })
export const answerModel = z.looseObject({ description: text, headers: named, content })
export const headerModel = z.looseObject({
  description: text,
  required: flag,
  schema: schemaModel.default(true),
})

export const asyncApiModel = z.looseObject({
  info: z.looseObject({ title: z.string(), version: z.string(), description: text }),
  servers: named,
  channels: named,
  operations: named,
  components: z.looseObject({ schemas }).default({ schemas: {} }),
})

export const hostModel = z.looseObject({
  host: z.string(),
  protocol: z.string(),
  pathname: text,
  description: text,
})
export const channelModel = z.looseObject({
  address: z.string().nullish(),
  title: text,
  summary: text,
  description: text,
  messages: named,
})
export const actionModel = z.looseObject({
  action: z.enum(['send', 'receive']),
  channel: z.unknown().optional(),
  title: text,
  summary: text,
  description: text,
  /** Absent: all messages of the channel. */
  messages: z.array(z.unknown()).optional(),
  reply: z.unknown().optional(),
})
export const replyModel = z.looseObject({ messages: references })
export const messageModel = z.looseObject({
  name: text,
  title: text,
  summary: text,
  description: text,
  deprecated: flag,
  contentType: text,
  headers: schemaModel.optional(),
  // Either a schema, or a schema with the name of its format around it.
  payload: z
    .union([z.looseObject({ schemaFormat: z.string(), schema: schemaModel }), schemaModel])
    .optional(),
  examples: z
    .array(z.looseObject({ name: text, summary: text, payload: z.unknown().optional() }))
    .default([]),
})
export type Message = z.output<typeof messageModel>

/** What a value stands for: references within `document` are followed, at most 8 of them; `ref` is the last one. */
export function follow(document: object, start: unknown): { readonly value: unknown; readonly ref?: string } {
  let found: { value: unknown; ref?: string } = { value: start }
  for (let hops = 0; hops < 8; hops += 1) {
    const ref = refOf(found.value)
    if (ref === undefined) break
    found = { value: atPointer(document, ref), ref }
  }
  return found
}

function refOf(value: unknown): string | undefined {
  const isReference = typeof value === 'object' && value !== null && '$ref' in value
  return isReference && typeof value.$ref === 'string' && value.$ref.startsWith('#/') ? value.$ref : undefined
}

/** RFC 6901, as a URI fragment. */
function atPointer(document: object, ref: string): unknown {
  const steps = ref.slice(2).split('/').map(decodeURIComponent)
  return steps.reduce<unknown>((node, step) => {
    const key = step.replaceAll('~1', '/').replaceAll('~0', '~')
    return new Map(Object.entries(node ?? {})).get(key)
  }, document)
}
