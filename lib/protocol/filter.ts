/** Filters: `where` of PROTOCOL §4, a flat AND over an event's fields, checked and brought to one canonical form. */
import * as z from 'zod'
import { catalogue, eventTypes, isEventType, jsonObject, type Channel } from './events.ts'
import { excerpt, Refusal } from './refusals.ts'

export const CONDITIONS_MAX = 16
export const IN_VALUES_MAX = 100
/** Longest text that a condition compares with. */
const VALUE_LENGTH_MAX = 1000

export const operators = ['eq', 'ne', 'in', 'gt', 'gte', 'lt', 'lte', 'exists'] as const
type Operator = (typeof operators)[number]

/** What a field is compared with. */
export type Scalar = string | number | boolean | null

export interface Condition {
  readonly field: string
  readonly op: Operator
  /** Of `in` a sorted list without repeats; of `exists` a boolean. */
  readonly value: Scalar | readonly Scalar[]
}

/** An event's fields, its envelope's included. */
export type Fields = Readonly<Record<string, unknown>>

export interface Filter {
  /** Equal for filters that mean the same, however they were written. */
  readonly key: string
  /** All of them hold for what it matches. */
  readonly conditions: readonly Condition[]
  /** Whether the conditions are all there is to it. */
  readonly isPlain: boolean
  matches(fields: Fields): boolean
}

const scalar = { type: ['string', 'number', 'boolean', 'null'], maxLength: VALUE_LENGTH_MAX }
const ordered = { type: ['string', 'number'], maxLength: VALUE_LENGTH_MAX }
const equal = {
  eq: scalar,
  ne: scalar,
  in: { type: 'array', items: scalar, minItems: 1, maxItems: IN_VALUES_MAX },
}
const compared = { gt: ordered, gte: ordered, lt: ordered, lte: ordered }

/** A `where` as JSON Schema, for documents; which fields there are, and of what kind, depends on the channels. */
export const filterSchema = {
  type: 'object',
  minProperties: 1,
  maxProperties: CONDITIONS_MAX,
  additionalProperties: {
    anyOf: [
      scalar,
      {
        type: 'object',
        properties: { ...equal, ...compared, exists: { type: 'boolean' } } satisfies Record<Operator, object>,
        additionalProperties: false,
        minProperties: 1,
      },
    ],
  },
}

/** Kinds of value that a field of some event has. */
type Kinds = ReadonlySet<string>

/** Per channel and field the kinds of its values, read off the catalogue. */
const fieldsOf: ReadonlyMap<Channel, ReadonlyMap<string, Kinds>> = readFields()

/**
 * Reads a `where` for events of these channels.
 * @throws {Refusal} `invalid_message` that names the condition and what was expected
 */
export function parseFilter(where: unknown, channels: readonly Channel[]): Filter {
  const { data } = jsonObject.safeParse(where)
  if (!data) throw refused('', 'expected an object of conditions, such as {"session_id": 12}')
  const known = knownFields(channels)
  const conditions = Object.entries(data).flatMap(([field, wanted]) => readField(field, wanted, known))
  if (conditions.length === 0) throw refused('', 'expected at least one condition')
  if (conditions.length > CONDITIONS_MAX)
    throw refused('', `expected at most ${CONDITIONS_MAX} conditions, not ${conditions.length}`)
  return createFilter(conditions)
}

/** A filter of checked conditions. */
export function createFilter(read: readonly Condition[]): Filter {
  const byText = new Map(read.map((condition) => [textOf(condition), condition]))
  const texts = [...byText.keys()].sort()
  const conditions = texts.flatMap((text) => byText.get(text) ?? [])
  return {
    key: `[${texts.join(',')}]`,
    conditions,
    isPlain: true,
    matches: (fields) => conditions.every((condition) => holds(condition, fields)),
  }
}

const textOf = ({ field, op, value }: Condition) => JSON.stringify([field, op, value])

function readField(field: string, wanted: unknown, known: ReadonlyMap<string, Kinds>): Condition[] {
  const kinds = known.get(field)
  if (!kinds) {
    const names = [...known.keys()].sort().join(', ')
    throw refused(field, `no event of these channels has this field; there are ${names}`)
  }
  if (typeof wanted !== 'object' || wanted === null) {
    return [{ field, op: 'eq', value: readScalar(field, wanted, kinds) }]
  }
  const entries = Array.isArray(wanted) ? [] : Object.entries(wanted as Fields)
  if (entries.length === 0)
    throw refused(field, `expected a value, or an object with ${operators.join(', ')}`)
  return entries.map(([op, value]) => readCondition(field, op, value, kinds))
}

