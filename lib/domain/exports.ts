/** Exports: a finished photo written out by an outside program with a preset. */
import * as z from 'zod'
import { timestamp } from '../protocol/server-messages.ts'
import type { ExportRow, Queries } from '../store/schema.ts'
import type { Write } from '../store/write.ts'
import { readPhoto } from './photos.ts'
import { countExports, totalOf } from './counters.ts'
import { pageQuery, readPage, unindexed } from './paging.ts'
import { found, rowId, rowIdParam, text, wrongState } from './values.ts'

export const exportStatuses = ['running', 'completed', 'failed'] as const

const bytes = z.int().min(0).max(Number.MAX_SAFE_INTEGER).meta({ description: 'bytes' })

export const exportSchema = z
  .object({
    id: rowId,
    photo_id: rowId,
    session_id: rowId.nullable(),
    preset_name: z.string(),
    destination: z.string(),
    status: z.enum(exportStatuses),
    output_path: z.string(),
    file_size: bytes.nullable(),
    error_message: z.string(),
    started_at: timestamp,
    completed_at: timestamp.nullable().meta({ description: 'when it ended, completed or failed' }),
  })
  .meta({ id: 'Export' })

/** How a photo is to be exported. */
export const exportTarget = z
  .object({ preset_name: text(200).min(1), destination: text(4096).min(1) })
  .meta({ id: 'ExportTarget' })

export const exportInput = exportTarget.extend({ photo_id: rowId }).meta({ id: 'ExportInput' })

export const exportResult = z
  .object({ output_path: text(4096).min(1), file_size: bytes })
  .meta({ id: 'ExportResult' })

export const exportFailure = z.object({ error_message: text(4000) }).meta({ id: 'ExportFailure' })

export const exportQuery = z.strictObject({
  ...pageQuery(['id']),
  status: z.enum(exportStatuses).optional(),
  photo_id: rowIdParam.optional(),
})

export type Export = z.output<typeof exportSchema>

export async function listExports(queries: Queries, query: z.output<typeof exportQuery>) {
  let rows = queries.selectFrom('exports').selectAll()
  const { status, photo_id } = query
  if (status) rows = rows.where(photo_id === undefined ? 'status' : unindexed<string>('status'), '=', status)
  if (query.photo_id !== undefined) rows = rows.where('photo_id', '=', query.photo_id)
  const total = photo_id === undefined ? await totalOf(queries, 'exports', status) : undefined
  const { rows: exports, ...page } = await readPage(rows, query, { tieBreak: 'id', total })
  return { exports: exports.map(toExport), count: exports.length, ...page }
}

/** @throws {Refusal} `not_found` */
export async function getExport(queries: Queries, id: number): Promise<Export> {
  return toExport(await readExport(queries, id))
}

/** @throws {Refusal} `not_found` for the photo */
export async function startExport(
  write: Write,
  photoId: number,
  { preset_name, destination }: z.output<typeof exportTarget>,
): Promise<Export> {
  const { session_id } = await readPhoto(write.queries, photoId)
  const row = await write.queries
    .insertInto('exports')
    .values({
      photo_id: photoId,
      session_id,
      preset_name,
      destination,
      status: 'running',
      output_path: '',
      file_size: null,
      error_message: '',
      started_at: write.now,
      completed_at: null,
    })
    .returningAll()
    .executeTakeFirstOrThrow()
  await countExports(write, { running: 1 })
  write.emit({ type: 'export_started', data: { photo_id: photoId, session_id, preset_name, destination } })
  return toExport(row)
}

/** @throws {Refusal} `not_found`, or `conflict` when it has ended */
export async function completeExport(
  write: Write,
  id: number,
  { output_path, file_size }: z.output<typeof exportResult>,
): Promise<Export> {
  const row = await endExport(write, id, { status: 'completed', output_path, file_size })
  const { photo_id, session_id, preset_name } = row
  write.emit({
    type: 'export_completed',
    data: { photo_id, session_id, preset_name, output_path, file_size },
  })
  return toExport(row)
}

/** @throws {Refusal} `not_found`, or `conflict` when it has ended */
export async function failExport(
  write: Write,
  id: number,
  { error_message }: z.output<typeof exportFailure>,
): Promise<Export> {
  const row = await endExport(write, id, { status: 'failed', error_message })
  const { photo_id, session_id, preset_name } = row
  write.emit({ type: 'export_failed', data: { photo_id, session_id, preset_name, error_message } })
  return toExport(row)
}

/**
 * The export that an event about photo and preset means: the oldest that runs.
 * @throws {Refusal} `not_found` when none does
 */
export async function runningExport(queries: Queries, photoId: number, preset: string): Promise<number> {
  const row = await queries
    .selectFrom('exports')
    .select('id')
    .where('photo_id', '=', photoId)
    .where('preset_name', '=', preset)
    .where('status', '=', 'running')
    .orderBy('id')
    .limit(1)
    .executeTakeFirst()
  return found(row, `running export of photo ${photoId} with this preset`).id
}

async function endExport(
  write: Write,
  id: number,
  columns: Pick<ExportRow, 'status'> & Partial<ExportRow>,
): Promise<ExportRow> {
  const row = await readExport(write.queries, id)
  if (row.status !== 'running') throw wrongState(`export ${id}`, row.status)
  await countExports(write, { running: -1, [columns.status]: 1 })
  const changed = { ...columns, completed_at: write.now }
  await write.queries.updateTable('exports').set(changed).where('id', '=', id).execute()
  return { ...row, ...changed }
}

async function readExport(queries: Queries, id: number): Promise<ExportRow> {
  const row = await queries.selectFrom('exports').selectAll().where('id', '=', id).executeTakeFirst()
  return found(row, `export ${id}`)
}

function toExport(row: ExportRow): Export {
  return { ...row, status: row.status as Export['status'] }
}
