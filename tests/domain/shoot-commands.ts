/** Commands on sessions, photos, the approval queue, exports and the system, and events that are no commands. */
import type { Draft } from '../../lib/protocol/events.ts'
import { conflict, type SessionPatch } from './model.ts'
import {
  MISSING_ID,
  of,
  onRow,
  pick,
  type Build,
  type Choices,
  type Operation,
  type SentEvent,
  type View,
} from './operations.ts'
import * as rules from './shoot-rules.ts'
import { FOREIGN_ID, FOREIGN_JOB, type Photo } from './state.ts'

const SESSIONS_MAX = 4
const PATHS = 40
const sessionStatuses = [
  'importing',
  'processing',
  'selecting',
  'developing',
  'exporting',
  'completed',
] as const

const anySession = ({ state }: View, choices: Choices) => pick(state.sessions.values(), choices, () => true)
const anyPhoto = ({ state }: View, choices: Choices, suits: (photo: Photo) => boolean) =>
  pick(state.photos.values(), choices, suits)?.id

const sessionName = (choice: number) => `shoot ${choice % 5}`

export const createSession: Build = ({ state }, { a }) => {
  if (state.sessions.size >= SESSIONS_MAX) return undefined
  const input = { name: sessionName(a), import_folder: '/shoots' }
  return {
    rest: ['POST', '/api/sessions', input],
    predict: (model) => rules.createSession(model, input),
  }
}

const missingSession = { id: MISSING_ID, name: 'nowhere', status: 'importing' }
const noTotals = { total_photos: 0, processed_photos: 0, progress_percent: 0 }

export const patchSession: Build = (view, choices) => {
  const { a, b } = choices
  const patch: SessionPatch = {
    ...(a % 3 === 0 ? { name: sessionName(b) } : {}),
    ...(a % 3 === 1 || a % 2 === 0 ? { status: of(sessionStatuses, b) } : {}),
    ...(a % 3 === 2 ? { total_photos: b % 4 === 0 ? null : b % 30 } : {}),
    ...(a % 5 === 2 ? { processed_photos: b % 4 === 0 ? null : b % 20 } : {}),
  }
  const row: typeof missingSession | undefined = anySession(view, choices)
  const event = { name: sessionName(b), status: of(sessionStatuses, a) }
  return onRow(choices, {
    row,
    missing: missingSession,
    rest: ({ id }) => ['PATCH', `/api/sessions/${id}`, Object.keys(patch).length > 0 ? patch : event],
    event: ({ id: session_id }) => {
      return {
        type: 'session_updated',
        session_id,
        session_name: event.name,
        status: event.status,
        ...noTotals,
      }
    },
    predict: (model, { id }) => rules.patchSession(model, id, Object.keys(patch).length > 0 ? patch : event),
    predictEvent: (model, { id }) => rules.changeSession(model, id, event.name, event.status),
  })
}

export const completeSession: Build = (view, choices) => {
  const row: typeof missingSession | undefined = anySession(view, choices)
  const nameOf = ({ name }: typeof missingSession) => (choices.a % 3 === 0 ? sessionName(choices.b) : name)
  return onRow(choices, {
    row,
    missing: missingSession,
    event: (session) => {
      const about = { session_id: session.id, session_name: nameOf(session) }
      return { type: 'session_completed', ...about, total_photos: 0, approved_photos: 0, approval_rate: 0 }
    },
    // The event completes and does not rename; what is completed already is not completed again.
    predict: (model, { id, status }) =>
      status === 'completed' ? conflict : rules.patchSession(model, id, { status: 'completed' }),
  })
}

/** Not each time it is drawn: with a session goes what the other commands act on. */
export const deleteSession: Build = (view, choices) =>
  choices.a % 3 > 0
    ? undefined
    : onRow(choices, {
        row: anySession(view, choices) as typeof missingSession | undefined,
        missing: missingSession,
        rest: ({ id }) => ['DELETE', `/api/sessions/${id}`],
        event: ({ id: session_id, name: session_name }) => ({
          type: 'session_deleted',
          session_id,
          session_name,
        }),
        predict: (model, { id }) => rules.deleteSession(model, id),
      })

