/** What the document cannot say: rules by which a request that fits its schemas is refused, or one that does not is taken. */
import { channels, isEventType } from '../../../lib/protocol/events.ts'
import { protocolTypes } from '../../../lib/protocol/server-messages.ts'
import type { Contract, Operation, Parameter, Schema } from './contract.ts'

export interface Asked {
  readonly operation: Operation
  /** Texts of path, query and headers, with the schema that each must fit. */
  readonly texts: readonly { readonly parameter: Parameter; readonly text: string; readonly schema: Schema }[]
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
const EVENT_DEPTH_MAX = 30

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
    says: `what becomes an event nests at most ${EVENT_DEPTH_MAX} levels`,
    status: 400,
    covers: ({ body }) => depthOf(body) > EVENT_DEPTH_MAX,
  },
  {
    says: `a field that is a free object is at most ${OBJECT_BYTES_MAX} bytes of JSON`,
    status: 400,
    covers: ({ body }) =>
      someObject(body, (object) => Object.values(object).some((field) => bytesOf(field) > OBJECT_BYTES_MAX)),
  },
  {
    says: 'a cursor names a channel once, at a position up to 2^53 − 1',
    status: 400,
    covers: ({ texts }) =>
      texts.some(({ parameter: { name }, text }) => cursorNames.has(name) && !isPlace(text)),
  },
  {
    says: 'an unknown channel is told before what else is wrong with cursor or filter',
    status: 404,
    covers: ({ texts }) =>
      texts.some(
        ({ parameter: { name }, text }) =>
          name === 'channels' && !text.split(',').every((channel) => channels.some((own) => own === channel)),
      ),
  },
  {
    says: 'a filter names fields that events of its channels have, and compares each with what it may be',
    status: 400,
    covers: ({ texts, body }) =>
      texts.some(({ parameter: { name }, text }) => name === 'where' && !isOfAll(jsonOf(text))) ||
      grantsOf(body).some(({ where }) => !isOfAll(where)),
  },
  {
    says: 'an event, an ephemeral message or one of a polling session is at most 64 KiB',
    status: 413,
    covers: ({ operation, body }) =>
      ['postApiEvents', 'postApiWebsocketBroadcast', 'postWsSend'].includes(operation.id) &&
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

const cursorNames: ReadonlySet<string> = new Set(['since', 'Last-Event-ID'])

function isPlace(text: string): boolean {
  const parts = (text.split(':')[1] ?? '').split(',').map((part) => part.split('='))
  return (
    new Set(parts.map(([channel]) => channel)).size === parts.length &&
    parts.every(([, seq]) => Number(seq ?? 0) <= Number.MAX_SAFE_INTEGER)
  )
}

/** Filters over fields of every event, with values that these have. */
export const filtersOfAll = [
  '{"type":"job_failed"}',
  '{"type":{"in":["photo_imported","system_status"]},"seq":{"gt":1}}',
  '{"seq":{"gte":2,"lt":1e6},"timestamp":{"gt":"2020"}}',
  '{"channel":{"ne":"jobs"},"seq":{"exists":true}}',
]

const isOfAll = (filter: unknown) =>
  filtersOfAll.some((text) => JSON.stringify(jsonOf(text)) === JSON.stringify(filter))

/** Of a token that is asked for. */
function grantsOf(body: unknown): readonly { readonly where?: unknown }[] {
  const { grants } = (typeof body === 'object' && body !== null ? body : {}) as { grants?: unknown }
  return Array.isArray(grants) ? grants.filter((grant) => typeof grant === 'object' && grant !== null) : []
}

/** Undefined where the text is no JSON. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
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
