/** Routes of the approval queue. */
import * as z from 'zod'
import {
  approvalAnswer,
  approvalInput,
  approvalQuery,
  approvePhoto,
  listApproval,
  rejectionInput,
  rejectPhoto,
} from '../domain/approval.ts'
import { photoSchema } from '../domain/photos.ts'
import { rowIdParam } from '../domain/values.ts'
import { pageOf } from './answers.ts'
import { route, type Route } from './route.ts'

const tag = 'approval'
const params = z.object({ photo_id: rowIdParam })

export const approvalRoutes: readonly Route[] = [
  route({
    method: 'get',
    path: '/api/approval/queue',
    summary: 'Lists the photos that wait for approval, best score first, of equals the newest',
    tag,
    right: 'apiRead',
    query: approvalQuery,
    status: 200,
    answer: pageOf('photos', photoSchema),
    act: { read: (queries, { query }) => listApproval(queries, query) },
  }),
  route({
    method: 'post',
    path: '/api/approval/{photo_id}/approve',
    summary: 'Approves a photo of the queue, and starts its export if asked to',
    tag,
    right: 'apiWrite',
    params,
    body: approvalInput,
    bodyOptional: true,
    status: 200,
    answer: approvalAnswer,
    refuses: ['not_found', 'conflict'],
    act: { write: (write, input) => approvePhoto(write, input.params.photo_id, input.body) },
  }),
  route({
    method: 'post',
    path: '/api/approval/{photo_id}/reject',
    summary: 'Rejects a photo of the queue',
    tag,
    right: 'apiWrite',
    params,
    body: rejectionInput,
    bodyOptional: true,
    status: 200,
    answer: photoSchema,
    refuses: ['not_found', 'conflict'],
    act: { write: (write, input) => rejectPhoto(write, input.params.photo_id, input.body) },
  }),
]
