/** The event types of the TypeScript client, written from the catalogue, so that `on('job_progress', …)` knows its fields. */
import * as z from 'zod'
import { catalogue, channels, eventTypes, type EventType } from '../lib/protocol/events.ts'

/** What the walk below reads of a JSON schema. */
interface Shape {
  readonly type?: string
  readonly enum?: readonly string[]
  readonly anyOf?: readonly Shape[]
  readonly properties?: Readonly<Record<string, Shape>>
  readonly required?: readonly string[]
}

const primitives: Readonly<Record<string, string>> = {
  string: 'string',
  number: 'number',
  integer: 'number',
  boolean: 'boolean',
  null: 'null',
  object: 'Readonly<Record<string, unknown>>',
}

function typeOf({ type, enum: values, anyOf }: Shape): string {
  if (anyOf) return anyOf.map(typeOf).join(' | ')
  if (values) return values.map(quoted).join(' | ')
  // What an object is made from, before zod looks at it, says no type of its own.
  return primitives[type ?? 'object'] ?? 'unknown'
}

const quoted = (name: string) => `'${name}'`
const pascalCase = (type: string) =>
  type.replaceAll(/(?:^|_)(\w)/g, (_, letter: string) => letter.toUpperCase())

function fieldsOf(type: EventType, io: 'input' | 'output'): string[] {
  const schema = z.toJSONSchema(catalogue[type].data, { io, unrepresentable: 'any' }) as Shape
  return Object.entries(schema.properties ?? {}).map(([name, field]) => {
    const optional = schema.required?.includes(name) ? '' : '?'
    return `  readonly ${name}${optional}: ${typeOf(field)}`
  })
}

function interfacesOf(type: EventType): string {
  const { channel } = catalogue[type]
  const name = pascalCase(type)
  return [
    `export interface ${name} extends Envelope<'${type}', '${channel}'> {`,
    ...fieldsOf(type, 'output'),
    '}',
    '',
    `export interface ${name}Draft {`,
    `  readonly type: '${type}'`,
    ...fieldsOf(type, 'input'),
    '}',
    '',
  ].join('\n')
}

/** The text of clients/typescript/src/events.ts. */
export function clientTypesText(): string {
  const keyed = eventTypes.filter((type) => catalogue[type].class === 'state')
  return `/** The events of Lightwire, by type. Written by \`npm run docs\` from the catalogue: do not edit. */

export type Channel = ${channels.map(quoted).join(' | ')}

/** What every event has beside its own fields. */
export interface Envelope<T extends string, C extends Channel> {
  readonly type: T
  readonly channel: C
  /** Counts the channel's events from 1 without a gap. */
  readonly seq: number
  /** UTC, ISO 8601 with milliseconds and Z. */
  readonly timestamp: string
}

${eventTypes.map(interfacesOf).join('\n')}
export interface EventMap {
${eventTypes.map((type) => `  readonly ${type}: ${pascalCase(type)}`).join('\n')}
}

/** What \`publish\` takes: fields that have a default may be left out. */
export interface DraftMap {
${eventTypes.map((type) => `  readonly ${type}: ${pascalCase(type)}Draft`).join('\n')}
}

export type EventType = keyof EventMap
export type LightwireEvent = EventMap[EventType]
export type Draft = DraftMap[EventType]

export const channelOf = {
${eventTypes.map((type) => `  ${type}: '${catalogue[type].channel}',`).join('\n')}
} as const satisfies Record<EventType, Channel>

/** The types that say the newest value of a key, with the fields of that key. */
export const stateKeys = {
${keyed.map((type) => `  ${type}: [${catalogue[type].key.map(quoted).join(', ')}],`).join('\n')}
} as const

export type StateType = keyof typeof stateKeys
`
}
