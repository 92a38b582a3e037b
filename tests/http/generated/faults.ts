/** What may be wrong with one request: at most one thing, so that the refusal has one reason. */
import fc from 'fast-check'
import type { Operation, Parameter } from './contract.ts'

export type Fault =
  | { readonly kind: 'none' }
  | { readonly kind: 'token'; readonly token: 'none' | 'garbage' | 'weak' }
  | { readonly kind: 'parameter'; readonly parameter: Parameter; readonly text: string }
  | { readonly kind: 'twice'; readonly parameter: Parameter }
  | { readonly kind: 'unknown query'; readonly name: string }
  | { readonly kind: 'field'; readonly at: number; readonly value: unknown }
  | { readonly kind: 'missing'; readonly at: number }
  | { readonly kind: 'extra'; readonly at: number; readonly name: string; readonly value: unknown }
  | { readonly kind: 'not JSON'; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly kind: 'content type'; readonly contentType: string | undefined }
  | { readonly kind: 'large' }

const encoder = new TextEncoder()
/** Over what one field, one event and one nesting may be. */
const hugeObject = { filler: 'x'.repeat(70_000) }
const deep = (levels: number): unknown => JSON.parse('['.repeat(levels) + ']'.repeat(levels))

const oddValues: readonly unknown[] = [
  null,
  true,
  '',
  'x',
  '1',
  0,
  -1,
  1.5,
  -0.1,
  10,
  101,
  2 ** 53,
  -(2 ** 53),
  1e308,
  -1e308,
  [],
  {},
  [[]],
  [null],
  { a: {} },
  'x'.repeat(5000),
  'É📷'.repeat(60),
  '\u0000',
  '\ud800',
  { '\udc00': 1 },
  JSON.parse('{"__proto__":1}'),
  // In a body that is still a message, and too deep for an event.
  deep(30),
  deep(40),
]

const oddTexts = [
  '',
  ' ',
  'x',
  '0',
  '-1',
  '-0',
  '1.0',
  '1.5',
  '01',
  '1e1',
  '+1',
  '1 ',
  ' 1',
  '0x10',
  'NaN',
  'null',
]
const oddParameters = oddTexts.concat(
  ['true', 'TRUE', 'Infinity', '9007199254740992', '9'.repeat(16), '9'.repeat(40), '1'.padEnd(30, '.0')],
  ['٣', '📷', '\u0000', "1' OR '1'='1", '../1', '1/2', '-id,-id', 'x'.repeat(2000), 'g'.repeat(32)],
)

/** None of them is a JSON text. */
const notJson = [
  '{"a":',
  "{'a':1}",
  '{"a":1,}',
  '{a:1}',
  'NaN',
  'undefined',
  '{"a":1} x',
  '[1 2]',
  '"\n"',
  '\u0000',
]
  .concat('['.repeat(5000), '{"a":'.repeat(5000))
  .map((text) => encoder.encode(text))
/** None of them is UTF-8. */
const notText = [
  [0x22, 0xff, 0x22],
  [0x22, 0xed, 0xa0, 0x80, 0x22],
  [0xc0, 0x80],
].map((bytes) => new Uint8Array(bytes))

const contentTypes = [
  'text/plain',
  'application/xml',
  'application/jsonx',
  'multipart/form-data; boundary=x',
  '',
  undefined,
]

const draw = fc.nat({ max: 1_000_000 })
const odd = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...oddValues) },
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 2 }) },
)

