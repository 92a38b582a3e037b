/** Values that several resources share: texts, ids, parameters, and rows that hold JSON as text. */
import * as z from 'zod'
import { jsonObject, NO_NUL } from '../protocol/events.ts'
import { Refusal } from '../protocol/refusals.ts'

/** Text a user writes; U+0000 cannot be stored by every database. */
export const text = (max: number) => z.string().max(max).regex(NO_NUL, 'must not contain U+0000')

/** SQLite and Postgres both take more, JSON numbers do not. */
export const rowId = z.int().positive().max(Number.MAX_SAFE_INTEGER)
/** A number in a query, written in decimal digits; documented by the schema that it must fit. */
export function numberParam(schema: z.ZodNumber) {
  const { type, minimum, exclusiveMinimum, maximum } = z.toJSONSchema(schema)
  return z
    .string()
    .regex(/^-?\d{1,16}(\.\d{1,16})?$/, 'expected a number')
    .transform(Number)
    .pipe(schema)
    .meta({ override: ({ jsonSchema }) => become(jsonSchema, { type, minimum, exclusiveMinimum, maximum }) })
}

/** An id in a path or query. */
export const rowIdParam = numberParam(rowId)

/** `true` or `false` in a query. */
export const flagParam = z
  .enum(['true', 'false'])
  .transform((word) => word === 'true')
  .meta({ override: ({ jsonSchema }) => become(jsonSchema, { type: 'boolean' }) })

/** For the document: an object has at least one of these fields. */
export const oneRequired = (names: readonly string[]) => names.map((name) => ({ required: [name] }))

/** Documents a text of a query as the value that it stands for. */
function become(documented: object, value: object): void {
  Object.assign(documented, { pattern: undefined, enum: undefined }, value)
}

/** Largest JSON text of one object field; an event that carries it must stay under 64 KiB. */
const OBJECT_BYTES_MAX = 60_000
export const objectField = jsonObject.refine(
  (value) => Buffer.byteLength(JSON.stringify(value)) <= OBJECT_BYTES_MAX,
  `expected at most ${OBJECT_BYTES_MAX} bytes of JSON`,
)

/** A transition does not start in this state. */
export function wrongState(what: string, status: string): Refusal {
  return new Refusal('conflict', `${what} is ${status}`, { currentStatus: status })
}

/** The row, or a refusal that names what is missing. @throws {Refusal} `not_found` */
export function found<T>(row: T | undefined, what: string): T {
  if (row === undefined) throw new Refusal('not_found', `there is no ${what}`)
  return row
}

/** A JSON text column. Only this program writes it. */
export function parseObject(json: string): z.output<typeof jsonObject> {
  return JSON.parse(json) as z.output<typeof jsonObject>
}
