/** Acts of a shoot: sessions come, change and go; photos are imported, analyzed and selected. */
import { sessionStatuses } from '../../../lib/domain/sessions.ts'
import type { Expected } from './record.ts'
import { withAny, type Act, type OwnPhoto, type OwnSession, type Work } from './work.ts'

const SESSIONS_MAX = 5
const IDLE_MAX = 30

interface Photo {
  readonly id: number
  readonly file_path: string
  readonly file_name: string
  readonly imported_at: string
}

export function shootActs(work: Work): Act[] {
  const { random, state } = work
  return [
    { weight: 3, run: () => (state.sessions.length < SESSIONS_MAX ? createSession(work) : undefined) },
    {
      weight: 2,
      run: withAny(
        random,
        () => state.sessions,
        (session) => patchSession(work, session),
      ),
    },
    {
      weight: 2,
      run: () => (state.sessions.length > 2 ? deleteSession(work, random.pick(state.sessions)) : undefined),
    },
    {
      weight: 5,
      run: () => (state.idle.length < IDLE_MAX && state.sessions.length > 0 ? importPhotos(work) : undefined),
    },
    {
      weight: 8,
      run: withAny(
        random,
        // Late words count for the status only where a selection is known: cancelling gives the earlier one back.
        () => state.photos.filter(({ worked, selected }) => !worked || selected),
        (photo) => patchPhoto(work, photo),
      ),
    },
  ]
}

async function createSession({ name, calls, state, serial }: Work): Promise<void> {
  const input = { name: `${name}-${serial()}`, import_folder: `/shoots/${name}` }
  const fields = { session_name: input.name, import_folder: input.import_folder }
  const made = await calls.write<{ id: number; created_at: string }>('POST /api/sessions', {
    what: `session ${input.name}`,
    body: input,
    events: [{ type: 'session_created', ...fields }],
    learned: ({ id, created_at }) => [
      { type: 'session_created', session_id: id, ...fields, timestamp: created_at },
    ],
  })
  if (made) state.sessions.push({ id: made.id, status: 'importing' })
}

/** Renames, so that its event is told from all others; perhaps it moves, perhaps its totals are set by hand. */
async function patchSession(work: Work, session: OwnSession): Promise<void> {
  const { name, calls, history, random, serial } = work
  const { id, status: before } = session
  const session_name = `${name}-${serial()}`
  const drawn = random.chance(0.5) ? random.pick(sessionStatuses) : undefined
  // Whether it becomes completed is known only where the status before is.
  const status = drawn === 'completed' && before === undefined ? 'importing' : drawn
  const totals = random.chance(0.15)
    ? random.pick([{ total_photos: 7 }, { total_photos: null }, { processed_photos: 3 }])
    : undefined
  if (totals) history.overridden.add(id)
  const completes = status === 'completed' && before !== 'completed'
  const completed: Expected[] = completes ? [{ type: 'session_completed', session_id: id, session_name }] : []
  if (status !== undefined) session.status = undefined
  const updated = { session_id: id, session_name, ...(status === undefined ? {} : { status }) }
  const patched = await calls.write<{ status: string }>('PATCH /api/sessions/{id}', {
    what: `change of session ${id}`,
    params: { id },
    body: { name: session_name, ...(status === undefined ? {} : { status }), ...totals },
    events: [{ type: 'session_updated', ...updated }, ...completed],
  })
  session.status = patched ? patched.status : before
}

async function deleteSession({ calls, state }: Work, session: OwnSession): Promise<void> {
  const { id } = session
  state.sessions = state.sessions.filter((other) => other !== session)
  const deleted = await calls.write('DELETE /api/sessions/{id}', {
    what: `end of session ${id}`,
    params: { id },
    events: [{ type: 'session_deleted', session_id: id }],
  })
  if (!deleted) return void state.sessions.push(session)
  const stays = ({ session: own }: OwnPhoto) => own !== id
  const gone = new Set(state.photos.filter((photo) => !stays(photo)).map((photo) => photo.id))
  state.photos = state.photos.filter(stays)
  state.idle = state.idle.filter(stays)
  state.pending = state.pending.filter(({ photo }) => stays(photo))
  state.awaiting = state.awaiting.filter((photo) => !gone.has(photo))
  state.exports = state.exports.filter(({ photo }) => !gone.has(photo))
}

async function importPhotos({ name, calls, random, state, serial }: Work): Promise<void> {
  const session = random.chance(0.1) ? null : random.pick(state.sessions).id
  const inputs = Array.from({ length: random.int(1, 12) }, () => ({
    ...(session === null ? {} : { session_id: session }),
    file_path: `/shoots/${name}/${serial()}.jpg`,
    file_size: random.int(1, 6_000_000_000),
  }))
  const [first] = inputs
  const single = inputs.length === 1 && random.chance(0.8)
  const made = await calls.write<Photo | { photos: Photo[] }>('POST /api/photos', {
    what: `${inputs.length} photos of session ${session}`,
    body: single ? first : inputs,
    events: inputs.map(({ file_path }) => ({ type: 'photo_imported', session_id: session, file_path })),
    learned: (body) =>
      photosOf(body).map(({ id, file_path, file_name, imported_at }) => ({
        type: 'photo_imported',
        photo_id: id,
        session_id: session,
        file_path,
        file_name,
        timestamp: imported_at,
      })),
  })
  if (!made) return
  const photos = photosOf(made).map(({ id }) => ({
    id,
    session,
    analyzed: false,
    selected: false,
    worked: false,
  }))
  state.photos.push(...photos)
  state.idle.push(...photos)
}

function photosOf(body: Photo | { photos: Photo[] }): readonly Photo[] {
  return 'photos' in body ? body.photos : [body]
}

async function patchPhoto({ calls, random, serial }: Work, photo: OwnPhoto): Promise<void> {
  const { id } = photo
  const selects = photo.analyzed ? random.chance(0.6) : random.chance(0.2)
  const analyzes = !selects || !photo.analyzed || random.chance(0.2)
  const analysis = {
    ai_score: random.chance(0.1) ? null : random.int(10, 50) / 10,
    analysis_results: { n: serial(), faces: random.int(0, 9) },
  }
  const selection = { context_tag: `tag ${serial()}`, selected_preset: random.pick(['Warm', 'Cool', 'Mono']) }
  const events: Expected[] = []
  if (analyzes) events.push({ type: 'photo_analyzed', photo_id: id, session_id: photo.session, ...analysis })
  if (selects) events.push({ type: 'photo_selected', photo_id: id, session_id: photo.session, ...selection })
  const patched = await calls.write('PATCH /api/photos/{id}', {
    what: `words on photo ${id}`,
    params: { id },
    body: { ...(analyzes ? analysis : {}), ...(selects ? selection : {}) },
    events,
  })
  if (!patched) return
  if (analyzes) photo.analyzed = true
  if (selects) photo.selected = true
}