/** The faults that a request of this operation can have; half of the requests have none. */
export function drawFault({ parameters, body, guarded }: Operation): fc.Arbitrary<Fault> {
  const faults: fc.WeightedArbitrary<Fault>[] = []
  const add = (weight: number, arbitrary: fc.Arbitrary<Fault>) => faults.push({ weight, arbitrary })
  const queries = parameters.filter((parameter) => parameter.in === 'query')
  if (guarded) {
    add(
      1,
      fc.constantFrom('none', 'garbage', 'weak').map((token) => ({ kind: 'token', token })),
    )
  }
  if (parameters.length > 0) {
    const choice = fc.tuple(fc.constantFrom(...parameters), fc.constantFrom(...oddParameters))
    add(
      5,
      choice.map(([parameter, text]) => ({ kind: 'parameter', parameter, text })),
    )
  }
  if (queries.length > 0) {
    add(
      1,
      fc.constantFrom(...queries).map((parameter) => ({ kind: 'twice', parameter })),
    )
  }
  add(
    1,
    fc.constantFrom('x', 'Limit', 'limit ', '__proto__').map((name) => ({ kind: 'unknown query', name })),
  )
  if (body) {
    add(
      6,
      fc.tuple(draw, odd).map(([at, value]) => ({ kind: 'field', at, value })),
    )
    add(
      2,
      draw.map((at) => ({ kind: 'missing', at })),
    )
    const extra = fc.tuple(draw, fc.constantFrom('x', '', 'id', '__proto__', '📷'), odd)
    add(
      1,
      extra.map(([at, name, value]) => ({ kind: 'extra', at, name, value })),
    )
    add(
      2,
      draw.map((at) => ({ kind: 'extra', at, name: 'x', value: hugeObject })),
    )
    add(
      1,
      draw.map((at) => ({ kind: 'field', at, value: hugeObject })),
    )
    add(
      1,
      fc.constantFrom(...notJson, ...notText).map((bytes) => ({ kind: 'not JSON', bytes })),
    )
    add(
      1,
      fc.constantFrom(...contentTypes).map((contentType) => ({ kind: 'content type', contentType })),
    )
    add(1, fc.constant({ kind: 'large' }))
  }
  const weight = faults.reduce((sum, { weight: one }) => sum + one, 0)
  return fc.oneof({ weight, arbitrary: fc.constant({ kind: 'none' } as const) }, ...faults)
}

/** The value with one of its parts, or the whole of it, replaced. */
export function withPart(value: unknown, at: number, part: unknown): unknown {
  const paths = pathsOf(value)
  return replace(value, paths[at % paths.length] ?? [], () => part)
}

/** The value with one of the fields of its objects left out; itself where there is none. */
export function withoutField(value: unknown, at: number): unknown {
  const paths = pathsOf(value).filter((path) => typeof path.at(-1) === 'string')
  const path = paths[at % paths.length]
  if (!path) return value
  return replace(value, path.slice(0, -1), (holder) =>
    Object.fromEntries(Object.entries(holder as object).filter(([name]) => name !== path.at(-1))),
  )
}

/** The value with one more field in one of its objects; itself where it has none. */
export function withField(value: unknown, at: number, name: string, field: unknown): unknown {
  const holders = pathsOf(value).filter((path) => isObject(path.reduce(partOf, value)))
  const path = holders[at % holders.length]
  if (!path) return value
  return replace(value, path, (holder) =>
    Object.fromEntries([...Object.entries(holder as object), [name, field]]),
  )
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function partOf(value: unknown, name: string | number): unknown {
  return (value as Record<string | number, unknown>)[name]
}

type Path = readonly (string | number)[]

/** Of the whole, and of what is inside to a depth of three. */
function pathsOf(value: unknown, depth = 3): Path[] {
  if (depth === 0 || typeof value !== 'object' || value === null) return [[]]
  const parts: [string | number, unknown][] = Array.isArray(value)
    ? value.map((item, index) => [index, item])
    : Object.entries(value)
  return [[], ...parts.flatMap(([name, part]) => pathsOf(part, depth - 1).map((rest) => [name, ...rest]))]
}

function replace(value: unknown, path: Path, change: (part: unknown) => unknown): unknown {
  const [name, ...rest] = path
  if (name === undefined) return change(value)
  if (Array.isArray(value))
    return value.map((item, index) => (index === name ? replace(item, rest, change) : item))
  return Object.fromEntries(
    Object.entries(value as object).map(([own, part]) => [
      own,
      own === name ? replace(part, rest, change) : part,
    ]),
  )
}
