/** The demo's last act over the public REST API: the approval queue is worked off, the best photos are exported. */
import type { DemoApi } from './rest-client.ts'

/** Photos with fewer stars are rejected. */
const STARS_MIN = 2
const EXPORT_STARS_MIN = 4
/** Every so many-th export fails. */
const FAILED_EVERY = 15
const PAGE = 100

/** How far the culling is; read by whoever shows it. */
export interface Culling {
  approved: number
  rejected: number
  exported: number
}

interface Waiting {
  readonly id: number
  readonly ai_score: number
}

/** Approves or rejects every photo of the session that waits, best first; the best are exported. */
export async function cullSession(api: DemoApi, sessionId: number, culling: Culling): Promise<void> {
  for (;;) {
    const path = `/api/approval/queue?session_id=${sessionId}&limit=${PAGE}`
    const { body } = await api<{ photos: Waiting[] }>('GET', path)
    if (body.photos.length === 0) return
    for (const photo of body.photos) await judge(api, photo, culling)
  }
}

async function judge(api: DemoApi, { id, ai_score }: Waiting, culling: Culling): Promise<void> {
  if (ai_score < STARS_MIN) {
    await api('POST', `/api/approval/${id}/reject`, { reason: `${ai_score} stars` })
    culling.rejected += 1
    return
  }
  const target = { preset_name: 'Web 2048', destination: '/exports/web' }
  const wanted = ai_score >= EXPORT_STARS_MIN ? { auto_export: target } : {}
  const { body } = await api<{ export?: { id: number } }>('POST', `/api/approval/${id}/approve`, wanted)
  culling.approved += 1
  if (!body.export) return
  const outcome =
    culling.exported % FAILED_EVERY === FAILED_EVERY - 1
      ? { path: 'fail', input: { error_message: 'a planned fault' } }
      : { path: 'complete', input: { output_path: `/exports/web/${id}.jpg`, file_size: 900_000 + id } }
  await api('POST', `/api/exports/${body.export.id}/${outcome.path}`, outcome.input)
  culling.exported += 1
}
