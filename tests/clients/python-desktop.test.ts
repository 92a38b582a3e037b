/** The desktop example, offscreen, against a real server process: what its windows show is what the server says. */
import { expect, setDefaultTimeout } from 'bun:test'
import { join } from 'node:path'
import { needs } from '../support/needs.ts'
import { projectRoot } from '../support/process.ts'
import { startDriver, type Command } from './driver.ts'
import { openStage, type Stage } from './stage.ts'

setDefaultTimeout(120_000)

const program = join(projectRoot, 'tests', 'clients', 'drivers', 'desktop.py')
const WAIT_MS = 30_000

interface PhotoCard {
  readonly id: number
  readonly name: string
  readonly about: string
  readonly score: string
  readonly approve: string
  readonly enabled: boolean
}

interface Look {
  readonly connection: string
  readonly sessions: readonly {
    readonly name: string
    readonly status: string
    readonly progress: number
    readonly numbers: string
    readonly activity: string
  }[]
  readonly photos: readonly PhotoCard[]
  readonly counts: readonly [sessions: string, photos: string]
  readonly notice: string
}

interface Desktop extends AsyncDisposable {
  open(url: string, token: string): Promise<number>
  look(window: number): Promise<Look>
  /** The first look that fits. @throws with the last one when none does in time */
  until(window: number, fits: (look: Look) => boolean): Promise<Look>
  /** Presses buttons of photos' cards, one right after the other; what the windows show before anything else happens. */
  click(...clicks: [window: number, photo: number, button: 'approve' | 'reject'][]): Promise<Look[]>
  /** Closes a window; whether it went. */
  leave(window: number): Promise<unknown>
  end(): Promise<number>
}

function startDesktop(python: string): Desktop {
  const driver = startDriver([python, program])
  // The pipe is that of the clients' drivers, its commands are windows' own.
  const tell = (command: object) => driver.tell(command as unknown as Command)
  const look = async (window: number) => (await tell({ do: 'look', window })) as Look
  return {
    open: async (url, token) => Number(await tell({ do: 'open', url, token })),
    look,
    async until(window, fits) {
      const late = performance.now() + WAIT_MS
      for (;;) {
        const seen = await look(window)
        if (fits(seen)) return seen
        if (performance.now() > late) throw new Error(`the window shows ${JSON.stringify(seen)}`)
        await Bun.sleep(10)
      }
    },
    click: async (...clicks) => (await tell({ do: 'click', clicks })) as Look[],
    leave: (window) => tell({ do: 'leave', window }),
    end: () => driver.end(),
    [Symbol.asyncDispose]: () => driver[Symbol.asyncDispose](),
  }
}

/** A photo of a session whose job is done, so that it waits for approval. */
async function develop(stage: Stage, session: number, name: string, score: number): Promise<number> {
  const file_path = `/shoot/${name}`
  const { body: photo } = await stage.api<{ id: number }>('POST', '/api/photos', {
    session_id: session,
    file_path,
  })
  await stage.api('PATCH', `/api/photos/${photo.id}`, { ai_score: score })
  await stage.api('POST', '/api/jobs', { photo_id: photo.id })
  const { body } = await stage.api<{ job: { id: string } }>('POST', '/api/jobs/claim', { worker: 'one' })
  await stage.api('POST', `/api/jobs/${body.job.id}/complete`, { result: {} })
  return photo.id
}

async function session(stage: Stage, name: string): Promise<number> {
  const { body } = await stage.api<{ id: number }>('POST', '/api/sessions', {
    name,
    import_folder: `/${name}`,
  })
  return body.id
}

/** What the server says that a window has to show. */
async function truth(stage: Stage) {
  const { body: queue } = await stage.api<{ photos: { id: number }[] }>(
    'GET',
    '/api/approval/queue?limit=500',
  )
  const { body: list } = await stage.api<{ sessions: { name: string; progress_percent: number }[] }>(
    'GET',
    '/api/sessions?limit=500&sort=-id',
  )
  return {
    photos: queue.photos.map(({ id }) => id),
    sessions: list.sessions.map(({ name, progress_percent }) => [
      name,
      Math.round(progress_percent * 10) / 10,
    ]),
  }
}

const shown = ({ photos, sessions }: Look) => ({
  photos: photos.map(({ id }) => id),
  sessions: sessions.map(({ name, progress }) => [name, progress]),
})

const approved = async (stage: Stage, photo: number) =>
  (await stage.journal()).filter(({ type, photo_id }) => type === 'photo_approved' && photo_id === photo)
    .length

