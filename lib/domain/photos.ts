/** Photos: imported, analyzed, selected, developed by jobs, then approved or rejected. */
import * as z from 'zod'
import { Refusal } from '../protocol/refusals.ts'
import { inChunks } from '../store/chunks.ts'
import type { PhotoRow, Queries } from '../store/schema.ts'
import type { Write } from '../store/write.ts'
import { totalOf } from './counters.ts'
import { photoStatuses, type PhotoStatus } from './photo-status.ts'
import { countOfSession, countPhotos } from './sessions.ts'
import {
  found,
  numberParam,
  objectField,
  pageQuery,
  parseObject,
  readPage,
  rowId,
  rowIdParam,
  text,
  timestamp,
  wrongState,
} from './values.ts'

export const PHOTOS_PER_IMPORT_MAX = 1000

export const photoSchema = z
  .object({
    id: rowId,
    session_id: rowId.nullable(),
    file_name: z.string(),
    file_path: z.string(),
    file_size: z.int(),
    status: z.enum(photoStatuses),
    ai_score: z.number().nullable(),
    analysis_results: z.record(z.string(), z.unknown()),
    context_tag: z.string(),
    selected_preset: z.string(),
    rejection_reason: z.string(),
    imported_at: timestamp,
    updated_at: timestamp,
  })
  .meta({ id: 'Photo' })

export const photoInput = z
  .object({
    session_id: rowId.nullish(),
    file_path: text(4096).min(1),
    file_name: text(255).min(1).optional(),
    file_size: z.int().min(0).default(0),
  })
  .meta({ id: 'PhotoInput' })

export const photosInput = z.union([photoInput, z.array(photoInput).min(1).max(PHOTOS_PER_IMPORT_MAX)])

export const photoPatch = z
  .object({
    ai_score: z.number().min(1).max(5).nullable().optional(),
    analysis_results: objectField.optional(),
    context_tag: text(200).optional(),
    selected_preset: text(200).optional(),
  })
  .refine((patch) => Object.values(patch).some((value) => value !== undefined), 'expected at least one field')
  .refine(
    ({ context_tag, selected_preset }) => (context_tag === undefined) === (selected_preset === undefined),
    'context_tag and selected_preset are chosen together',
  )
  .meta({ id: 'PhotoPatch' })

export const photoQuery = z.strictObject({
  ...pageQuery(['id', 'file_name', 'status', 'ai_score', 'imported_at', 'updated_at']),
  session_id: rowIdParam.optional(),
  status: z.enum(photoStatuses).optional(),
  min_score: numberParam(z.number().min(1).max(5)).optional(),
})

export type Photo = z.output<typeof photoSchema>

export async function listPhotos(queries: Queries, query: z.output<typeof photoQuery>) {
  let rows = queries.selectFrom('photos').selectAll()
  if (query.session_id !== undefined) rows = rows.where('session_id', '=', query.session_id)
  if (query.status) rows = rows.where('status', '=', query.status)
  if (query.min_score !== undefined) rows = rows.where('ai_score', '>=', query.min_score)
  const total = await keptTotal(queries, query)
  const { rows: photos, ...page } = await readPage(rows, query, { tieBreak: 'id', total })
  return { photos: photos.map(toPhoto), count: photos.length, ...page }
}

/** The number of photos behind these filters, where it is kept. */
export async function keptTotal(
  queries: Queries,
  { session_id, status, min_score }: Pick<z.output<typeof photoQuery>, 'session_id' | 'status' | 'min_score'>,
): Promise<number | undefined> {
  if (min_score !== undefined) return undefined
  if (session_id !== undefined) return await countOfSession(queries, session_id, status)
  return await totalOf(queries, 'photos', status)
}

/** @throws {Refusal} `not_found` */
export async function getPhoto(queries: Queries, id: number): Promise<Photo> {
  return toPhoto(await readPhoto(queries, id))
}