/** One photo or several, of a session or of none; a path that is there already refuses them all. */
export const importPhotos: Build = (view, choices) => {
  const { row, a, b } = choices
  const sessionId = row % 4 === 3 ? null : (anySession(view, choices)?.id ?? null)
  const session_id = row > 990 ? MISSING_ID : sessionId
  const inputs = Array.from({ length: 1 + (b % 4) }, (_, n) => {
    const path = (a + n * (1 + (b % 7))) % PATHS
    return { session_id, file_path: `/shoots/${row > 990 ? 'nowhere' : path}.jpg`, file_size: a * 1000 }
  })
  const [first] = inputs
  return {
    rest: ['POST', '/api/photos', inputs.length === 1 && b % 8 < 4 ? first : inputs],
    predict: (model) => rules.importPhotos(model, inputs),
  }
}

function patchPhoto(
  choices: Choices,
  view: View,
  patch: Parameters<typeof rules.patchPhoto>[2],
  type: string,
  status: string,
) {
  return onRow(choices, {
    row: anyPhoto(view, choices, (photo) => photo.status === status),
    missing: MISSING_ID,
    rest: (id) => ['PATCH', `/api/photos/${id}`, patch],
    event: (photo_id) => ({ type, photo_id, ...patch }),
    predict: (model, id) => rules.patchPhoto(model, id, patch),
  })
}

const analysis = ({ a, b }: Choices) => ({
  ...(a % 4 === 3 ? {} : { ai_score: a % 4 === 2 ? null : 1 + (a % 9) / 2 }),
  ...(a % 4 === 2 || b % 2 === 0 ? {} : { analysis_results: { faces: b } }),
})
const selection = ({ a, b }: Choices) => ({
  context_tag: of(['portrait', ''], a),
  selected_preset: `preset ${b % 3}`,
})

export const analyze: Build = (view, choices) => {
  const found = analysis(choices)
  const patch = Object.keys(found).length > 0 ? found : { analysis_results: {} }
  return patchPhoto(choices, view, patch, 'photo_analyzed', 'imported')
}

export const select: Build = (view, choices) =>
  patchPhoto(choices, view, selection(choices), 'photo_selected', 'analyzed')

/** Both at once; only a request can say that. */
export const analyzeAndSelect: Build = (view, choices) => {
  const patch = { ai_score: 2, ...selection(choices) }
  return patchPhoto({ ...choices, socket: false }, view, patch, '', 'imported')
}

const targetOf = ({ a, b }: Choices) => ({ preset_name: `preset ${a % 2}`, destination: `/out/${b % 3}` })

export const approve: Build = (view, choices) => {
  const target = choices.a % 2 === 0 ? targetOf(choices) : undefined
  const body = target && { auto_export: target }
  return onRow(choices, {
    row: anyPhoto(view, choices, ({ status }) => status === 'completed'),
    missing: MISSING_ID,
    rest: (id) => ['POST', `/api/approval/${id}/approve`, body],
    event: (photo_id) => ({ type: 'photo_approved', photo_id, ...body }),
    predict: (model, id) => rules.approve(model, id, target),
  })
}

export const reject: Build = (view, choices) => {
  const reason = of(['', 'blurred'], choices.a)
  return onRow(choices, {
    row: anyPhoto(view, choices, ({ status }) => status === 'completed'),
    missing: MISSING_ID,
    rest: (id) => ['POST', `/api/approval/${id}/reject`, reason === '' ? undefined : { reason }],
    event: (photo_id) => ({ type: 'photo_rejected', photo_id, reason }),
    predict: (model, id) => rules.reject(model, id, reason),
  })
}