needs('pyqt')(
  'its windows show what was there, what happens, and what they do to it, all the same',
  async ({ pyqt }) => {
    await using stage = await openStage()
    await using desktop = startDesktop(pyqt)
    const wedding = await session(stage, 'Wedding')
    const first = await develop(stage, wedding, 'IMG_1.CR3', 3.5)
    for (let n = 0; n < 2; n += 1) await desktop.open(stage.url, await stage.token())
    const before = await desktop.until(
      0,
      ({ connection, photos, sessions }) =>
        connection.includes('Connected') && photos.length === 1 && sessions.length === 1,
    )

    const race = await session(stage, 'Race')
    const best = await develop(stage, race, 'IMG_2.ARW', 4.5)
    await stage.photos(wedding, 3)
    await desktop.until(0, ({ photos }) => photos.length === 2)
    const [pressed] = await desktop.click([0, best, 'approve'])
    for (const window of [0, 1])
      await desktop.until(
        window,
        ({ photos, sessions }) => photos.length === 1 && sessions[1]?.progress === 25,
      )
    await desktop.click([1, first, 'reject'])
    const looks = await Promise.all(
      [0, 1].map((window) => desktop.until(window, ({ photos }) => photos.length === 0)),
    )

    const now = await truth(stage)
    for (const look of looks) expect(shown(look)).toEqual(now)
    expect(now.sessions).toEqual([
      ['Race', 100],
      ['Wedding', 25],
    ])
    expect(before.photos).toMatchObject([{ name: 'IMG_1.CR3', about: 'Wedding', score: '★ 3.5' }])
    // Shown at once, before there is an answer.
    expect(pressed?.photos.find(({ id }) => id === best)).toMatchObject({
      approve: 'Approving…',
      enabled: false,
    })
    expect(await approved(stage, best)).toBe(1)
    expect(await desktop.end()).toBe(0)
  },
)

needs('pyqt')('a decision that is refused is undone, and the window says why', async ({ pyqt }) => {
  await using stage = await openStage()
  await using desktop = startDesktop(pyqt)
  const photo = await develop(stage, await session(stage, 'Wedding'), 'IMG_1.CR3', 3)
  await desktop.open(stage.url, await stage.token({ scope: 'events:read api:read' }))
  await desktop.until(0, ({ photos }) => photos.length === 1)

  await desktop.click([0, photo, 'approve'])
  const { photos, notice } = await desktop.until(
    0,
    (look) => look.notice !== '' && look.photos[0]?.enabled === true,
  )

  expect(notice).toBe('Could not approve IMG_1.CR3: your token does not allow it.')
  expect(photos).toMatchObject([{ id: photo, approve: 'Approve', enabled: true }])
  expect((await truth(stage)).photos).toEqual([photo])
  expect(await desktop.leave(0)).toBe(true)
  expect(await desktop.end()).toBe(0)
})

needs('pyqt')(
  'two who decide at once: one is done, the other is told, and both windows agree',
  async ({ pyqt }) => {
    await using stage = await openStage()
    await using desktop = startDesktop(pyqt)
    const photo = await develop(stage, await session(stage, 'Wedding'), 'IMG_1.CR3', 3)
    for (let n = 0; n < 2; n += 1) await desktop.open(stage.url, await stage.token())
    for (const window of [0, 1]) await desktop.until(window, ({ photos }) => photos.length === 1)

    await desktop.click([0, photo, 'approve'], [1, photo, 'reject'])
    const gone = [0, 1].map((window) => desktop.until(window, ({ photos }) => photos.length === 0))
    await Promise.all(gone)
    await Promise.any([0, 1].map((window) => desktop.until(window, ({ notice }) => notice !== '')))

    const notices = (await Promise.all([0, 1].map((window) => desktop.look(window)))).map(
      ({ notice }) => notice,
    )
    const { body } = await stage.api<{ status: string }>('GET', `/api/photos/${photo}`)
    expect(notices.filter((notice) => notice.endsWith('somebody was faster.'))).toHaveLength(1)
    expect(notices[body.status === 'approved' ? 1 : 0]).toContain('somebody was faster')
  },
)

needs('pyqt')(
  'it shows that the line is down, and goes on where it was when it is back',
  async ({ pyqt }) => {
    await using stage = await openStage()
    await using desktop = startDesktop(pyqt)
    await using line = await stage.lay()
    const wedding = await session(stage, 'Wedding')
    await develop(stage, wedding, 'IMG_1.CR3', 3)
    await desktop.open(line.url, await stage.token())
    await desktop.until(
      0,
      ({ photos, connection }) => photos.length === 1 && connection.includes('Connected'),
    )

    line.down()
    const down = await desktop.until(0, ({ connection }) => connection.includes('Reconnecting'))
    await develop(stage, wedding, 'IMG_2.CR3', 4)
    const race = await session(stage, 'Race')
    await stage.photos(race, 1)
    line.mend()
    const back = await desktop.until(
      0,
      ({ photos, connection }) => photos.length === 2 && connection.includes('Connected'),
    )
    await desktop.until(0, ({ sessions }) => sessions[0]?.numbers.startsWith('0 of 1 photo ') === true)

    expect(down.photos).toHaveLength(1)
    expect(shown(back).photos).toEqual((await truth(stage)).photos)
    expect(shown(await desktop.look(0))).toEqual(await truth(stage))
    expect(await desktop.end()).toBe(0)
  },
)