/** Imports all or none. @throws {Refusal} `not_found` for a session, `conflict` for a path that is there already */
export async function importPhotos(
  write: Write,
  inputs: readonly z.output<typeof photoInput>[],
): Promise<Photo[]> {
  const { queries, now } = write
  const values = inputs.map((input) => ({
    session_id: input.session_id ?? null,
    file_name: input.file_name ?? baseName(input.file_path),
    file_path: input.file_path,
    file_size: input.file_size,
    status: 'imported',
    ai_score: null,
    analysis_results: '{}',
    context_tag: '',
    selected_preset: '',
    rejection_reason: '',
    imported_at: now,
    updated_at: now,
  }))
  const perSession = Map.groupBy(values, ({ session_id }) => session_id)
  for (const [sessionId, photos] of perSession) {
    await countPhotos(write, sessionId, { imported: photos.length })
  }
  const rows: PhotoRow[] = []
  for (const chunk of inChunks(values)) {
    const inserted = await queries
      .insertInto('photos')
      .values(chunk)
      .onConflict((conflict) => conflict.column('file_path').doNothing())
      .returningAll()
      .execute()
    const byPath = new Map(inserted.map((row) => [row.file_path, row]))
    for (const { file_path } of chunk) {
      const row = byPath.get(file_path)
      byPath.delete(file_path)
      if (!row) throw new Refusal('conflict', `a photo with this file_path is there already: ${file_path}`)
      rows.push(row)
    }
  }
  for (const { id: photo_id, session_id, file_name, file_path } of rows) {
    write.emit({ type: 'photo_imported', data: { photo_id, session_id, file_name, file_path } })
  }
  return rows.map(toPhoto)
}

/** Stores an analysis, a selection or both. @throws {Refusal} `not_found`, `conflict` */
export async function patchPhoto(
  write: Write,
  id: number,
  patch: z.output<typeof photoPatch>,
): Promise<Photo> {
  const { queries, now } = write
  const before = await readPhoto(queries, id)
  let status = before.status as PhotoStatus
  const { session_id } = before
  const columns: Partial<PhotoRow> = {}
  if (patch.ai_score !== undefined || patch.analysis_results !== undefined) {
    if (status === 'imported') status = 'analyzed'
    const ai_score = patch.ai_score === undefined ? before.ai_score : patch.ai_score
    const analysis_results = patch.analysis_results ?? parseObject(before.analysis_results)
    Object.assign(columns, { ai_score, analysis_results: JSON.stringify(analysis_results) })
    write.emit({ type: 'photo_analyzed', data: { photo_id: id, session_id, ai_score, analysis_results } })
  }
  if (patch.context_tag !== undefined && patch.selected_preset !== undefined) {
    if (status === 'imported') throw wrongState(`photo ${id}`, 'imported')
    if (status === 'analyzed') status = 'selected'
    const { context_tag, selected_preset } = patch
    Object.assign(columns, { context_tag, selected_preset })
    write.emit({ type: 'photo_selected', data: { photo_id: id, session_id, context_tag, selected_preset } })
  }
  const row = await queries
    .updateTable('photos')
    .set({ ...columns, updated_at: now })
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirstOrThrow()
  return toPhoto(await movePhoto(write, row, status))
}

/** Gives a photo another status and keeps every count that depends on it. */
export async function movePhoto(write: Write, photo: PhotoRow, status: PhotoStatus): Promise<PhotoRow> {
  const from = photo.status as PhotoStatus
  if (from === status) return photo
  const { queries, now } = write
  await queries.updateTable('photos').set({ status, updated_at: now }).where('id', '=', photo.id).execute()
  await countPhotos(write, photo.session_id, { [from]: -1, [status]: 1 })
  return { ...photo, status, updated_at: now }
}

/** @throws {Refusal} `not_found` */
export async function readPhoto(queries: Queries, id: number): Promise<PhotoRow> {
  const row = await queries.selectFrom('photos').selectAll().where('id', '=', id).executeTakeFirst()
  return found(row, `photo ${id}`)
}

/** The last part of a path of Unix or Windows. */
function baseName(path: string): string {
  return (path.split(/[/\\]/).findLast((part) => part !== '') ?? path).slice(-255)
}

export function toPhoto(row: PhotoRow): Photo {
  return { ...row, status: row.status as PhotoStatus, analysis_results: parseObject(row.analysis_results) }
}
