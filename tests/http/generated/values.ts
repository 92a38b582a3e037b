/** Values that a schema of the document allows, its ids mixed with stand-ins for ids that there are. */
import fc from 'fast-check'
import type { Contract, Schema } from './contract.ts'
import { idNames, KnownId } from './pool.ts'

/** Items of a list; the document's own bounds are for machines with time. */
const ITEMS_MAX = 4
/** Characters of a text that is not drawn to be as long as it may. */
const CHARACTERS_MAX = 12
/** Characters of a JSON text in a query; Bun takes 16 KB of a request's line and headers together. */
const ENCODED_MAX = 8000

/** Words that a text of some name holds to mean something: scopes, types of events. */
export type Words = Readonly<Record<string, readonly string[]>>

export type Draw = (schema: Schema, name?: string) => fc.Arbitrary<unknown>

export function createDraw(contract: Contract, words: Words): Draw {
  const draw: Draw = (schema, name = '') => {
    const plain = drawPlain(contract.resolve(schema), name)
    if (!idNames.has(name)) return plain
    const known = fc
      .tuple(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), plain)
      .map(([at, fallback]) => new KnownId(name, at, fallback))
    return fc.oneof({ weight: 4, arbitrary: known }, { weight: 1, arbitrary: plain })
  }

  function drawPlain(schema: Schema, name: string): fc.Arbitrary<unknown> {
    if (schema.const !== undefined) return fc.constant(schema.const)
    if (schema.enum) return fc.constantFrom(...schema.enum)
    const members = schema.oneOf ?? (schema.properties ? undefined : schema.anyOf)
    if (members) return fc.oneof(...members.map((member) => drawPlain(contract.resolve(member), name)))
    const [type, ...others] = [schema.type ?? 'any'].flat()
    if (others.length > 0)
      return fc.oneof(...[type, ...others].map((one) => drawPlain({ ...schema, type: one ?? '' }, name)))
    switch (type) {
      case 'null':
        return fc.constant(null)
      case 'boolean':
        return fc.boolean()
      case 'integer':
        return drawInteger(schema)
      case 'number':
        return drawNumber(schema)
      case 'string':
        return schema.contentSchema
          ? drawJson(schema.contentSchema, words[name] ?? [])
          : drawText(schema, words[name] ?? [])
      case 'array':
        return drawList(schema)
      case 'object':
        return schema.properties || !words[name] ? drawObject(schema) : drawKnown(schema, words[name])
      default:
        return fc.jsonValue({ maxDepth: 2 })
    }
  }

  /** A text that is JSON: as its schema says, or of a few that are known to mean something. */
  function drawJson(schema: Schema, words: readonly string[]): fc.Arbitrary<string> {
    const json = drawPlain(contract.resolve(schema), '')
      .map((value) => JSON.stringify(value))
      .filter((text) => encodeURIComponent(text).length < ENCODED_MAX)
    return fc.oneof({ weight: 1, arbitrary: json }, { weight: 2, arbitrary: fc.constantFrom(...words) })
  }

  /** A free object: as its schema says, or of a few that are known to mean something. */
  function drawKnown(schema: Schema, words: readonly string[]): fc.Arbitrary<unknown> {
    const known = words.map((text) => fc.constant<unknown>(JSON.parse(text)))
    return fc.oneof(
      { weight: 1, arbitrary: drawObject(schema) },
      { weight: 2, arbitrary: fc.oneof(...known) },
    )
  }

  function drawList({ items = {}, minItems = 0, maxItems = ITEMS_MAX }: Schema): fc.Arbitrary<unknown> {
    const element = drawPlain(contract.resolve(items), '')
    return fc.array(element, { minLength: minItems, maxLength: Math.min(maxItems, ITEMS_MAX) })
  }

  function drawObject(schema: Schema): fc.Arbitrary<unknown> {
    const { properties = {}, required = [], additionalProperties = true, minProperties = 0 } = schema
    const fields = Object.entries(properties).filter(([, field]) => field.not === undefined)
    const model = Object.fromEntries(fields.map(([name, field]) => [name, draw(field, name)]))
    const own = fc.record(model, { requiredKeys: [...required], noNullPrototype: true })
    const other =
      typeof additionalProperties === 'object' && Object.keys(additionalProperties).length > 0
        ? drawPlain(contract.resolve(additionalProperties), '')
        : fc.jsonValue({ maxDepth: 2 })
    const minKeys = fields.length === 0 ? minProperties : 0
    const free = fc.dictionary(freeText, other, { minKeys, maxKeys: 3, noNullPrototype: true })
    // Of the objects with fields one in four has others too; a free one is nothing but others.
    const others =
      additionalProperties === false ? fc.constant({}) : fields.length === 0 ? free : seldom(free)
    return fc
      .tuple(own, others)
      .map(([known, more]): object => ({ ...more, ...known }))
      .filter((value) => contract.fault(schema, withFallbacks(value)) === undefined)
  }

  return draw
}

function seldom(free: fc.Arbitrary<object>): fc.Arbitrary<object> {
  return fc.oneof({ weight: 3, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: free })
}

function drawInteger(schema: Schema): fc.Arbitrary<number> {
  const { maximum: max = Number.MAX_SAFE_INTEGER, minimum = Number.MIN_SAFE_INTEGER } = schema
  const min = Math.max(minimum, (schema.exclusiveMinimum ?? Number.MIN_SAFE_INTEGER - 1) + 1)
  return fc.oneof(
    fc.integer({ min, max }),
    fc.integer({ min, max: Math.min(max, min + 9) }),
    fc.constant(min),
  )
}

function drawNumber({ minimum, maximum }: Schema): fc.Arbitrary<number> {
  const bounds = {
    ...(minimum === undefined ? {} : { min: minimum }),
    ...(maximum === undefined ? {} : { max: maximum }),
  }
  return fc.double({ ...bounds, noNaN: true, noDefaultInfinity: true })
}

/** Of all planes of Unicode, U+0000 included, lone surrogates not. */
const freeText = fc.string({ unit: 'binary', maxLength: CHARACTERS_MAX })

function drawText(schema: Schema, words: readonly string[]): fc.Arbitrary<string> {
  const { minLength = 0, maxLength = 4096, pattern } = schema
  const bounds = { minLength, maxLength: Math.min(maxLength, CHARACTERS_MAX) }
  const plain = [
    { weight: 3, arbitrary: fc.string({ unit: 'grapheme-ascii', ...bounds }) },
    { weight: 3, arbitrary: fc.string({ unit: 'binary', ...bounds }) },
    // As long as it may be, in characters that are one, two and four bytes.
    { weight: 1, arbitrary: fc.constantFrom('x', 'é', '📷').map((unit) => unit.repeat(maxLength)) },
    ...(words.length > 0 ? [{ weight: 3, arbitrary: fc.constantFrom(...words) }] : []),
  ]
  const rule = new RegExp(pattern ?? '', 'u')
  // A pattern that few texts meet by chance is drawn from itself.
  const narrow = pattern !== undefined && !rule.test('ä ?')
  if (!narrow) return fc.oneof(...plain).filter((value) => rule.test(value))
  return fc
    .oneof(fc.stringMatching(rule), ...words.map((word) => fc.constant(word)))
    .filter((value) => [...value].length <= maxLength)
}

function withFallbacks(value: object): object {
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => [name, field instanceof KnownId ? field.fallback : field]),
  )
}