function readCondition(field: string, op: string, value: unknown, kinds: Kinds): Condition {
  const at = `${field}.${op}`
  switch (op) {
    case 'eq':
    case 'ne':
      return { field, op, value: readScalar(at, value, kinds) }
    case 'in': {
      if (!Array.isArray(value) || value.length === 0 || value.length > IN_VALUES_MAX)
        throw refused(at, `expected a list of 1 to ${IN_VALUES_MAX} values`)
      const byText = new Map(
        value.map((item) => [JSON.stringify(item), readScalar(at, item, kinds)] as const),
      )
      const values = [...byText.keys()].sort().map((text) => byText.get(text) ?? null)
      const [only = null, ...more] = values
      return more.length === 0 ? { field, op: 'eq', value: only } : { field, op, value: values }
    }
    case 'gt':
    case 'gte':
    case 'lt':
    case 'lte': {
      const limit = readScalar(at, value, kinds)
      if (typeof limit !== 'number' && typeof limit !== 'string')
        throw refused(at, 'expected a number or a string')
      return { field, op, value: limit }
    }
    case 'exists':
      if (typeof value !== 'boolean') throw refused(at, 'expected true or false')
      return { field, op, value }
    default:
      throw refused(at, `no such operator; there are ${operators.join(', ')}`)
  }
}

function readScalar(at: string, value: unknown, kinds: Kinds): Scalar {
  const kind = value === null ? 'null' : typeof value
  const scalar = ['string', 'number', 'boolean', 'null'].includes(kind)
  if (!scalar || !kinds.has(kind)) {
    const comparable = [...kinds].filter((name) => name !== 'object')
    const expected =
      comparable.length > 0
        ? `expected ${comparable.map((name) => (name === 'null' ? name : `a ${name}`)).join(' or ')}`
        : 'only exists can be asked'
    throw refused(at, expected)
  }
  if (typeof value === 'string' && value.length > VALUE_LENGTH_MAX)
    throw refused(at, `expected at most ${VALUE_LENGTH_MAX} characters`)
  if (at.split('.')[0] === 'type' && !isEventType(String(value)))
    throw refused(at, `there is no event type "${excerpt(String(value))}"`)
  // JSON has one zero; -0 would be another key.
  return value === 0 ? 0 : (value as Scalar)
}

function holds({ field, op, value }: Condition, fields: Fields): boolean {
  const there = Object.hasOwn(fields, field)
  if (op === 'exists') return there === value
  if (!there) return false
  const own = fields[field]
  switch (op) {
    case 'eq':
      return own === value
    case 'ne':
      return own !== value
    case 'in':
      return (value as readonly unknown[]).includes(own)
    default:
      return compares(op, own, value as string | number)
  }
}

/** Numbers by value, texts by UTF-16 code unit; values of different kinds have no order. */
function compares(op: 'gt' | 'gte' | 'lt' | 'lte', own: unknown, limit: string | number): boolean {
  if (typeof own !== typeof limit) return false
  const [a, b] = [own as string | number, limit]
  if (op === 'gt') return a > b
  if (op === 'gte') return a >= b
  return op === 'lt' ? a < b : a <= b
}

function knownFields(channels: readonly Channel[]): ReadonlyMap<string, Kinds> {
  const known = new Map<string, Kinds>()
  for (const channel of channels) {
    for (const [field, kinds] of fieldsOf.get(channel) ?? [])
      known.set(field, new Set([...(known.get(field) ?? []), ...kinds]))
  }
  return known
}

function readFields(): ReadonlyMap<Channel, ReadonlyMap<string, Kinds>> {
  const text: Kinds = new Set(['string'])
  const byChannel = new Map<Channel, Map<string, Set<string>>>()
  for (const type of eventTypes) {
    const { channel, data } = catalogue[type]
    const fields = byChannel.get(channel) ?? new Map<string, Set<string>>()
    byChannel.set(channel, fields)
    const envelope = { type: text, timestamp: text, channel: text, seq: new Set(['number']) }
    const own = Object.entries(data.shape).map(([field, schema]) => [field, kindsOf(schema)] as const)
    for (const [field, kinds] of [...Object.entries(envelope), ...own])
      fields.set(field, new Set([...(fields.get(field) ?? []), ...kinds]))
  }
  return byChannel
}

function kindsOf(schema: z.core.$ZodType): Kinds {
  const { type, anyOf = [] } = z.toJSONSchema(schema, { io: 'output', unrepresentable: 'any' })
  const types = [type, ...anyOf.map((branch) => branch.type)].flat().filter((name) => name !== undefined)
  return new Set(types.map((name) => (name === 'integer' ? 'number' : name)))
}

function refused(at: string, expected: string): Refusal {
  const path = at === '' ? 'where' : `where.${excerpt(at)}`
  return new Refusal('invalid_message', `${path}: ${expected}`, { faults: [{ path, message: expected }] })
}
