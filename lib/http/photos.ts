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
import { sessionsSeen } from '../access/rights.ts'
import type { Queries } from '../store/schema.ts'
import { idParams, pageOf } from './answers.ts'
import { route, type Route } from './route.ts'
import { thumbnailSizes, type Thumbnails } from './thumbnails.ts'

const tag = 'photos'

export const photoRoutes: readonly Route[] = [
  route({
    method: 'get',
    path: '/api/photos',
    summary: 'Lists photos',
    tag,
    right: 'apiRead',
    bySession: true,
    query: photoQuery,
    status: 200,
    answer: pageOf('photos', photoSchema),
    act: { read: (queries, { query, principal }) => listPhotos(queries, query, sessionsSeen(principal)) },
  }),
  route({
    method: 'get',
    path: '/api/photos/{id}',
    summary: 'One photo',
    tag,
    right: 'apiRead',
    bySession: true,
    params: idParams,
    status: 200,
    answer: photoSchema,
    refuses: ['not_found'],
    act: { read: (queries, { params, principal }) => getPhoto(queries, params.id, sessionsSeen(principal)) },
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

export interface ThumbnailServices {
  readonly thumbnails: Thumbnails
  readonly read: <T>(read: (queries: Queries) => Promise<T>) => Promise<T>
}

export function thumbnailRoutes(services: ThumbnailServices): readonly Route[] {
  return [
    route({
      method: 'get',
      path: '/api/photos/{id}/thumbnail',
      summary: 'A small WebP image of the photo, where its file lies in PHOTO_FOLDERS and can be decoded',
      tag,
      right: 'apiRead',
      bySession: true,
      params: idParams,
      query: z.strictObject({
        size: z.enum(thumbnailSizes).default('320').meta({ description: 'longer edge in pixels' }),
      }),
      status: 200,
      answer: z.string().meta({ contentMediaType: 'image/webp', description: 'the image' }),
      refuses: ['not_found', 'no_preview', 'rate_limited'],
      act: {
        async file({ params, query, principal }) {
          const seen = sessionsSeen(principal)
          const { file_path } = await services.read((queries) => getPhoto(queries, params.id, seen))
          return { contentType: 'image/webp', ...(await services.thumbnails.find(file_path, query.size)) }
        },
      },
    }),
  ]
}
