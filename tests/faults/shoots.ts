/** A data folder as a few days leave it: every table filled, several epochs, old events trimmed, the log full. */
import { mkdirSync } from 'node:fs'
import { createApi, type Api } from '../support/api.ts'
import { createStudio, done, roads } from '../http/studio.ts'
import { startProcess, tokenOf } from '../support/process.ts'

/** Fills a folder over several lives of a server; the last one is killed, so that its log stays. */
export async function fillFolder(folder: string, { lives = 3, env = {} } = {}): Promise<void> {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  for (let life = 1; life <= lives; life += 1) {
    const server = await startProcess({ folder, env: { RATE_REQUESTS: '0', ...env } })
    const api = createApi(() => server.url, await tokenOf(folder))
    await live(api, life)
    await server.kill(life === lives ? 'SIGKILL' : 'SIGTERM')
  }
}

/** One of everything that routes can do. */
async function live(api: Api, life: number): Promise<void> {
  const studio = createStudio(api)
  const name = `Day ${life}`
  const { id: session } = await done(api, [
    'POST',
    '/api/sessions',
    { name, import_folder: `/import/${life}` },
  ])
  const photos = Array.from({ length: 20 }, (_, n) => ({
    session_id: session,
    file_path: `/import/${life}/IMG_${n}.raw`,
    file_size: 24_000_000 + n,
  }))
  await done(api, ['POST', '/api/photos', photos])
  const all = [...Object.values(roads.photo), ...Object.values(roads.job), ...Object.values(roads.export)]
  const shots = []
  for (const [index, road] of all.entries()) {
    // Nothing is queued when one is claimed: studio names its photos by number, so each life has a session more.
    await studio.emptyQueue()
    const [photo] = (
      await done<{ photos: { id: number }[] }>(api, [
        'POST',
        '/api/photos',
        [{ session_id: session, file_path: `/studio/${life}/${index}.raw` }],
      ])
    ).photos
    if (!photo) throw new Error('nothing was imported')
    shots.push(await studio.walk({ session, photo: photo.id, job: '', export: 0 }, road))
  }
  const [first] = shots
  if (!first) throw new Error('nothing was shot')
  await studio.emptyQueue()
  await studio.walk(first, [
    'analyze',
    'select',
    'createJob',
    'prioritize',
    'claim',
    'progress',
    'retry',
    'claim',
    'complete',
  ])
  await done(api, ['PATCH', `/api/sessions/${session}`, { status: 'developing', total_photos: 40 }])
  await done(api, ['POST', '/api/tokens/revoke', { subject: `phone ${life}` }])
  await done(api, ['POST', '/api/system/status', { status: 'running' }])
  const { id: gone } = await done(api, [
    'POST',
    '/api/sessions',
    { name: `${name} test`, import_folder: '/x' },
  ])
  await done(api, ['POST', '/api/photos', { session_id: gone, file_path: `/gone/${life}.raw` }])
  await done(api, ['DELETE', `/api/sessions/${gone}`])
}
