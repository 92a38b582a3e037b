/** Plays a shoot over the public REST API: import, analysis, selection, workers that develop every photo, approval. */
import { CliFailure, type DemoApi } from './rest-client.ts'
import { cullSession, type Culling } from './demo-culling.ts'
import type { PhotoFile } from './demo-photos.ts'

const IMPORT_PHOTOS_MAX = 1000
/** An import stays well under the server's limit on bodies (1 MiB), however long its paths are. */
const IMPORT_CHARACTERS_MAX = 400_000
/** Photos analyzed and selected at the same time. */
const ANALYSTS = 4
/** Every so many-th photo fails once and is tried again, the first one included. */
const RETRIED_EVERY = 10
const SESSION_NAME_PREFIX = 'Demo '
const steps = [
  { stage: 'load', progress: 10 },
  { stage: 'develop', progress: 50 },
  { stage: 'write', progress: 90 },
] as const
const tags = ['portrait', 'group', 'detail', 'landscape'] as const
const presets = ['Warm', 'Neutral', 'Black and White'] as const

interface Photo {
  readonly id: number
  readonly file_path: string
}

interface Job {
  readonly id: string
  readonly photo_id: number
  readonly attempts: number
}

/** How far the shoot is; read by whoever shows it. */
export interface Progress extends Culling {
  imported: number
  analyzed: number
  jobs: number
  completed: number
  retried: number
  requests: number
}

export interface Shoot {
  readonly api: DemoApi
  readonly folder: string
  readonly files: readonly PhotoFile[]
  readonly workers: number
  readonly progress: Progress
  /** Milliseconds before each report of a worker, so that somebody can watch. */
  readonly pauseMs: number
}

export const notStarted: Progress = {
  imported: 0,
  analyzed: 0,
  jobs: 0,
  completed: 0,
  retried: 0,
  approved: 0,
  rejected: 0,
  exported: 0,
  requests: 0,
}

/**
 * Deletes earlier demos of this folder, or of one inside or around it: a path is in the server once only.
 * @throws {CliFailure} when jobs of others wait, which the demo's workers would take
 */
export async function prepareServer(api: DemoApi, folder: string): Promise<void> {
  interface Session {
    readonly id: number
    readonly name: string
    readonly import_folder: string
  }
  const { body } = await api<{ sessions: Session[] }>('GET', '/api/sessions?sort=-id&limit=500')
  for (const { id, name, import_folder } of body.sessions) {
    const shares =
      `${import_folder}/`.startsWith(`${folder}/`) || `${folder}/`.startsWith(`${import_folder}/`)
    if (shares && name.startsWith(SESSION_NAME_PREFIX)) await api('DELETE', `/api/sessions/${id}`)
  }
  const { body: jobs } = await api<{ total: number }>('GET', '/api/jobs?status=pending&limit=1')
  if (jobs.total > 0) {
    throw new CliFailure(`${jobs.total} jobs of others are pending there; the demo's workers would take them`)
  }
}

/** Plays the whole shoot; the cursor covers its last change. @throws {CliFailure} at the first refusal */
export async function playShoot({
  api: plain,
  folder,
  files,
  workers,
  progress,
  pauseMs,
}: Shoot): Promise<string> {
  const api: DemoApi = (method, path, body) => {
    progress.requests += 1
    return plain(method, path, body)
  }
  const name = `${SESSION_NAME_PREFIX}${new Date().toISOString()} ${crypto.randomUUID().slice(0, 8)}`
  const { body: session } = await api<{ id: number }>('POST', '/api/sessions', {
    name,
    import_folder: folder,
  })
  const photos = await importPhotos(api, session.id, files, progress).catch(async (error: unknown) => {
    await api('DELETE', `/api/sessions/${session.id}`)
    throw error
  })
  await api('PATCH', `/api/sessions/${session.id}`, { status: 'processing' })

  const indexOf = new Map(photos.map(({ id }, index) => [id, index]))
  const queue = [...photos.entries()]
  const [first] = queue.splice(0, 1)
  if (!first) throw new CliFailure('the server imported no photo')
  // Before any worker runs: a job that is over has no priority to change.
  const urgent = await prepareJob(api, ...first, progress)
  await api('PATCH', `/api/jobs/${urgent}`, { priority: 1, reason: 'the client is waiting' })
  const analysts = Array.from({ length: ANALYSTS }, async () => {
    for (let next = queue.shift(); next; next = queue.shift()) await prepareJob(api, ...next, progress)
  })
  const crew = Array.from({ length: workers }, async (_, n) => {
    while (progress.completed < photos.length)
      await developNext(api, `demo-worker-${n + 1}`, { indexOf, progress, pauseMs })
  })
  await Promise.all([...analysts, ...crew])
  await cullSession(api, session.id, progress)
  const { cursor } = await api('PATCH', `/api/sessions/${session.id}`, { status: 'completed' })
  return cursor
}

