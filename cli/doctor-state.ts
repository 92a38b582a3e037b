/** Rebuilds the state of the doctor's shoot from events alone, and compares it with what REST says. */
import { CliFailure } from './rest-client.ts'
import * as z from 'zod'
import { exportSchema } from '../lib/domain/exports.ts'
import { jobSchema } from '../lib/domain/job-schemas.ts'
import { photoSchema } from '../lib/domain/photos.ts'
import { sessionSchema } from '../lib/domain/sessions.ts'
import type { Positions } from '../lib/protocol/cursor.ts'
import { channels, type Channel } from '../lib/protocol/events.ts'
import { ask } from './rest-client.ts'
import type { Message } from './demo-client.ts'
import { requireStatus, type Answer } from './doctor-api.ts'
import { isAbout, type Changes } from './doctor-changes.ts'
import type { Context } from './doctor-context.ts'
import { Fault, need, NotTried } from './doctor-report.ts'
import type { Watcher } from './doctor-watcher.ts'

type Row = Record<string, unknown>

/** What REST said, each answer with its own place in the journal. */
interface Reading {
  readonly what: string
  readonly positions: Positions
  readonly rows: readonly Row[]
  /** The same rows from the events up to there. */
  readonly rebuild: (events: readonly Message[]) => readonly Row[]
}

export interface Snapshot {
  readonly sessionId: number
  readonly readings: readonly Reading[]
}

/** Reads all rows of the session; undefined without one, or where the server refuses. */
export async function readState({ api, rights }: Context, changes: Changes): Promise<Snapshot | undefined> {
  const sessionId = changes.sessionId()
  if (sessionId === undefined || !rights.apiRead) return undefined
  const readings: Reading[] = []
  const keep = (
    what: string,
    { positions }: Answer<unknown>,
    rows: readonly Row[],
    rebuild: Reading['rebuild'],
  ) => void readings.push({ what, positions, rows, rebuild })
  try {
    const session = await api('GET', `/api/sessions/${sessionId}`, { schema: sessionSchema })
    keep('session', session, [session.body], rebuildSession)
    const schema = z.object({ photos: z.array(photoSchema) })
    const photos = await api('GET', `/api/photos?session_id=${sessionId}`, { schema })
    keep('photos', photos, photos.body.photos, rebuildPhotos)
    for (const { id } of photos.body.photos) {
      const ofPhoto = (row: Row) => row['photo_id'] === id
      const jobs = await api('GET', `/api/jobs?photo_id=${id}`, {
        schema: z.object({ jobs: z.array(jobSchema) }),
      })
      keep('jobs', jobs, jobs.body.jobs, (events) => rebuildJobs(events).filter(ofPhoto))
      const exportsSchema = z.object({ exports: z.array(exportSchema) })
      const ran = await api('GET', `/api/exports?photo_id=${id}`, { schema: exportsSchema })
      keep('exports', ran, ran.body.exports, (events) => rebuildExports(events).filter(ofPhoto))
    }
    const queue = await api('GET', '/api/queue', { schema: z.looseObject({ total: z.int() }) })
    keep('queue', queue, [queue.body], (events) => newest(events, 'queue_status'))
    const waiting = await api('GET', '/api/approval/queue?limit=1', { schema: z.object({ total: z.int() }) })
    const rows = [{ queue_count: waiting.body.total }]
    keep('approval queue', waiting, rows, (events) => newest(events, 'approval_queue_updated'))
    return { sessionId, readings }
  } catch (error) {
    if (error instanceof Fault || error instanceof CliFailure) return undefined
    throw error
  }
}

/** Every field that events know must be as REST had it; a field that no event carries is left out. */
export async function checkState(
  context: Context,
  watcher: Watcher | undefined,
  snapshot: Snapshot | undefined,
  { deleted }: { readonly deleted: boolean },
): Promise<void> {
  await context.report.check('state from events', async (note) => {
    const { arrivals } = need(watcher, 'no socket watches')
    const { sessionId, readings } = need(snapshot, 'the state could not be read')
    const unread = channels.filter((channel) => !context.channels.includes(channel))
    if (unread.length > 0) throw new NotTried(`token does not let read ${unread.join(', ')}`)
    for (const { what, positions, rows, rebuild } of readings) {
      const upto = arrivals.flatMap(({ event }) => (isBehind(event, positions) ? [event] : []))
      const own = upto.filter((event) => isAbout(event, sessionId, context.run))
      requireRows(what, rebuild(what.endsWith('queue') ? upto : own), rows)
    }
    if (deleted)
      requireStatus('the deleted session', await ask(context, 'GET', `/api/sessions/${sessionId}`), 404)
    const count = readings.reduce((sum, { rows }) => sum + rows.length, 0)
    note(`${count} rows are as the events say${deleted ? '; deleted, they are gone' : ''}`)
  })
}

