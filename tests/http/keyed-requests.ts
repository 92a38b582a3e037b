/** One good request of each route that changes something, by the route's name. */
import { createStudio, requests, type Request, type Step } from './studio.ts'
import type { TestServer } from '../support/server.ts'

type Studio = ReturnType<typeof createStudio>

interface Scene {
  readonly server: TestServer
  readonly studio: Studio
}

/** The request that follows a road, on the shot at its end. */
const after =
  (road: readonly Step[], step: Step) =>
  async ({ studio }: Scene): Promise<Request> =>
    requests[step](await studio.shoot(road))

const ofSession =
  (method: string, body?: object) =>
  async ({ studio }: Scene): Promise<Request> => {
    const { session } = await studio.shoot()
    return [method, `/api/sessions/${session}`, ...(body ? [body] : [])] as unknown as Request
  }

const plain = (method: string, path: string, body: object) => (): Promise<Request> =>
  Promise.resolve([method, path, body])

export const keyedRequests: Readonly<Record<string, (scene: Scene) => Promise<Request>>> = {
  'POST /api/sessions': plain('POST', '/api/sessions', { name: 'Keyed', import_folder: '/keyed' }),
  'PATCH /api/sessions/{id}': ofSession('PATCH', { total_photos: 7 }),
  'DELETE /api/sessions/{id}': ofSession('DELETE'),
  'POST /api/photos': plain('POST', '/api/photos', [{ file_path: '/k/1.jpg' }, { file_path: '/k/2.jpg' }]),
  'PATCH /api/photos/{id}': after([], 'analyze'),
  'POST /api/jobs': after([], 'createJob'),
  'POST /api/jobs/claim': after(['createJob'], 'claim'),
  'POST /api/jobs/{id}/progress': after(['createJob', 'claim'], 'progress'),
  'POST /api/jobs/{id}/complete': after(['createJob', 'claim'], 'complete'),
  'POST /api/jobs/{id}/fail': after(['createJob', 'claim'], 'retry'),
  'PATCH /api/jobs/{id}': after(['createJob'], 'prioritize'),
  'DELETE /api/jobs/{id}': after(['createJob'], 'cancel'),
  'POST /api/approval/{photo_id}/approve': after(['createJob', 'claim', 'complete'], 'approve'),
  'POST /api/approval/{photo_id}/reject': after(['createJob', 'claim', 'complete'], 'reject'),
  'POST /api/exports': after([], 'startExport'),
  'POST /api/exports/{id}/complete': after(['startExport'], 'completeExport'),
  'POST /api/exports/{id}/fail': after(['startExport'], 'failExport'),
  'POST /api/system/status': plain('POST', '/api/system/status', { status: 'paused' }),
  'POST /api/system/errors': plain('POST', '/api/system/errors', {
    error_type: 'disk',
    error_message: 'slow',
  }),
  'POST /api/events': plain('POST', '/api/events', [
    { type: 'job_cancelled', job_id: 'elsewhere', photo_id: null, session_id: null },
    { type: 'system_status', status: 'busy' },
    { type: 'job_cancelled', job_id: 'elsewhere', photo_id: null, session_id: null },
  ]),
  'POST /api/websocket/broadcast': plain('POST', '/api/websocket/broadcast', { message: { type: 'lunch' } }),
  async 'POST /api/websocket/disconnect/{client_id}'({ server }) {
    const greeting = await (await server.connect()).next('connection_established')
    return ['POST', `/api/websocket/disconnect/${String(greeting['client_id'])}`, { reconnect: true }]
  },
  async 'POST /api/websocket/clients/{client_id}/trace'({ server }) {
    const greeting = await (await server.connect()).next('connection_established')
    return ['POST', `/api/websocket/clients/${String(greeting['client_id'])}/trace`]
  },
  async 'POST /api/tokens/revoke'({ server }) {
    await server.connect({ token: await server.tokenFor('events:read', 'leaver') })
    return ['POST', '/api/tokens/revoke', { subject: 'leaver' }]
  },
}
