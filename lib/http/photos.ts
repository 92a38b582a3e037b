/** Routes of photos. */
import * as z from 'zod'
import {
  getPhoto,
  importPhotos,
  listPhotos,
  patchPhoto,
  photoPatch,
  photoQuery,
  photoSchema,
  photosInput,
} from '../domain/photos.ts'
import { idParams, pageOf } from './answers.ts'
import { route, type Route } from './route.ts'

const tag = 'photos'

export const photoRoutes: readonly Route[] = [
  route({
    method: 'get',
    path: '/api/photos',
    summary: 'Lists photos',
    tag,
    right: 'apiRead',
    query: photoQuery,
    status: 200,
    answer: pageOf('photos', photoSchema),
    act: { read: (queries, { query }) => listPhotos(queries, query) },
  }),
  route({
    method: 'get',
    path: '/api/photos/{id}',
    summary: 'One photo',
    tag,
    right: 'apiRead',
    params: idParams,
    status: 200,
    answer: photoSchema,
    refuses: ['not_found'],
    act: { read: (queries, { params }) => getPhoto(queries, params.id) },
  }),
  route({
    method: 'post',
    path: '/api/photos',
    summary: 'Imports a photo, or up to 1,000: all or none',
    tag,
    right: 'apiWrite',
    body: photosInput,
    status: 201,
    answer: z.union([photoSchema, z.object({ photos: z.array(photoSchema), count: z.int() })]),
    refuses: ['not_found', 'conflict'],
    act: {
      async write(write, { body }) {
        const photos = await importPhotos(write, Array.isArray(body) ? body : [body])
        const [first] = photos
        return Array.isArray(body) || !first ? { photos, count: photos.length } : first
      },
    },
  }),
  route({
    method: 'patch',
    path: '/api/photos/{id}',
    summary: 'Stores an analysis, or the choice of tag and preset',
    tag,
    right: 'apiWrite',
    params: idParams,
    body: photoPatch,
    status: 200,
    answer: photoSchema,
    refuses: ['not_found', 'conflict'],
    act: { write: (write, { params, body }) => patchPhoto(write, params.id, body) },
  }),
]
