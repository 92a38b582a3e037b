/** Checks the rows: each fits its schema, kept counts are the counts, and what the kept events tell is what is stored. */
import type * as z from 'zod'
import type { Positions } from '../protocol/cursor.ts'
import { createFindings } from '../store/findings.ts'
import type { Queries, SessionRow } from '../store/schema.ts'
import { isTimestamp } from '../store/verify-journal.ts'
import { jobStatuses } from './counters.ts'
import { exportSchema, exportStatuses } from './exports.ts'
import { jobSchema, LEASE_SECONDS_MAX } from './job-schemas.ts'
import { photoStatuses } from './photo-status.ts'
import { photoSchema } from './photos.ts'
import { percentOf, sessionSchema } from './sessions.ts'
import { differences, exportKey, type Told } from './told.ts'

/** Rows read at a time. */
const PAGE = 500
const SCORE_BUCKETS = 8

type Row = Readonly<Record<string, unknown>>

const tables = {
  sessions: { key: 'id', schema: sessionSchema, json: ['photo_counts'] },
  photos: { key: 'id', schema: photoSchema, json: ['analysis_results'] },
  jobs: { key: 'ordinal', schema: jobSchema, json: ['config', 'result', 'error_details'] },
  exports: { key: 'id', schema: exportSchema, json: [] },
} as const satisfies Record<string, { key: string; schema: z.ZodType; json: readonly string[] }>

type Table = keyof typeof tables

/** @param trimmed per channel what retention took away: rows older than that need not be told of */
export async function verifyRows(queries: Queries, told: Told, trimmed: Positions) {
  const shapes = createFindings()
  const counts = createFindings()
  const stories = createFindings()
  const tally = new Map<string, number>()
  const ofSessions = new Map<unknown, Record<string, number>>()
  let rows = 0
  let tellers = 0
  const count = (name: string) => tally.set(name, (tally.get(name) ?? 0) + 1)

  for (const table of ['photos', 'jobs', 'exports', 'sessions'] as const) {
    for await (const stored of rowsOf(queries, table)) {
      rows += 1
      const name = `${table} ${String(stored['id'])}`
      const { row, faults } = parse(table, stored)
      for (const fault of faults) shapes.add(`${name}: ${fault}`)
      if (table !== 'sessions') count(`${table}.${String(row['status'])}`)
      if (table === 'photos') {
        if (row['ai_score'] !== null) count(`scores.${Math.floor(Number(row['ai_score']) * SCORE_BUCKETS)}`)
        const own = ofSessions.get(row['session_id']) ?? {}
        own[String(row['status'])] = (own[String(row['status'])] ?? 0) + 1
        ofSessions.set(row['session_id'], own)
      }
      if (table === 'sessions') {
        for (const fault of sessionFaults(row, ofSessions.get(row['id']) ?? {}))
          counts.add(`${name}: ${fault}`)
      }
      const { known, wrong } = compare(table, row, told, trimmed)
      if (known) tellers += 1
      for (const what of wrong) stories.add(`${name}: ${what}`)
    }
  }
  for (const fault of await counterFaults(queries, tally)) counts.add(fault)
  for (const fault of await revocationFaults(queries)) shapes.add(fault)
  for (const fault of stateFaults(tally, told)) stories.add(fault)
  return {
    shapes: { detail: `${rows} rows`, faults: shapes.faults() },
    counts: {
      detail: `${tally.size} counters, ${ofSessions.size} groups of photos`,
      faults: counts.faults(),
    },
    stories: { detail: `kept events tell of ${tellers} of ${rows} rows`, faults: stories.faults() },
  }
}

async function* rowsOf(queries: Queries, table: Table): AsyncGenerator<Row> {
  const { key } = tables[table]
  for (let after = Number.MIN_SAFE_INTEGER; ;) {
    const all = queries.selectFrom(table).selectAll()
    // One query text for four tables whose keys differ in name: the types cannot follow.
    const page = (await (all as never as Pages)
      .where(key, '>', after)
      .orderBy(key)
      .limit(PAGE)
      .execute()) as Row[]
    yield* page
    const last = Number(page.at(-1)?.[key])
    if (page.length < PAGE) return
    if (!(last > after)) throw new Error(`rows of ${table} are not in their order`)
    after = last
  }
}

interface Pages {
  where(key: string, operator: '>', value: number): Pages
  orderBy(key: string): Pages
  limit(rows: number): Pages
  execute(): Promise<unknown>
}

