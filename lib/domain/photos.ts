/** Photos: imported, analyzed, selected, developed by jobs, then approved or rejected. */
import * as z from 'zod'
import { timestamp } from '../protocol/server-messages.ts'
import { Refusal } from '../protocol/refusals.ts'
import { inChunks } from '../store/chunks.ts'
import type { PhotoRow, Queries } from '../store/schema.ts'
import type { Write } from '../store/write.ts'
import { countScores, totalFrom, totalOf } from './counters.ts'
import { countRows, pageQuery, readPage, unindexed } from './paging.ts'
import { photoStatuses, type PhotoStatus } from './photo-status.ts'
import { countOfSession, countPhotos } from './sessions.ts'
import {
  found,
  numberParam,
  objectField,
  oneRequired,
  parseObject,
  rowId,
  rowIdParam,
  text,
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
  .meta({
    id: 'PhotoPatch',
    description: 'at least one of the fields; context_tag and selected_preset together',
    anyOf: oneRequired(['ai_score', 'analysis_results', 'context_tag', 'selected_preset']),
    dependentRequired: { context_tag: ['selected_preset'], selected_preset: ['context_tag'] },
  })

export const photoQuery = z.strictObject({
  ...pageQuery(['id', 'file_name', 'ai_score', 'imported_at', 'updated_at']),
  session_id: rowIdParam.optional(),
  status: z.enum(photoStatuses).optional(),
  min_score: numberParam(z.number().min(1).max(5)).optional(),
})

export type Photo = z.output<typeof photoSchema>

/** @param seen only photos of these sessions, where it is given */
export function listPhotos(queries: Queries, query: z.output<typeof photoQuery>, seen?: ReadonlySet<number>) {
  const { session_id } = query
  if (!seen || (session_id !== undefined && seen.has(session_id)))
    return readPhotos(queries, query, query.status)
  // No session has this number: an empty list is no SQL to Postgres.
  return readPhotosOf(queries, query, session_id === undefined ? [...seen] : [-1])
}

/** The same for whoever sees the photos of some sessions only. */
async function readPhotosOf(
  queries: Queries,
  query: z.output<typeof photoQuery>,
  sessions: readonly number[],
) {
  const { status, min_score } = query
  let rows = queries.selectFrom('photos').selectAll().where('session_id', 'in', sessions)
  if (status) rows = rows.where(unindexed<PhotoRow['status']>('status'), '=', status)
  if (min_score !== undefined) rows = rows.where(unindexed<number>('ai_score'), '>=', min_score)
  const { rows: photos, ...page } = await readPage(rows, query, { tieBreak: 'id', created: 'imported_at' })
  return { photos: photos.map(toPhoto), count: photos.length, ...page }
}

/** A page of photos by session, status and score, each left out or not. */
export async function readPhotos(
  queries: Queries,
  query: Omit<z.output<typeof photoQuery>, 'status'>,
  status: PhotoStatus | undefined,
) {
  const { session_id, min_score } = query
  const all = queries.selectFrom('photos').selectAll()
  const ofSession = session_id !== undefined
  // A session has few photos; no other index is better than its own.
  const by = <C extends 'status' | 'ai_score'>(column: C) =>
    ofSession ? unindexed<PhotoRow[C]>(column) : column
  let rows = ofSession ? all.where('session_id', '=', session_id) : all
  if (status) rows = rows.where(by('status'), '=', status)
  const scored = min_score === undefined ? rows : rows.where(by('ai_score'), '>=', min_score)
  const total = (await keptTotal(queries, query, status)) ?? (await countRows(scored))
  // Many of them are met soon in the order asked for; few are found by their score and sorted.
  const byScore = min_score === undefined || ofSession || query.sort?.endsWith('ai_score') === true
  const few = !byScore && areFew(total, await totalOf(queries, 'photos', status), query.sort)
  const { rows: photos, ...page } = await readPage(
    byScore || few ? scored : rows.where(unindexed<number>('ai_score'), '>=', min_score),
    query,
    { tieBreak: 'id', created: 'imported_at', total, few: few ? all : undefined },
  )
  return { photos: photos.map(toPhoto), count: photos.length, ...page }
}

/**
 * Whether sorting `total` photos costs less than passing over those between them in an index: that is about
 * 100 × all / total entries for a page of 100. By number whole rows are passed over, which is dearer, and only numbers
 * are sorted, which is cheaper; the factors are measured.
 */
function areFew(total: number, all: number, sort = 'id'): boolean {
  const byNumber = /^-?(id|imported_at)$/.test(sort)
  return total * total <= all * (byNumber ? 300 : 7)
}

/** The number of photos behind these filters, where it is kept. */
async function keptTotal(
  queries: Queries,
  { session_id, min_score }: Pick<z.output<typeof photoQuery>, 'session_id' | 'min_score'>,
  status: PhotoStatus | undefined,
): Promise<number | undefined> {
  if (min_score === undefined) {
    return session_id === undefined
      ? await totalOf(queries, 'photos', status)
      : await countOfSession(queries, session_id, status)
  }
  return session_id === undefined && status === undefined ? await totalFrom(queries, min_score) : undefined
}

/** @param seen only of these sessions, where it is given. @throws {Refusal} `not_found` */
export async function getPhoto(queries: Queries, id: number, seen?: ReadonlySet<number>): Promise<Photo> {
  const photo = await readPhoto(queries, id)
  const hidden = seen?.has(photo.session_id ?? 0) === false
  return toPhoto(found(hidden ? undefined : photo, `photo ${id}`))
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
      // Of the path: nothing else is unique here.
      .onConflict((conflict) => conflict.doNothing())
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
    await countScores(write, [
      [before.ai_score, -1],
      [ai_score, 1],
    ])
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
  const name = path.split(/[/\\]/).findLast((part) => part !== '') ?? path
  // A pair of surrogates is not cut in half.
  return name.slice(-255).replace(/^[\uDC00-\uDFFF]/, '')
}

export function toPhoto(row: PhotoRow): Photo {
  return { ...row, status: row.status as PhotoStatus, analysis_results: parseObject(row.analysis_results) }
}
