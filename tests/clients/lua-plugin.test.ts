/** The plug-in in a Lightroom that stands in for the real one: it works through a shoot, whatever happens to the server. */
import { expect, setDefaultTimeout } from 'bun:test'
import { needs } from '../support/needs.ts'
import { temporaryFolder } from '../support/server.ts'
import type { Seen } from './driver.ts'
import { flags, prefsFile, startLightroom, type Line } from './lua-lightroom.ts'
import { openStage, type Stage } from './stage.ts'

setDefaultTimeout(60_000)

interface Claimed {
  readonly job: { readonly id: string; readonly photo_id: number; readonly attempts: number } | null
}

/** Photos under /photos with a job each. */
async function prepare(stage: Stage, count: number, config: object = { preset: 'Warm' }) {
  const session_id = await stage.shoot()
  const photos: { id: number; path: string }[] = []
  for (let n = 0; n < count; n += 1) {
    const path = `/photos/${session_id}/${n}.raw`
    const { body } = await stage.api<{ id: number }>('POST', '/api/photos', { session_id, file_path: path })
    await stage.api('POST', '/api/jobs', { photo_id: body.id, config })
    photos.push({ id: body.id, path })
  }
  return photos
}

const presets = (lines: readonly Line[]) => lines.flatMap(({ preset, path }) => (preset ? [path] : []))

async function untilJobs(stage: Stage, holds: (jobs: readonly Seen[]) => boolean): Promise<readonly Seen[]> {
  for (let left = 1500; left > 0; left -= 1) {
    const jobs = (await stage.journal()).filter(({ channel }) => channel === 'jobs')
    if (holds(jobs)) return jobs
    await Bun.sleep(20)
  }
  throw new Error('the jobs do not come to an end')
}

const ofType = (events: readonly Seen[], type: string) => events.filter((event) => event.type === type)

needs('lua')('the plug-in works through a shoot, across a kill of the server', async ({ lua }) => {
  await using stage = await openStage()
  using folder = temporaryFolder()
  const photos = await prepare(stage, 12)
  const prefs = await prefsFile(folder.path, stage.line.url)
  await using lightroom = await startLightroom(lua, prefs, await stage.token())
  await lightroom.until((lines) => presets(lines).length >= 3)
  await stage.stop('SIGKILL')
  await stage.start()

  const jobs = await untilJobs(stage, (all) => ofType(all, 'job_completed').length === photos.length)
  const { body } = await stage.api<{ jobs: { status: string; result: object }[] }>(
    'GET',
    '/api/jobs?limit=100',
  )
  const { code } = await lightroom.quit()

  // Each was claimed once, developed once and completed once: an answer that the kill took was asked for again.
  expect(ofType(jobs, 'job_started').map((event) => event['attempt'])).toEqual(photos.map(() => 1))
  expect(presets(lightroom.lines)).toEqual(photos.map(({ path }) => path))
  expect(ofType(jobs, 'job_completed')).toHaveLength(photos.length)
  expect(body.jobs.map(({ result }) => result)).toEqual(photos.map(() => ({ preset: 'Warm' })))
  expect(code).toBe(0)
})

needs('lua')('what is approved and rejected is flagged, also while Lightroom was closed', async ({ lua }) => {
  await using stage = await openStage()
  using folder = temporaryFolder()
  const photos = await prepare(stage, 4)
  const prefs = await prefsFile(folder.path, stage.line.url)
  const token = await stage.token()
  const [first, second, third, fourth] = photos.map(({ path }) => path)
  const act = async (n: number, verb: string) =>
    expect((await stage.api('POST', `/api/approval/${photos[n]?.id}/${verb}`, {})).status).toBe(200)

  await using lightroom = await startLightroom(lua, prefs, token)
  await untilJobs(stage, (all) => ofType(all, 'job_completed').length === photos.length)
  await act(0, 'approve')
  await act(1, 'reject')
  await lightroom.until((lines) => flags(lines).length === 2)
  const left = await lightroom.quit()
  await act(2, 'approve')
  await using later = await startLightroom(lua, prefs, token)
  await later.until((lines) => flags(lines).length > 0)
  await act(3, 'reject')
  await later.until((lines) => flags(lines).length > 1)

  expect(flags(lightroom.lines)).toEqual([`${first} 1`, `${second} -1`])
  expect(flags(later.lines)).toEqual([`${third} 1`, `${fourth} -1`])
  // A poll waits for 25 s; nobody waits for it.
  expect(left.code).toBe(0)
  expect(left.ms).toBeLessThan(10_000)
})

needs('lua')('a job that Lightroom cannot do fails with the reason', async ({ lua }) => {
  await using stage = await openStage()
  using folder = temporaryFolder()
  await prepare(stage, 1, { preset: 'Sepia' })
  const prefs = await prefsFile(folder.path, stage.line.url)
  await using lightroom = await startLightroom(lua, prefs, await stage.token())

  const jobs = await untilJobs(stage, (all) => ofType(all, 'job_failed').length === 1)

  expect(ofType(jobs, 'job_failed')[0]).toMatchObject({ error_message: 'there is no develop preset "Sepia"' })
  expect(presets(lightroom.lines)).toEqual([])
})

needs('lua')('the menu stops and starts the worker, and says how it stands', async ({ lua }) => {
  await using stage = await openStage()
  using folder = temporaryFolder()
  const prefs = await prefsFile(folder.path, stage.line.url)
  await using lightroom = await startLightroom(lua, prefs, await stage.token())

  lightroom.run('MenuWorker.lua')
  await lightroom.until((lines) => lines.some(({ shown }) => shown === 'Lightwire worker stopped'))
  await prepare(stage, 3)
  const claim = async () => {
    const claimed = await stage.api<Claimed>('POST', '/api/jobs/claim', { worker: 'another' })
    return claimed.body.job
  }
  const first = await claim()
  await stage.api('POST', `/api/jobs/${first?.id}/complete`, {})
  await stage.api('POST', `/api/approval/${first?.photo_id}/approve`, {})
  // It has seen what came after the jobs, and took none of them.
  await lightroom.until((lines) => flags(lines).length === 1)
  const others = [await claim(), await claim()]
  lightroom.run('MenuWorker.lua')
  await lightroom.until((lines) => lines.some(({ shown }) => shown === 'Lightwire worker started'))
  const photos = await prepare(stage, 2)
  await lightroom.until((lines) => presets(lines).length === photos.length)
  lightroom.run('MenuStatus.lua')
  await lightroom.until((lines) =>
    lines.some(({ shown }) => shown?.startsWith('Lightwire connected') === true),
  )

  expect([first, ...others].map((job) => job?.attempts)).toEqual([1, 1, 1])
  expect(presets(lightroom.lines).toSorted()).toEqual(photos.map(({ path }) => path))
})

needs('lua')('address and token of the Plug-in Manager are used from then on', async ({ lua }) => {
  await using stage = await openStage()
  using folder = temporaryFolder()
  const photos = await prepare(stage, 1)
  const prefs = await prefsFile(folder.path, 'http://127.0.0.1:9')
  await using lightroom = await startLightroom(lua, prefs, '')
  lightroom.run('MenuStatus.lua')
  await lightroom.until((lines) => lines.some(({ shown }) => shown?.includes('127.0.0.1:9') === true))

  lightroom.settle(stage.url, await stage.token())
  await lightroom.until((lines) => presets(lines).length === photos.length)
  await lightroom.quit()

  expect(await Bun.file(prefs).text()).toContain(stage.url)
  // Preferences are a plain file.
  expect(await Bun.file(prefs).text()).not.toContain(await stage.token())
})