function requireRows(what: string, rebuilt: readonly Row[], rows: readonly Row[]): void {
  const look = "the server's log: state and stream disagree"
  if (rebuilt.length !== rows.length) {
    throw new Fault({
      expected: `${rebuilt.length} ${what} by the events`,
      seen: `${rows.length} over REST`,
      look,
    })
  }
  for (const [index, row] of rebuilt.entries()) {
    const there = rows.find(({ id }) => id !== undefined && id === row['id']) ?? rows[index] ?? {}
    for (const [name, value] of Object.entries(row)) {
      if (Bun.deepEquals(there[name], value, true)) continue
      const expected = `${what}: ${name} ${JSON.stringify(value)} by the events`
      throw new Fault({ expected, seen: `${JSON.stringify(there[name])} over REST`, look })
    }
  }
}

function isBehind(event: Message, positions: Positions): boolean {
  return Number(event['seq']) <= (positions[event['channel'] as Channel] ?? 0)
}

function rebuildSession(events: readonly Message[]): Row[] {
  const row: Row = { status: 'importing', total_photos: 0, processed_photos: 0, progress_percent: 0 }
  for (const { type, session_id: id, session_name: name, ...event } of events) {
    if (type === 'session_created') Object.assign(row, { id, name, import_folder: event['import_folder'] })
    const { total_photos, processed_photos, progress_percent, status } = event
    if (type === 'session_updated')
      Object.assign(row, { name, total_photos, processed_photos, progress_percent, status })
  }
  return [row]
}

function rebuildPhotos(events: readonly Message[]): Row[] {
  const photos = new Map<unknown, Row>()
  for (const event of events) {
    const { type, photo_id: id, session_id, ai_score, analysis_results, context_tag, selected_preset } = event
    const photo = photos.get(id)
    if (type === 'photo_imported') {
      const { file_name, file_path } = event
      photos.set(id, { id, session_id, file_name, file_path, status: 'imported', ...undecided })
    }
    if (!photo) continue
    if (type === 'photo_analyzed') Object.assign(photo, { ai_score, analysis_results, status: 'analyzed' })
    if (type === 'photo_selected') Object.assign(photo, { context_tag, selected_preset, status: 'selected' })
    if (type === 'photo_approved') photo['status'] = 'approved'
    if (type === 'photo_rejected')
      Object.assign(photo, { status: 'rejected', rejection_reason: event['reason'] })
  }
  // Order is promised within a channel only: what jobs made of a photo is laid over what people made of it.
  for (const { photo_id, status } of rebuildJobs(events)) {
    const photo = photos.get(photo_id)
    const decided = photo?.['status'] === 'approved' || photo?.['status'] === 'rejected'
    if (photo && !decided && status !== 'cancelled')
      photo['status'] = status === 'pending' ? 'queued' : status
  }
  return [...photos.values()]
}

const undecided = {
  ai_score: null,
  analysis_results: {},
  context_tag: '',
  selected_preset: '',
  rejection_reason: '',
}

function rebuildJobs(events: readonly Message[]): Row[] {
  const jobs = new Map<unknown, Row>()
  for (const event of events) {
    const { type, job_id: id, photo_id, session_id, priority, worker, attempt: attempts } = event
    const { stage, progress, message, result, error_message, error_details } = event
    const fresh = { status: 'pending', worker: '', stage: '', progress: 0, message: '' }
    if (type === 'job_created')
      jobs.set(id, { id, photo_id, session_id, priority, ...fresh, attempts: 0, result: {} })
    const job = jobs.get(id) ?? {}
    if (type === 'job_started') Object.assign(job, { status: 'processing', worker, attempts })
    if (type === 'job_progress') Object.assign(job, { stage, progress, message })
    if (type === 'job_completed') Object.assign(job, { status: 'completed', progress: 100, result })
    if (type === 'job_failed') Object.assign(job, { status: 'failed', error_message, error_details })
    if (type === 'job_requeued') Object.assign(job, fresh)
    if (type === 'job_cancelled') job['status'] = 'cancelled'
  }
  for (const { type, job_id, new_priority } of events) {
    const job = jobs.get(job_id)
    if (type === 'priority_changed' && job) job['priority'] = new_priority
  }
  return [...jobs.values()]
}

/** Of this run a photo has one export per preset: events name no export by its id. */
function rebuildExports(events: readonly Message[]): Row[] {
  const rows = new Map<string, Row>()
  for (const event of events) {
    const { type, photo_id, preset_name, destination, output_path, file_size, error_message } = event
    const key = `${String(photo_id)} ${String(preset_name)}`
    const fresh = { output_path: '', file_size: null, error_message: '', status: 'running' }
    if (type === 'export_started') rows.set(key, { photo_id, preset_name, destination, ...fresh })
    const row = rows.get(key) ?? {}
    if (type === 'export_completed') Object.assign(row, { status: 'completed', output_path, file_size })
    if (type === 'export_failed') Object.assign(row, { status: 'failed', error_message })
  }
  return [...rows.values()]
}

function newest(events: readonly Message[], type: string): Row[] {
  const event = events.findLast((other) => other['type'] === type)
  if (!event) throw new NotTried(`no ${type} came`)
  const { pending, processing, completed, failed, total, queue_count } = event
  return type === 'queue_status' ? [{ pending, processing, completed, failed, total }] : [{ queue_count }]
}