export const startExport: Build = (view, choices) => {
  const target = targetOf(choices)
  return onRow(choices, {
    row: anyPhoto(view, choices, ({ status }) => status === 'approved'),
    missing: MISSING_ID,
    rest: (photo_id) => ['POST', '/api/exports', { photo_id, ...target }],
    event: (photo_id) => ({ type: 'export_started', photo_id, ...target }),
    predict: (model, id) => rules.startExport(model, id, target),
  })
}

/** A request names the export; an event means the oldest that runs for its photo and preset. */
function endExport(
  { exports }: View,
  choices: Choices,
  verb: string,
  type: string,
  end: Parameters<typeof rules.endExport>[1],
): Operation | undefined {
  return onRow(choices, {
    row: pick(exports, choices, ({ status }) => status === 'running'),
    missing: { id: MISSING_ID, photo_id: MISSING_ID, preset_name: '', status: '' },
    rest: ({ id }) => ['POST', `/api/exports/${id}/${verb}`, end],
    event: ({ photo_id, preset_name }) => ({ type, photo_id, preset_name, ...end }),
    predict: (model, { id }) =>
      rules.endExport(
        model.exports.find((row) => row.id === id),
        end,
      ),
    predictEvent: (model, { photo_id, preset_name }) =>
      rules.endExport(model.runningExport(photo_id, preset_name), end),
  })
}

export const completeExport: Build = (view, choices) =>
  endExport(view, choices, 'complete', 'export_completed', {
    output_path: `/out/${choices.a}.tif`,
    file_size: choices.b,
  })

export const failExport: Build = (view, choices) =>
  endExport(view, choices, 'fail', 'export_failed', { error_message: 'disk full' })

export const announce: Build = (_, { a, b, socket }) => {
  const data = { status: of(['paused', 'running'], a), details: { load: b } }
  return passedOn({ type: 'system_status', data }, socket, ['POST', '/api/system/status', data], 200)
}

export const reportError: Build = (_, { a, socket }) => {
  const data = { error_type: 'gpu', error_message: `code ${a}`, error_details: {}, photo_id: MISSING_ID }
  return passedOn({ type: 'error_occurred', data }, socket, ['POST', '/api/system/errors', data], 201)
}

/** An event about ids that are not held here is passed on as it is. */
export const publishForeign: Build = (_, { a, b, socket }) => {
  const about = { photo_id: FOREIGN_ID + (a % 3), session_id: null }
  const event = of<Draft>(
    [
      { type: 'job_completed', data: { job_id: `${FOREIGN_JOB}-${b % 3}`, ...about, result: {} } },
      { type: 'photo_approved', data: about },
      { type: 'session_deleted', data: { session_id: FOREIGN_ID, session_name: 'theirs' } },
      { type: 'export_failed', data: { ...about, preset_name: 'theirs', error_message: '' } },
    ],
    b,
  )
  return passedOn(event, socket, ['POST', '/api/events', { type: event.type, ...event.data }], 201)
}

function passedOn(event: Draft, socket: boolean, rest: Operation['rest'], status: number): Operation {
  const predict = () => ({ status, facts: () => [event] })
  const publish = { event: { type: event.type, ...event.data }, command: false }
  return socket ? { publish, predict } : { ...(rest && { rest }), predict }
}

/** What Lightwire holds or derives changes by its own routes and commands only. */
export const publishHeld: Build = ({ state }, { row, a, socket }) => {
  const [photo] = state.photos.values()
  const [job] = state.jobs.values()
  if (!photo || !job) return undefined
  const counts = { pending: 1, processing: 1, completed: 1, failed: 1, total: 4 }
  const event = of<SentEvent>(
    [
      { type: 'photo_approved', photo_id: photo.id },
      { type: 'job_completed', job_id: job.id, result: {} },
      { type: 'queue_status', ...counts },
      { type: 'approval_queue_updated', queue_count: a },
    ],
    row,
  )
  const predict = () => conflict
  return socket
    ? { publish: { event, command: false }, predict }
    : { rest: ['POST', '/api/events', event], predict }
}
