/** Values that several resources share: texts, ids, paging, and rows that hold JSON as text. */
import * as z from 'zod'
import type { ReferenceExpression, SelectQueryBuilder } from 'kysely'
import { jsonObject } from '../protocol/events.ts'
import { Refusal } from '../protocol/refusals.ts'
import type { Schema } from '../store/schema.ts'

/** Text a user writes; U+0000 cannot be stored by every database. */
export const text = (max: number) =>
  z
    .string()
    .max(max)
    .refine((value) => !value.includes('\0'), 'must not contain U+0000')

/** SQLite and Postgres both take more, JSON numbers do not. */
export const rowId = z.int().positive().max(Number.MAX_SAFE_INTEGER)
/** A number in a query, written in decimal digits; documented by the schema that it must fit. */
export function numberParam(schema: z.ZodNumber) {
  const { type, minimum, maximum } = z.toJSONSchema(schema)
  return z
    .string()
    .regex(/^-?\d{1,16}(\.\d{1,16})?$/, 'expected a number')
    .transform(Number)
    .pipe(schema)
    .meta({ override: ({ jsonSchema }) => become(jsonSchema, { type, minimum, maximum }) })
}

/** An id in a path or query. */
export const rowIdParam = numberParam(rowId)

/** `true` or `false` in a query. */
export const flagParam = z
  .enum(['true', 'false'])
  .transform((word) => word === 'true')
  .meta({ override: ({ jsonSchema }) => become(jsonSchema, { type: 'boolean' }) })

/** Documents a text of a query as the value that it stands for. */
function become(documented: object, value: object): void {
  Object.assign(documented, { pattern: undefined, enum: undefined }, value)
}

export const timestamp = z.iso.datetime().meta({ description: 'UTC, ISO 8601 with milliseconds' })

/** Largest JSON text of one object field; an event that carries it must stay under 64 KiB. */
const OBJECT_BYTES_MAX = 60_000
export const objectField = jsonObject.refine(
  (value) => Buffer.byteLength(JSON.stringify(value)) <= OBJECT_BYTES_MAX,
  `expected at most ${OBJECT_BYTES_MAX} bytes of JSON`,
)

export const LIMIT_MAX = 500
const LIMIT_DEFAULT = 100

/** `limit`, `offset` and `sort` over a closed list of fields; `-` before a field sorts descending. */
export function pageQuery<const F extends readonly [string, ...string[]]>(fields: F) {
  const sorts = fields.flatMap((field) => [field, `-${field}`]) as [F[number] | `-${F[number]}`]
  return {
    limit: numberParam(z.int().min(1).max(LIMIT_MAX))
      .default(LIMIT_DEFAULT)
      .meta({ description: `rows of a page; ${LIMIT_DEFAULT} unless given` }),
    offset: numberParam(z.int().min(0).max(Number.MAX_SAFE_INTEGER))
      .default(0)
      .meta({ description: 'rows before the page' }),
    sort: z.enum(sorts).optional(),
  }
}

interface PageRequest {
  readonly limit: number
  readonly offset: number
  readonly sort?: string | undefined
}

export interface Page<T> {
  readonly rows: T[]
  readonly total: number
  readonly offset: number
  readonly limit: number
}

interface PageOptions<T extends keyof Schema> {
  /** Breaks ties, in the direction of the sort unless `tieDirection` names another. */
  readonly tieBreak: ReferenceExpression<Schema, T>
  readonly tieDirection?: 'asc' | 'desc' | undefined
  /** The number of all rows of the query where it is kept somewhere; else they are counted. */
  readonly total?: number | undefined
}

/** One page of a filtered query and the number of all its rows. */
export async function readPage<T extends keyof Schema, O>(
  query: SelectQueryBuilder<Schema, T, O>,
  { limit, offset, sort }: PageRequest,
  { tieBreak, tieDirection, total: known }: PageOptions<T>,
): Promise<Page<O>> {
  const total = known ?? (await countRows(query))
  const field = sort?.replace(/^-/, '') as ReferenceExpression<Schema, T> | undefined
  const direction = sort?.startsWith('-') ? 'desc' : 'asc'
  // The databases disagree on where nulls sort; here they are the least, as in SQLite.
  const sorted = field
    ? query.orderBy(field, (order) =>
        direction === 'desc' ? order.desc().nullsLast() : order.asc().nullsFirst(),
      )
    : query
  const rows = await sorted
    .orderBy(tieBreak, tieDirection ?? direction)
    .limit(limit)
    .offset(offset)
    .execute()
  return { rows, total, offset, limit }
}

async function countRows<T extends keyof Schema, O>(
  query: SelectQueryBuilder<Schema, T, O>,
): Promise<number> {
  const counted = await query
    .clearSelect()
    .select(({ fn }) => fn.countAll<number>().as('total'))
    .executeTakeFirstOrThrow()
  return Number(counted.total)
}

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
