/** What version 1 of the wire is, as data: a release keeps a copy of it, and later ones are held against it. */
import * as z from 'zod'
import { catalogue, channels, eventTypes } from '../lib/protocol/events.ts'
import { operators } from '../lib/protocol/filter.ts'
import { clientMessages } from '../lib/protocol/messages.ts'
import { refusals, type RefusalCode } from '../lib/protocol/refusals.ts'
import { replyTypes, serverMessages, subprotocols } from '../lib/protocol/server-messages.ts'
import { eventSchemas } from '../lib/protocol/wire-schemas.ts'
import { declaredRoutes } from './openapi-text.ts'

/** A JSON schema, as zod writes them. */
export type JsonSchema = Readonly<Record<string, unknown>>

export interface WireDescription {
  readonly subprotocols: readonly string[]
  readonly channels: readonly string[]
  readonly operators: readonly string[]
  readonly events: Readonly<Record<string, EventDescription>>
  /** What a client may send, and the type of the reply. */
  readonly clientMessages: Readonly<Record<string, { readonly reply: string; readonly accepted: JsonSchema }>>
  readonly serverMessages: Readonly<Record<string, JsonSchema>>
  readonly refusals: Readonly<Record<string, { readonly status?: number; readonly close?: number }>>
  readonly routes: Readonly<Record<string, RouteDescription>>
}

export interface EventDescription {
  readonly channel: string
  readonly class: string
  readonly key: readonly string[]
  /** The event as it is sent. */
  readonly told: JsonSchema
  /** Its own fields, as a publisher may give them. */
  readonly accepted: JsonSchema
}

export interface RouteDescription {
  readonly right: string
  readonly status: number
  /** Parts of a request that the route reads. */
  readonly accepted: Readonly<Record<string, JsonSchema>>
  readonly told: JsonSchema
}

const accepted = (schema: z.ZodType) => plain(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }))
const told = (schema: z.ZodType) => plain(z.toJSONSchema(schema, { io: 'output', unrepresentable: 'any' }))

/** Without what is there for readers only. A field may have such a name; its schema is no text. */
function plain(schema: object): JsonSchema {
  const forReaders = ['$schema', 'description', 'contentMediaType']
  const text = JSON.stringify(schema, (name, value: unknown) =>
    name === 'contentSchema' || (forReaders.includes(name) && typeof value === 'string') ? undefined : value,
  )
  return JSON.parse(text) as JsonSchema
}

export function describeWire(): WireDescription {
  return {
    subprotocols,
    channels,
    operators,
    events: Object.fromEntries(
      eventTypes.map((type) => {
        const { channel, class: kind, key, data } = catalogue[type]
        const schemas = { told: told(eventSchemas[type]), accepted: accepted(data) }
        return [type, { channel, class: kind, key, ...schemas }]
      }),
    ),
    clientMessages: Object.fromEntries(
      Object.entries(clientMessages).map(([type, schema]) => [
        type,
        { reply: replyTypes[type as keyof typeof replyTypes], accepted: accepted(schema) },
      ]),
    ),
    serverMessages: Object.fromEntries(
      Object.entries(serverMessages).map(([type, schema]) => [type, told(schema)]),
    ),
    refusals: refusals satisfies Record<RefusalCode, object>,
    routes: Object.fromEntries(
      declaredRoutes().map(({ method, path, right, status, params, query, body, headers, answer }) => [
        `${method.toUpperCase()} ${path}`,
        { right, status, accepted: partsOf({ params, query, body, headers }), told: told(answer) },
      ]),
    ),
  }
}

/** A line of JSON for each list, event, message, refusal and route: its part, its name and what it is. */
export function wireText(wire: WireDescription): string {
  const rows = Object.entries<object>({ ...wire }).flatMap(([part, rest]) =>
    Array.isArray(rest) ? [[part, rest]] : Object.entries(rest).map(([name, row]) => [part, name, row]),
  )
  return `${rows.map((row) => JSON.stringify(row)).join('\n')}\n`
}

/** Reads what {@link wireText} wrote. */
export function readWire(text: string): WireDescription {
  const wire: Record<string, unknown> = {}
  for (const line of text.trim().split('\n')) {
    const [part, name, row] = JSON.parse(line) as [string, unknown, unknown]
    wire[part] = row === undefined ? name : { ...(wire[part] as object | undefined), [String(name)]: row }
  }
  // As it was written.
  return wire as unknown as WireDescription
}

function partsOf(parts: Readonly<Record<string, z.ZodType | undefined>>): Record<string, JsonSchema> {
  return Object.fromEntries(
    Object.entries(parts).flatMap(([name, schema]) => (schema ? [[name, accepted(schema)]] : [])),
  )
}
