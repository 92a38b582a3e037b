/** The approval queue: every photo in `completed`, best score first, approved or rejected by a person. */
import * as z from 'zod'
import type { PhotoRow, Queries } from '../store/schema.ts'
import type { Write } from '../store/write.ts'
import { exportSchema, exportTarget, startExport } from './exports.ts'
import { pageQuery } from './paging.ts'
import { movePhoto, photoQuery, photoSchema, readPhoto, readPhotos, toPhoto, type Photo } from './photos.ts'
import { text, wrongState } from './values.ts'

export const approvalQuery = z.strictObject({
  ...pageQuery(['id', 'file_name', 'ai_score', 'imported_at', 'updated_at']),
  session_id: photoQuery.shape.session_id,
  min_score: photoQuery.shape.min_score,
})

export const approvalInput = z.object({ auto_export: exportTarget.nullish() }).meta({ id: 'ApprovalInput' })

export const approvalAnswer = photoSchema
  .extend({ export: exportSchema.optional().meta({ description: 'where auto_export started one' }) })
  .meta({ id: 'ApprovedPhoto' })

export const rejectionInput = z.object({ reason: text(2000).default('') }).meta({ id: 'RejectionInput' })

export function listApproval(queries: Queries, query: z.output<typeof approvalQuery>) {
  return readPhotos(queries, { ...query, sort: query.sort ?? '-ai_score' }, 'completed')
}

/** Approves a photo of the queue and starts its export if asked to. @throws {Refusal} `not_found`, `conflict` */
export async function approvePhoto(
  write: Write,
  id: number,
  { auto_export }: z.output<typeof approvalInput>,
): Promise<z.output<typeof approvalAnswer>> {
  const photo = await readQueued(write, id)
  write.emit({ type: 'photo_approved', data: { photo_id: id, session_id: photo.session_id } })
  const approved = toPhoto(await movePhoto(write, photo, 'approved'))
  if (!auto_export) return approved
  return { ...approved, export: await startExport(write, id, auto_export) }
}

/** @throws {Refusal} `not_found`, `conflict` */
export async function rejectPhoto(
  write: Write,
  id: number,
  { reason }: z.output<typeof rejectionInput>,
): Promise<Photo> {
  const photo = await readQueued(write, id)
  write.emit({ type: 'photo_rejected', data: { photo_id: id, session_id: photo.session_id, reason } })
  await write.queries.updateTable('photos').set({ rejection_reason: reason }).where('id', '=', id).execute()
  return toPhoto(await movePhoto(write, { ...photo, rejection_reason: reason }, 'rejected'))
}

async function readQueued(write: Write, id: number): Promise<PhotoRow> {
  const photo = await readPhoto(write.queries, id)
  if (photo.status !== 'completed') throw wrongState(`photo ${id}`, photo.status)
  return photo
}
