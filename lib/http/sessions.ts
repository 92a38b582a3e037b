/** Routes of sessions. */
import * as z from 'zod'
import {
  createSession,
  deleteSession,
  getSession,
  listSessions,
  patchSession,
  sessionDetailSchema,
  sessionInput,
  sessionPatch,
  sessionQuery,
  sessionSchema,
} from '../domain/sessions.ts'
import { sessionsSeen } from '../access/rights.ts'
import { idParams, pageOf } from './answers.ts'
import { route, type Route } from './route.ts'

const tag = 'sessions'

export const sessionRoutes: readonly Route[] = [
  route({
    method: 'get',
    path: '/api/sessions',
    summary: 'Lists sessions',
    tag,
    right: 'apiRead',
    bySession: true,
    query: sessionQuery,
    status: 200,
    answer: pageOf('sessions', sessionSchema),
    act: {
      read: (queries, { query, principal }) => listSessions(queries, query, sessionsSeen(principal)),
    },
  }),
  route({
    method: 'get',
    path: '/api/sessions/{id}',
    summary: 'One session, with its photos counted by status',
    tag,
    right: 'apiRead',
    bySession: true,
    params: idParams,
    status: 200,
    answer: sessionDetailSchema,
    refuses: ['not_found'],
    act: {
      read: (queries, { params, principal }) => getSession(queries, params.id, sessionsSeen(principal)),
    },
  }),
  route({
    method: 'post',
    path: '/api/sessions',
    summary: 'Creates a session',
    tag,
    right: 'apiWrite',
    body: sessionInput,
    status: 201,
    answer: sessionSchema,
    refuses: ['conflict'],
    act: { write: (write, { body }) => createSession(write, body) },
  }),
  route({
    method: 'patch',
    path: '/api/sessions/{id}',
    summary: 'Renames a session, moves its status, or sets its totals',
    tag,
    right: 'apiWrite',
    params: idParams,
    body: sessionPatch,
    status: 200,
    answer: sessionSchema,
    refuses: ['not_found', 'conflict'],
    act: { write: (write, { params, body }) => patchSession(write, params.id, body) },
  }),
  route({
    method: 'delete',
    path: '/api/sessions/{id}',
    summary: 'Deletes a session with its photos, jobs and exports',
    tag,
    right: 'apiWrite',
    params: idParams,
    status: 200,
    answer: z.object({ deleted: sessionSchema }),
    refuses: ['not_found', 'conflict'],
    act: { write: async (write, { params }) => ({ deleted: await deleteSession(write, params.id) }) },
  }),
]
