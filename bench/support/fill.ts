/** A data folder with so many photos and jobs, in every state, a thousand photos a session. */
import { sql } from 'kysely'
import { loadConfig } from '../../lib/config.ts'
import { inChunks } from '../../lib/store/chunks.ts'
import { openStore } from '../../lib/store/store.ts'

const PER_SESSION = 1000
const photoStates = [
  'imported',
  'analyzed',
  'selected',
  'completed',
  'completed',
  'approved',
  'rejected',
  'failed',
]
const jobStates = ['pending', 'pending', 'completed', 'completed', 'completed', 'failed', 'cancelled']
const exportStates = ['running', 'completed', 'completed', 'failed']
const START_MS = Date.parse('2026-01-01T00:00:00.000Z')

export async function fillFolder(folder: string, size: number): Promise<void> {
  const config = { ...loadConfig({}), DATA_DIR: folder, MAX_PENDING_WRITES: 10 }
  await using store = await openStore({
    config,
    now: () => new Date(),
    monotonicMs: () => performance.now(),
    moveTimes: () => Promise.resolve(),
    onClockSet: () => undefined,
    derive: () => Promise.resolve(),
    onDurable: () => undefined,
    onFatal: (error) => {
      throw error
    },
    onTrouble: console.error,
    observe: { commit: () => undefined, sync: () => undefined },
  })
  const at = (index: number) => new Date(START_MS + index * 1000).toISOString()
  await store.writer.write(async ({ queries }) => {
    const numbers = Array.from({ length: size }, (_, index) => index)
    for (const first of numbers.filter((index) => index % PER_SESSION === 0)) {
      const counts = Object.fromEntries(
        Map.groupBy(numbers.slice(first, first + PER_SESSION), photoState)
          .entries()
          .map(([state, list]) => [state, list.length]),
      )
      await queries
        .insertInto('sessions')
        .values({
          name: `shoot ${first}`,
          import_folder: '/shoots',
          status: 'processing',
          total_photos: PER_SESSION,
          processed_photos: 0,
          progress_percent: 0,
          photo_counts: JSON.stringify(counts),
          total_override: null,
          processed_override: null,
          created_at: at(first),
          updated_at: at(first),
        })
        .execute()
    }
    const photos = numbers.map((index) => ({
      session_id: Math.floor(index / PER_SESSION) + 1,
      file_name: `${(index * 7919) % size}.nef`,
      file_path: `/shoots/${index}.nef`,
      file_size: 24_000_000,
      status: photoState(index),
      ai_score: index % 9 === 0 ? null : 1 + ((index * 31) % 401) / 100,
      analysis_results: '{"sharpness":0.8,"faces":2}',
      context_tag: 'wedding',
      selected_preset: 'warm',
      rejection_reason: '',
      imported_at: at(index),
      updated_at: at((index * 7919) % size),
    }))
    for (const rows of inChunks(photos)) await queries.insertInto('photos').values(rows).execute()
    const jobs = numbers.map((index) => ({
      id: index.toString(16).padStart(32, '0'),
      photo_id: index + 1,
      session_id: Math.floor(index / PER_SESSION) + 1,
      priority: 1 + (index % 9),
      config: '{"preset":"warm"}',
      status: jobStates[index % jobStates.length] ?? '',
      stage: '',
      progress: 0,
      message: '',
      result: '{}',
      error_message: '',
      error_details: '{}',
      attempts: 0,
      worker: '',
      claimed_by: '',
      photo_status: photoState(index),
      lease_seconds: 0,
      lease_expires_at: null,
      created_at: at(index),
      started_at: index % 3 === 0 ? null : at((index * 7919) % size),
      completed_at: index % 2 === 0 ? null : at((index * 104_729) % size),
    }))
    for (const rows of inChunks(jobs)) await queries.insertInto('jobs').values(rows).execute()
    await sql`insert into counters (name, value)
      select 'scores.' || cast(floor(ai_score * 8) as integer), count(*) from photos
      where ai_score is not null group by floor(ai_score * 8)`.execute(queries)
    const exports = numbers.map((index) => ({
      photo_id: index + 1,
      session_id: Math.floor(index / PER_SESSION) + 1,
      preset_name: 'web',
      destination: '/exports',
      status: exportStates[index % exportStates.length] ?? '',
      output_path: '',
      file_size: null,
      error_message: '',
      started_at: at(index),
      completed_at: null,
    }))
    for (const rows of inChunks(exports)) await queries.insertInto('exports').values(rows).execute()
    for (const table of ['photos', 'jobs', 'exports']) {
      await sql`insert into counters (name, value)
        select ${`${table}.`} || status, count(*) from ${sql.table(table)} group by status`.execute(queries)
    }
  })
}

function photoState(index: number): string {
  return photoStates[index % photoStates.length] ?? ''
}
