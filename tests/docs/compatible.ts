/** Whether a later wire keeps what an earlier one promised (PROTOCOL §8): what was told is told, what was accepted is accepted. */
import type { JsonSchema, WireDescription } from '../../cli/wire-description.ts'

/** `told`: a client reads it, so it must find what it knows. `accepted`: a client sends it, so nothing new may be asked of it. */
type Direction = 'told' | 'accepted'

interface Comparing {
  readonly direction: Direction
  /** Definitions that `$ref` names. */
  readonly before: JsonSchema
  readonly after: JsonSchema
  /** Lists that grow; clients ignore what they do not know. */
  readonly open: readonly (readonly unknown[])[]
  readonly faults: string[]
}

/** Every promise that is broken, named by its path; none where the later one only adds. */
export function brokenPromises(before: WireDescription, after: WireDescription): string[] {
  const faults: string[] = []
  const open = [
    before.channels,
    Object.keys(before.events),
    Object.keys(before.refusals),
    before.subprotocols,
  ]
  const compare = (direction: Direction, path: string, old: JsonSchema, now: JsonSchema) =>
    schemas({ direction, before: old, after: now, open, faults }, path, old, now)
  const same = (path: string, old: unknown, now: unknown) => {
    if (!Bun.deepEquals(old, now)) faults.push(`${path}: was ${text(old)}, is ${text(now)}`)
  }
  const each = <T>(
    path: string,
    old: Readonly<Record<string, T>>,
    now: Readonly<Record<string, T>>,
    look: (path: string, old: T, now: T) => void,
  ) => {
    for (const [name, row] of Object.entries(old)) {
      const later = now[name]
      if (later === undefined) faults.push(`${path} ${name}: is gone`)
      else look(`${path} ${name}`, row, later)
    }
  }

  for (const list of ['subprotocols', 'channels', 'operators'] as const) {
    for (const name of before[list].filter((known) => !after[list].includes(known)))
      faults.push(`${list} ${name}: is gone`)
  }
  each('event', before.events, after.events, (path, old, now) => {
    for (const name of ['channel', 'class', 'key'] as const) same(`${path} ${name}`, old[name], now[name])
    compare('told', path, old.told, now.told)
    compare('accepted', `${path} published`, old.accepted, now.accepted)
  })
  each('message', before.clientMessages, after.clientMessages, (path, old, now) => {
    same(`${path} reply`, old.reply, now.reply)
    compare('accepted', path, old.accepted, now.accepted)
  })
  each('answer', before.serverMessages, after.serverMessages, (path, old, now) =>
    compare('told', path, old, now),
  )
  each('refusal', before.refusals, after.refusals, same)
  each('route', before.routes, after.routes, (path, old, now) => {
    same(`${path} right`, old.right, now.right)
    same(`${path} status`, old.status, now.status)
    compare('told', path, old.told, now.told)
    for (const part of Object.keys({ ...old.accepted, ...now.accepted }))
      compare('accepted', `${path} ${part}`, old.accepted[part] ?? {}, now.accepted[part] ?? {})
  })
  return faults
}

const text = (value: unknown) => JSON.stringify(value) ?? 'nothing'

function resolve(schema: JsonSchema, root: JsonSchema): JsonSchema {
  const { $ref } = schema
  if (typeof $ref !== 'string') return schema
  if ($ref === '#') return root
  const definitions = (root['$defs'] ?? {}) as Readonly<Record<string, JsonSchema>>
  const found = definitions[$ref.replace('#/$defs/', '')]
  if (!found) throw new Error(`no ${$ref}`)
  return found
}

/** What a value may be, one by one. */
function branches(schema: JsonSchema, root: JsonSchema): JsonSchema[] {
  const whole = resolve(schema, root)
  const list = (whole['anyOf'] ?? whole['oneOf']) as readonly JsonSchema[] | undefined
  if (list) return list.flatMap((branch) => branches(branch, root))
  const types = whole['type']
  return Array.isArray(types) ? types.map((type: unknown) => ({ ...whole, type })) : [whole]
}

function schemas(comparing: Comparing, path: string, before: JsonSchema, after: JsonSchema): void {
  const [old, now] = [branches(before, comparing.before), branches(after, comparing.after)]
  const [first, only] = [old[0], now[0]]
  if (first && only && old.length === 1 && now.length === 1) return branch(comparing, path, first, only)
  // What is accepted now must take each kind of before; what is told now must be of a kind of before.
  const isTold = comparing.direction === 'told'
  for (const kind of isTold ? now : old) {
    const fits = (isTold ? old : now).some((other) => {
      const faults: string[] = []
      branch({ ...comparing, faults }, path, isTold ? other : kind, isTold ? kind : other)
      return faults.length === 0
    })
    if (!fits) comparing.faults.push(`${path}: ${isTold ? 'may be' : 'may no longer be'} ${text(kind)}`)
  }
}

