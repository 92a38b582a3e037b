/** Flags of the plug-in: none is lost when the catalog is busy, when photos move as they are read, and when that fails. */
import { expect, setDefaultTimeout } from 'bun:test'
import { needs } from '../support/needs.ts'
import { temporaryFolder } from '../support/server.ts'
import { flags, prefsFile, startLightroom, type Line } from './lua-lightroom.ts'
import { openStage, type Stage } from './stage.ts'

setDefaultTimeout(60_000)

/** Photos under /photos that wait for approval. */
async function developed(stage: Stage, count: number) {
  const session_id = await stage.shoot()
  const photos: { id: number; path: string }[] = []
  for (let n = 0; n < count; n += 1) {
    const path = `/photos/${session_id}/${n}.raw`
    const { body } = await stage.api<{ id: number }>('POST', '/api/photos', { session_id, file_path: path })
    await stage.api('POST', '/api/jobs', { photo_id: body.id })
    const claimed = await stage.api<{ job: { id: string } }>('POST', '/api/jobs/claim', { worker: 'another' })
    await stage.api('POST', `/api/jobs/${claimed.body.job.id}/complete`, {})
    photos.push({ id: body.id, path })
  }
  return photos
}

async function act(stage: Stage, photo: { id: number } | undefined, verb: 'approve' | 'reject') {
  expect((await stage.api('POST', `/api/approval/${photo?.id}/${verb}`, {})).status).toBe(200)
}

const aborted = (lines: readonly Line[]) => lines.filter((line) => line.aborted).length
/** What each photo is flagged in the end. */
const finals = (lines: readonly Line[]) =>
  Object.fromEntries(
    lines.flatMap(({ path = '', pickStatus }) => (pickStatus === undefined ? [] : [[path, pickStatus]])),
  )

needs('lua')('a flag waits for a catalog that is busy, and outlives Lightroom', async ({ lua }) => {
  await using stage = await openStage()
  using folder = temporaryFolder()
  const photos = await developed(stage, 3)
  const [first, second, third] = photos.map(({ path }) => path)
  const prefs = await prefsFile(folder.path, stage.url, false)
  const token = await stage.token()
  await using lightroom = await startLightroom(lua, prefs, token)
  await act(stage, photos[0], 'approve')
  await lightroom.until((lines) => flags(lines).length === 1)
  lightroom.occupy(1)
  await act(stage, photos[1], 'approve')
  await lightroom.until((lines) => flags(lines).length === 2)
  lightroom.occupy(1000)
  await act(stage, photos[2], 'reject')
  await lightroom.until((lines) => aborted(lines) === 2)
  await lightroom.quit()
  await using later = await startLightroom(lua, prefs, token)
  await later.until((lines) => flags(lines).length > 0)

  expect(flags(lightroom.lines)).toEqual([`${first} 1`, `${second} 1`])
  expect(flags(later.lines)).toEqual([`${third} -1`])
})

/** Answers lists in pages of two, whatever is asked for. What `between` gives goes on in place of the answer. */
function startPager(target: string, between: (path: string, text: string) => Promise<Response | undefined>) {
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    idleTimeout: 60,
    async fetch(request) {
      const { pathname, search } = new URL(request.url)
      const url = `${target}${pathname}${search.replace('limit=500&offset', 'limit=2&offset')}`
      const { method, headers } = request
      const body = method === 'GET' ? {} : { body: await request.text() }
      const response = await fetch(url, { method, headers, ...body })
      if (pathname !== '/api/photos') return response
      return (await between(search, await response.clone().text())) ?? response
    },
  })
  return { url: `http://127.0.0.1:${server.port}`, [Symbol.asyncDispose]: () => server.stop(true) }
}

needs('lua')('photos that move up while flags are read are not passed over', async ({ lua }) => {
  await using stage = await openStage()
  using folder = temporaryFolder()
  const gone = await developed(stage, 3)
  const photos = await developed(stage, 6)
  for (const photo of [...gone, ...photos]) await act(stage, photo, 'approve')
  let deleted = 0
  await using pager = startPager(stage.url, async (_, text) => {
    if (deleted === 0 && text.includes(`"${gone[0]?.path}"`))
      deleted = (await stage.api('DELETE', `/api/sessions/${gone[0]?.path.split('/')[2]}`)).status
    return undefined
  })
  const prefs = await prefsFile(folder.path, pager.url, false)
  await using lightroom = await startLightroom(lua, prefs, await stage.token())
  await lightroom.until((lines) => flags(lines).length >= 8)

  expect(deleted).toBe(200)
  expect(finals(lightroom.lines)).toMatchObject(Object.fromEntries(photos.map(({ path }) => [path, 1])))
  // Each once, in spite of pages that overlap.
  expect(flags(lightroom.lines)).toHaveLength(8)
})

needs('lua')('flags that were read in part are read again, also after a restart', async ({ lua }) => {
  await using stage = await openStage()
  using folder = temporaryFolder()
  const photos = await developed(stage, 4)
  for (const photo of photos) await act(stage, photo, 'approve')
  let whole = false
  let refused = 0
  await using pager = startPager(stage.url, async (path) => {
    if (whole || path.includes('offset=0')) return undefined
    refused += 1
    return Promise.resolve(Response.json({ code: 'internal', detail: 'out of order' }, { status: 500 }))
  })
  const prefs = await prefsFile(folder.path, pager.url, true)
  const token = await stage.token()
  await using lightroom = await startLightroom(lua, prefs, token)
  // The worker's position is in the storage: that of the photos is not.
  await lightroom.until((lines) => flags(lines).length >= 2 && refused > 0)
  await lightroom.quit()
  whole = true
  await using later = await startLightroom(lua, prefs, token)
  await later.until((lines) => Object.keys(finals(lines)).length === photos.length)

  expect(finals(later.lines)).toEqual(Object.fromEntries(photos.map(({ path }) => [path, 1])))
})
