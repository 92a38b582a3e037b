/** Pages of lists: what may be asked, and how a page is read without sorting or counting a whole table. */
import {
  sql,
  type OrderByItemBuilder,
  type RawBuilder,
  type ReferenceExpression,
  type SelectQueryBuilder,
} from 'kysely'
import * as z from 'zod'
import type { Schema } from '../store/schema.ts'
import { numberParam } from './values.ts'

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

/** Sorted columns that can be null; migrations.ts has their indexes in the same order. */
const nullable: ReadonlySet<string> = new Set(['ai_score', 'completed_at'])

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

interface PageOptions<T extends keyof Schema, O> {
  /** The row's number, in the order of creation; it breaks ties, and stands for the times in `created`. */
  readonly tieBreak: ReferenceExpression<Schema, T>
  /** A sort that is the order of creation by another name. */
  readonly created?: string
  /** The number of all rows of the query where it is kept somewhere; else they are counted. */
  readonly total?: number | undefined
  /** Where the rows are few: the whole table. Their numbers are sorted first, then only the page's rows are read. */
  readonly few?: SelectQueryBuilder<Schema, T, O> | undefined
}

/** One page of a filtered query and the number of all its rows. */
export async function readPage<T extends keyof Schema, O>(
  query: SelectQueryBuilder<Schema, T, O>,
  { limit, offset, sort }: PageRequest,
  { tieBreak, created, total: known, few }: PageOptions<T, O>,
): Promise<Page<O>> {
  const total = known ?? (await countRows(query))
  const name = sort?.replace(/^-/, '')
  const field = name === created ? undefined : (name as ReferenceExpression<Schema, T> | undefined)
  const direction = sort?.startsWith('-') ? 'desc' : 'asc'
  type Column = ReferenceExpression<Schema, T>
  // The databases disagree on where nulls sort; here they are the least, as in SQLite.
  const by = (order: OrderByItemBuilder) => {
    if (!nullable.has(name ?? '')) return direction === 'desc' ? order.desc() : order.asc()
    return direction === 'desc' ? order.desc().nullsLast() : order.asc().nullsFirst()
  }
  const ordered = <R>(rows: SelectQueryBuilder<Schema, T, R>, through: (column: Column) => Column) => {
    const sorted = field === undefined ? rows : rows.orderBy(through(field), by)
    return sorted.orderBy(through(tieBreak), direction)
  }
  const same = (column: Column) => column
  if (!few) {
    const rows = await ordered(query, same).limit(limit).offset(offset).execute()
    return { rows, total, offset, limit }
  }
  const numbers = ordered(query.clearSelect().select(tieBreak as never), (column) =>
    unindexed(String(column)),
  )
  const rows = await ordered(
    few.where(tieBreak, 'in', numbers.limit(limit).offset(offset) as never),
    same,
  ).execute()
  return { rows, total, offset, limit }
}

/** A column that no index is used for: SQLite keeps no statistics here, and would take the worse one at times. */
export function unindexed<V>(column: string): RawBuilder<V> {
  return sql<V>`coalesce(${sql.ref(column)}, ${sql.ref(column)})`
}

/** Counts them one by one. */
export async function countRows<T extends keyof Schema, O>(
  query: SelectQueryBuilder<Schema, T, O>,
): Promise<number> {
  const counted = await query
    .clearSelect()
    .select(({ fn }) => fn.countAll<number>().as('total'))
    .executeTakeFirstOrThrow()
  return Number(counted.total)
}