/** The row with its JSON decoded, and what does not fit. */
function parse(table: Table, stored: Row): { row: Row; faults: string[] } {
  const { schema, json } = tables[table]
  const row: Record<string, unknown> = { ...stored }
  const faults: string[] = []
  for (const column of json) {
    try {
      row[column] = JSON.parse(String(stored[column]))
    } catch {
      faults.push(`${column} is no JSON`)
    }
  }
  const parsed = schema.safeParse(row)
  if (!parsed.success) {
    faults.push(...parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`))
  }
  for (const [column, value] of Object.entries(row)) {
    if (column.endsWith('_at') && value !== null && !isTimestamp(String(value)))
      faults.push(`${column} is no time`)
  }
  if (table === 'jobs') faults.push(...jobFaults(row))
  if (table === 'exports' && (row['completed_at'] === null) !== (row['status'] === 'running')) {
    faults.push('it ended and is running, or neither')
  }
  return { row, faults }
}

/** What clients are not shown of a job, and what its status implies. */
function jobFaults(row: Row): string[] {
  const { status, photo_status, lease_seconds, lease_expires_at, completed_at, claimed_by } = row
  const over = status === 'completed' || status === 'failed' || status === 'cancelled'
  const rules: [string, boolean][] = [
    ['photo_status', photoStatuses.some((known) => known === photo_status)],
    [
      'lease_seconds',
      Number.isInteger(lease_seconds) &&
        Number(lease_seconds) >= 0 &&
        Number(lease_seconds) <= LEASE_SECONDS_MAX,
    ],
    ['lease_expires_at', (lease_expires_at !== null) === (status === 'processing')],
    ['completed_at', (completed_at !== null) === over],
    ['claimed_by', typeof claimed_by === 'string' && (claimed_by !== '' || status !== 'processing')],
  ]
  return rules.flatMap(([column, holds]) =>
    holds ? [] : [`${column} does not fit a job that is ${String(status)}`],
  )
}

function sessionFaults(row: Row, photos: Readonly<Record<string, number>>): string[] {
  const { photo_counts, total_override, processed_override } = row as unknown as SessionRow
  const all = Object.values(photos).reduce((sum, value) => sum + value, 0)
  const done = (photos['completed'] ?? 0) + (photos['approved'] ?? 0) + (photos['rejected'] ?? 0)
  const total_photos = total_override ?? all
  const processed_photos = processed_override ?? done
  const kept = {
    photo_counts: photos,
    total_photos,
    processed_photos,
    progress_percent: percentOf(processed_photos, total_photos),
  }
  return differences({ ...row, photo_counts }, kept).map((column) => `${column} is not what its photos make`)
}

async function counterFaults(queries: Queries, tally: ReadonlyMap<string, number>): Promise<string[]> {
  const rows = await queries.selectFrom('counters').selectAll().execute()
  const kept = new Map(rows.map(({ name, value }) => [name, value]))
  const names = new Set([
    ...jobStatuses.map((status) => `jobs.${status}`),
    ...photoStatuses.map((status) => `photos.${status}`),
    ...exportStatuses.map((status) => `exports.${status}`),
  ])
  const unknown = [...kept.keys()].filter((name) => !names.has(name) && !/^scores\.\d+$/.test(name))
  const wrong = [...new Set([...kept.keys(), ...tally.keys()])].filter(
    (name) => (kept.get(name) ?? 0) !== (tally.get(name) ?? 0),
  )
  return [
    ...unknown.map((name) => `there is a counter ${name}`),
    ...wrong.map((name) => `${name} is kept as ${kept.get(name) ?? 0}, and is ${tally.get(name) ?? 0}`),
  ]
}

async function revocationFaults(queries: Queries): Promise<string[]> {
  const rows = await queries.selectFrom('revocations').selectAll().execute()
  const fits = (kind: string, at: string) => (kind === 'jti' || kind === 'subject') && isTimestamp(at)
  return rows.flatMap(({ ordinal, kind, revoked_at }) =>
    fits(kind, revoked_at) ? [] : [`revocation ${ordinal}`],
  )
}

/** Whether kept events tell of a row, and the columns that they tell otherwise. */
function compare(
  table: Table,
  row: Row,
  told: Told,
  trimmed: Positions,
): { known: boolean; wrong: string[] } {
  if (table === 'exports') return compareExport(row, told, trimmed)
  const channel = table
  const story = told[table].get(row['id'])
  if (!story) {
    return { known: false, wrong: (trimmed[channel] ?? 0) === 0 ? ['no event tells of it'] : [] }
  }
  if (table !== 'jobs') return { known: true, wrong: named(differences(row, story)) }
  const changed = told.priorities.get(row['id'])
  // An earlier change may be among what retention took away.
  const priority = changed ?? ((trimmed.queue ?? 0) === 0 ? story['priority'] : undefined)
  return { known: true, wrong: named(differences(row, { ...story, priority })) }
}

function compareExport(row: Row, { exports }: Told, trimmed: Positions): { known: boolean; wrong: string[] } {
  const { photo_id, session_id, preset_name, destination, output_path, file_size, error_message } = row
  const names = { photo_id, session_id, preset_name }
  const [began, ended] = [String(row['started_at']), String(row['completed_at'])]
  const keys = [exportKey('export_started', began, { ...names, destination })]
  if (row['status'] === 'completed')
    keys.push(exportKey('export_completed', ended, { ...names, output_path, file_size }))
  if (row['status'] === 'failed') keys.push(exportKey('export_failed', ended, { ...names, error_message }))
  const missing = keys.filter((key) => !exports.has(key))
  const known = missing.length < keys.length
  return {
    known,
    wrong: missing.length > 0 && (trimmed.export ?? 0) === 0 ? ['its events tell otherwise'] : [],
  }
}

/** The newest word about the queues, where rows show that it is this server's own. */
function stateFaults(tally: ReadonlyMap<string, number>, told: Told): string[] {
  const [queue, approval] = [told.queue(), told.approval()]
  const shown = ['pending', 'processing', 'completed', 'failed'] as const
  const jobs = jobStatuses.reduce((sum, status) => sum + (tally.get(`jobs.${status}`) ?? 0), 0)
  const ofQueue = Object.fromEntries(shown.map((status) => [status, tally.get(`jobs.${status}`) ?? 0]))
  const waiting = tally.get('photos.completed') ?? 0
  return [
    ...(queue && jobs > 0
      ? differences(queue, ofQueue).map((name) => `the newest queue_status tells ${name} otherwise`)
      : []),
    ...(approval && waiting > 0 && approval['queue_count'] !== waiting
      ? ['the newest approval_queue_updated tells another number']
      : []),
  ]
}

const named = (columns: readonly string[]) => columns.map((column) => `its events tell ${column} otherwise`)
