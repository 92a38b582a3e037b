/** Writers that change as fast as they are answered, and remember every answer: what a server has promised to keep. */
import { createApi, type Answer, type Api } from '../support/api.ts'
import type { Random } from '../support/random.ts'

const IMPORT_SIZE = 20

/** What answers said; every one of it has to be true for ever. */
export interface Promised {
  readonly sessions: number[]
  readonly photos: number[]
  readonly jobs: string[]
  /** Cursors of all answers, of reads too. */
  readonly cursors: string[]
  /** 2xx answers to writes. */
  acknowledged: number
  /** Answers that were not 2xx. */
  readonly refused: Answer<Record<string, unknown>>[]
}

export interface WriterOptions {
  readonly url: string
  readonly token: string
  readonly random: Random
  readonly writers: number
  /** Characters that make paths, and so the log, longer. */
  readonly pathLength?: number
  /** Asked before each write of each writer. */
  readonly goOn: (promised: Promised) => boolean
  /** Writers import arrays only. */
  readonly importsOnly?: boolean
  /** Told how long each answer took. */
  readonly onAnswer?: (ms: number) => void
}

let imports = 0

/** Runs the writers until `goOn` says no or the server is gone. */
export async function writeAway({
  url,
  token,
  random,
  writers,
  goOn,
  onAnswer = () => undefined,
  ...shape
}: WriterOptions): Promise<Promised> {
  const promised: Promised = { sessions: [], photos: [], jobs: [], cursors: [], acknowledged: 0, refused: [] }
  const api = createApi(() => url, token)
  const one = async (own: Random) => {
    while (goOn(promised)) {
      const asked = performance.now()
      const answer = await writeOnce(api, own, promised, shape).catch(() => undefined)
      onAnswer(performance.now() - asked)
      if (!answer) return
      if (answer.cursor !== null) promised.cursors.push(answer.cursor)
    }
  }
  await Promise.all(Array.from({ length: writers }, () => one(random.fork())))
  return promised
}

interface Shape {
  readonly pathLength?: number
  readonly importsOnly?: boolean
}

/** One request, its promise noted; throws when the connection breaks, so that nothing is known. */
async function writeOnce(
  api: Api,
  random: Random,
  promised: Promised,
  shape: Shape,
): Promise<Answer<unknown>> {
  const { pathLength = 20, importsOnly = false } = shape
  const session = promised.sessions.length === 0 ? null : random.pick(promised.sessions)
  const kind = importsOnly ? 'import' : random.pick(['session', 'photo', 'import', 'job', 'read'] as const)
  const size = kind === 'import' ? IMPORT_SIZE : 1
  const folder = `/import/${process.pid}-${(imports += 1)}/${size}`
  const paths = Array.from({ length: size }, (_, n) => `${folder}/${n}/${'x'.repeat(pathLength)}.raw`)
  const photos = paths.map((file_path) => ({ file_path, file_name: 'x.raw', session_id: session }))

  if (kind === 'photo') {
    const answer = await api<{ id: number }>('POST', '/api/photos', photos[0])
    if (kept(promised, answer)) promised.photos.push(answer.body.id)
    return answer
  }
  if (kind === 'import') {
    const answer = await api<{ photos: { id: number }[] }>('POST', '/api/photos', photos)
    if (kept(promised, answer)) promised.photos.push(...answer.body.photos.map(({ id }) => id))
    return answer
  }
  if (kind === 'job' && promised.photos.length > 0) {
    const answer = await api<{ id: string }>('POST', '/api/jobs', { photo_id: random.pick(promised.photos) })
    if (kept(promised, answer)) promised.jobs.push(answer.body.id)
    return answer
  }
  if (kind === 'read') {
    // What a read has shown is a promise too.
    const answer = await api<{ photos: { id: number }[] }>('GET', '/api/photos?sort=-id&limit=5')
    if (answer.status === 200) promised.photos.push(...answer.body.photos.map(({ id }) => id))
    return answer
  }
  const answer = await api<{ id: number }>('POST', '/api/sessions', { name: folder, import_folder: folder })
  if (kept(promised, answer)) promised.sessions.push(answer.body.id)
  return answer
}

function kept(promised: Promised, answer: Answer<unknown>): boolean {
  if (answer.status >= 200 && answer.status < 300) {
    promised.acknowledged += 1
    return true
  }
  promised.refused.push(answer as Answer<Record<string, unknown>>)
  return false
}