async function importPhotos(
  api: DemoApi,
  sessionId: number,
  files: readonly PhotoFile[],
  progress: Progress,
): Promise<Photo[]> {
  const photos: Photo[] = []
  let rolls: PhotoFile[] = []
  let characters = 0
  const flush = async () => {
    const inputs = rolls.map((file) => ({ session_id: sessionId, ...file }))
    const { body } = await api<{ photos: Photo[] }>('POST', '/api/photos', inputs)
    photos.push(...body.photos)
    progress.imported = photos.length
    rolls = []
    characters = 0
  }
  for (const file of files) {
    rolls.push(file)
    // JSON and UTF-8 may take some bytes per character of a path; names come twice.
    characters += file.file_path.length + file.file_name.length + 50
    if (rolls.length === IMPORT_PHOTOS_MAX || characters > IMPORT_CHARACTERS_MAX) await flush()
  }
  if (rolls.length > 0) await flush()
  return photos
}

/** Analysis, selection, and the job that develops the photo; the job's id. */
async function prepareJob(api: DemoApi, index: number, photo: Photo, progress: Progress): Promise<string> {
  const analysis_results = {
    faces: index % 4,
    sharpness: ((index * 37) % 100) / 100,
    keywords: ['demo', `n${index}`],
  }
  await api('PATCH', `/api/photos/${photo.id}`, { ai_score: 1 + (index % 9) / 2, analysis_results })
  progress.analyzed += 1
  const choice = { context_tag: tags[index % tags.length], selected_preset: presets[index % presets.length] }
  await api('PATCH', `/api/photos/${photo.id}`, choice)
  const config = { preset: choice.selected_preset, quality: 92 }
  const { body: job } = await api<Job>('POST', '/api/jobs', { photo_id: photo.id, config })
  progress.jobs += 1
  return job.id
}

/** Claims one job and brings it to its end, or back to pending; returns after a second when there is none. */
async function developNext(
  api: DemoApi,
  worker: string,
  {
    indexOf,
    progress,
    pauseMs,
  }: Pick<Shoot, 'progress' | 'pauseMs'> & { indexOf: ReadonlyMap<number, number> },
): Promise<void> {
  const { body } = await api<{ job: Job | null }>('POST', '/api/jobs/claim?wait=1', { worker })
  const { job } = body
  if (!job) return
  const attempt = job.attempts
  const index = indexOf.get(job.photo_id)
  if (index === undefined) {
    const back = { error_message: 'claimed by a demo, which does not know it', retry: true, attempt }
    await api('POST', `/api/jobs/${job.id}/fail`, back)
    throw new CliFailure("a job that is not the demo's became pending there; it was given back")
  }
  for (const { stage, progress: percent } of steps) {
    if (pauseMs > 0) await Bun.sleep(pauseMs)
    await api('POST', `/api/jobs/${job.id}/progress`, {
      stage,
      progress: percent,
      message: `${stage} by ${worker}`,
      attempt,
    })
    if (stage !== 'develop' || attempt > 1 || index % RETRIED_EVERY !== 0) continue
    const error_details = { worker, code: 'DEMO_FAULT' }
    await api('POST', `/api/jobs/${job.id}/fail`, {
      error_message: 'a planned fault',
      error_details,
      retry: true,
      attempt,
    })
    progress.retried += 1
    return
  }
  await api('POST', `/api/jobs/${job.id}/complete`, {
    result: { output: `${job.photo_id}.tif`, millis: 40 + index },
    attempt,
  })
  progress.completed += 1
}