type Fields = Readonly<Record<string, JsonSchema>>

function branch(comparing: Comparing, path: string, before: JsonSchema, after: JsonSchema): void {
  const { direction, faults } = comparing
  const [wide, narrow] = direction === 'told' ? [before, after] : [after, before]
  const isKind =
    wide['type'] === narrow['type'] || (wide['type'] === 'number' && narrow['type'] === 'integer')
  if (wide['type'] !== undefined && !isKind)
    return void faults.push(`${path}: was ${text(before['type'])}, is ${text(after['type'])}`)
  const bounds = boundFaults(wide, narrow)
  if (bounds.length > 0) faults.push(`${path}: another ${bounds.join(' and ')}`)
  values(comparing, path, before, after)
  if (direction === 'accepted' && !Bun.deepEquals(before['default'], after['default'])) {
    const isNew = before['default'] === undefined && !('default' in before)
    if (!isNew) faults.push(`${path}: left out it was ${text(before['default'])}`)
  }
  const dependent = ['dependentRequired', 'propertyNames'].filter(
    (name) => after[name] !== undefined && !Bun.deepEquals(before[name], after[name]),
  )
  if (direction === 'accepted' && dependent.length > 0) faults.push(`${path}: another ${dependent.join()}`)
  fields(comparing, path, before, after)
  for (const inner of ['items', 'additionalProperties']) {
    const [old, now] = [before[inner], after[inner]]
    if (isSchema(old) && isSchema(now)) schemas(comparing, `${path}.*`, old, now)
    const shut =
      direction === 'accepted' && now === false && old !== false && inner === 'additionalProperties'
    if (shut) faults.push(`${path}: refuses other fields`)
  }
}

const isSchema = (value: unknown): value is JsonSchema => typeof value === 'object' && value !== null

function fields(comparing: Comparing, path: string, before: JsonSchema, after: JsonSchema): void {
  const { direction, faults } = comparing
  const [old, now] = [(before['properties'] ?? {}) as Fields, (after['properties'] ?? {}) as Fields]
  const must = (schema: JsonSchema) => (schema['required'] ?? []) as readonly string[]
  for (const [name, field] of Object.entries(old)) {
    const later = now[name]
    if (later) schemas(comparing, `${path}.${name}`, field, later)
    else faults.push(`${path}.${name}: is gone`)
  }
  const [promised, kept] = direction === 'told' ? [before, after] : [after, before]
  for (const name of must(promised).filter(
    (field) => !must(kept).includes(field) && (direction === 'accepted' || now[field]),
  ))
    faults.push(`${path}.${name}: ${direction === 'told' ? 'may be missing' : 'must be there'}`)
}

/** Values of a list: of what is told none may be added, unless the list is one that grows. */
function values(
  { direction, open, faults }: Comparing,
  path: string,
  before: JsonSchema,
  after: JsonSchema,
): void {
  const list = (schema: JsonSchema) =>
    'const' in schema ? [schema['const']] : (schema['enum'] as readonly unknown[] | undefined)
  const [old, now] = [list(before), list(after)]
  const isOpen =
    old !== undefined &&
    open.some((known) => known.length === old.length && known.every((name) => old.includes(name)))
  const [wide, narrow] = direction === 'told' ? [old, now] : [now, old]
  if (!wide || (direction === 'told' && isOpen)) return
  const other = narrow?.filter((value) => !wide.includes(value)) ?? ['any text']
  if (other.length > 0)
    faults.push(
      `${path}: ${direction === 'told' ? 'may be' : 'may no longer be'} ${other.map(String).join(', ')}`,
    )
}

/** Bounds of `wide` that `narrow` does not keep. */
function boundFaults(wide: JsonSchema, narrow: JsonSchema): string[] {
  const number = (schema: JsonSchema, name: string, other: number) =>
    typeof schema[name] === 'number' ? schema[name] : other
  const most = ['maximum', 'exclusiveMaximum', 'maxLength', 'maxItems', 'maxProperties']
  const least = ['minimum', 'exclusiveMinimum', 'minLength', 'minItems', 'minProperties']
  return [
    ...most.filter((name) => number(narrow, name, Infinity) > number(wide, name, Infinity)),
    ...least.filter((name) => number(narrow, name, -Infinity) < number(wide, name, -Infinity)),
    ...['pattern', 'format'].filter((name) => wide[name] !== undefined && wide[name] !== narrow[name]),
  ]
}
