/** What the document cannot say: rules by which a request that fits its schemas is refused, or one that does not is taken. */
import { isEventType } from '../../../lib/protocol/events.ts'
import { protocolTypes } from '../../../lib/protocol/server-messages.ts'
import type { Contract, Operation, Schema } from './contract.ts'

export interface Asked {
  readonly operation: Operation
  /** Texts of path and query, with the schema that each must fit. */
  readonly texts: readonly { readonly text: string; readonly schema: Schema }[]
  readonly body: unknown
}

export interface Rule {
  readonly says: string
  readonly status: number
  covers(asked: Asked, contract: Contract): boolean
}

/** Bytes of JSON that one object field may be. */
const OBJECT_BYTES_MAX = 60_000
/** Bytes of an event or an ephemeral message beside its envelope, which is never larger than the rest. */
const EVENT_BYTES_MIN = 65_000
const DEPTH_MAX = 32

export const rules: readonly Rule[] = [
  {
    says: 'a number in a path or query is written in at most 16 decimal digits, and 16 after the point',
    status: 400,
    covers: ({ texts }) =>
      texts.some(
        ({ text, schema }) =>
          ['integer', 'number'].includes(String(schema.type)) && !/^-?\d{1,16}(\.\d{1,16})?$/.test(text),
      ),
  },
  {
    says: 'the length of a text counts UTF-16 code units, of which a character beyond U+FFFF has two',
    status: 400,
    covers: ({ body, texts }) =>
      someText([body, texts], (text) => text.length > 64 && text.length > [...text].length),
  },
  {
    says: 'a text is well-formed Unicode: no lone surrogate',
    status: 400,
    covers: ({ body }) => someText(body, (text) => !text.isWellFormed()),
  },
  {
    says: 'no key is __proto__',
    status: 400,
    covers: ({ body }) => someObject(body, (object) => Object.hasOwn(object, '__proto__')),
  },
  {
    says: `a body nests at most ${DEPTH_MAX} levels`,
    status: 400,
    covers: ({ body }) => depthOf(body) > DEPTH_MAX,
  },
  {
    says: `a field that is a free object is at most ${OBJECT_BYTES_MAX} bytes of JSON`,
    status: 400,
    covers: ({ body }) =>
      someObject(body, (object) => Object.values(object).some((field) => bytesOf(field) > OBJECT_BYTES_MAX)),
  },
  {
    says: 'an event or an ephemeral message is at most 64 KiB',
    status: 413,
    covers: ({ operation, body }) =>
      ['postApiEvents', 'postApiWebsocketBroadcast'].includes(operation.id) &&
      bytesOf(body) > EVENT_BYTES_MIN,
  },
  {
    says: 'an ephemeral message has none of the protocol’s types and no seq, channel or id of its own',
    status: 400,
    covers: ({ operation, body }) => {
      const message = messageOf(operation, body)
      const own = ['seq', 'channel', 'id'].some((name) => message && Object.hasOwn(message, name))
      return message !== undefined && (protocolTypes.has(String(message['type'])) || own)
    },
  },
  {
    says: 'a broadcast event of the catalogue has its fields, goes to its own channel and to clients of any type',
    status: 400,
    covers: ({ operation, body }, contract) => {
      const message = messageOf(operation, body)
      if (!message || !isEventType(String(message['type']))) return false
      const { channel, client_type } = body as { channel?: unknown; client_type?: unknown }
      const fault = contract.fault({ $ref: '#/components/schemas/PublishedEvent' }, message)
      return fault !== undefined || channel !== undefined || client_type !== undefined
    },
  },
]

/** A Lua client writes an empty object as `[]`; this is the body as it is meant. */
export function withObjects(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 0 ? {} : value.map(withObjects)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, withObjects(field)]))
}

function messageOf({ id }: Operation, body: unknown): Record<string, unknown> | undefined {
  if (id !== 'postApiWebsocketBroadcast' || typeof body !== 'object' || body === null) return undefined
  const { message } = body as { message?: unknown }
  return typeof message === 'object' && message !== null ? (message as Record<string, unknown>) : undefined
}

const bytesOf = (value: unknown) =>
  typeof value === 'object' && value !== null ? Buffer.byteLength(JSON.stringify(value)) : 0

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  return 1 + Math.max(0, ...Object.values(value).map(depthOf))
}

function someObject(value: unknown, holds: (object: object) => boolean): boolean {
  if (typeof value !== 'object' || value === null) return false
  return holds(value) || Object.values(value).some((part) => someObject(part, holds))
}

function someText(value: unknown, holds: (text: string) => boolean): boolean {
  if (typeof value === 'string') return holds(value)
  if (typeof value !== 'object' || value === null) return false
  return Object.entries(value).some(([name, part]) => holds(name) || someText(part, holds))
}
