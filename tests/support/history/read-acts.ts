/** Acts that only look: every list, single rows, and the server itself, each with the cursor it was read at. */
import { jobStatuses } from '../../../lib/domain/counters.ts'
import { photoStatuses } from '../../../lib/domain/photo-status.ts'
import type { Channel } from '../../../lib/protocol/events.ts'
import { parseCursor } from '../../../lib/protocol/cursor.ts'
import type { ReadKind, Row } from './record.ts'
import { withAny, type Act, type Work } from './work.ts'

const AWAITING_MAX = 50

interface List extends Record<string, unknown> {
  readonly total: number
}

export function readActs(work: Work): Act[] {
  const { random, state, calls } = work
  const one = (run: Act['run'], weight = 1): Act => ({ weight, run })
  return [
    one(() => list(work, 'jobs', '-created_at', pickFilter(work, 'status', jobStatuses)), 3),
    one(
      () => list(work, 'sessions', '-updated_at', pickFilter(work, 'status', ['importing', 'completed'])),
      3,
    ),
    one(() => list(work, 'photos', '-updated_at', pickFilter(work, 'status', photoStatuses)), 2),
    one(() => list(work, 'exports', '-id', pickFilter(work, 'status', ['running', 'completed'])), 2),
    one(() => readQueue(work), 2),
    one(() => readApproval(work), 3),
    one(
      withAny(
        random,
        () => state.sessions,
        ({ id }) => single(work, 'sessions', id),
      ),
    ),
    one(
      withAny(
        random,
        () => state.photos,
        ({ id }) => single(work, 'photos', id),
      ),
    ),
    one(
      withAny(
        random,
        () => [...state.claims, ...state.pending],
        ({ id }) => single(work, 'jobs', id),
      ),
    ),
    one(
      withAny(
        random,
        () => state.exports,
        ({ id }) => single(work, 'exports', id),
      ),
      // Few of them run at any time.
      4,
    ),
    one(() => readChannels(work)),
    one(() => calls.read('GET /api/websocket/clients')),
    one(() => calls.read('GET /api/system/health')),
    one(() => calls.read('GET /api/system/ready')),
    one(() => calls.read('GET /api/system/info')),
  ]
}

function pickFilter({ random }: Work, name: string, values: readonly string[]): Record<string, string> {
  return random.chance(0.3) ? { [name]: random.pick(values) } : {}
}

async function list(
  { calls, random, history }: Work,
  kind: ReadKind,
  sort: string,
  filter: Record<string, string>,
): Promise<void> {
  const query = { limit: random.int(20, 100), sort, ...filter }
  const read = await calls.read<List>(`GET /api/${kind}`, { query })
  if (!read) return
  const rows = read.body[kind] as Row[]
  history.reads.push({ kind, rows, total: read.body.total, cursor: read.cursor, filter })
}

async function single({ calls, history }: Work, kind: ReadKind, id: string | number): Promise<void> {
  const read = await calls.read<Row>(`GET /api/${kind}/{id}`, { params: { id } })
  if (!read) return
  const { body, cursor } = read
  history.reads.push({ kind, rows: [body], cursor })
  if (kind === 'sessions') history.reads.push({ kind: 'photo_counts', rows: [body], cursor })
}

async function readQueue({ calls, history }: Work): Promise<void> {
  const read = await calls.read<Row>('GET /api/queue')
  if (read) history.reads.push({ kind: 'queue', rows: [read.body], cursor: read.cursor })
}

/** The best of the queue, which then wait to be decided here. */
async function readApproval({ calls, random, history, state }: Work): Promise<void> {
  const session = state.sessions.length > 0 && random.chance(0.3) ? random.pick(state.sessions).id : undefined
  const filter: Record<string, number> = session === undefined ? {} : { session_id: session }
  const query = { limit: random.int(5, 100), ...filter }
  const read = await calls.read<List & { photos: { id: number }[] }>('GET /api/approval/queue', { query })
  if (!read) return
  const { photos, total } = read.body
  history.reads.push({
    kind: 'approval',
    rows: photos as unknown as Row[],
    total,
    cursor: read.cursor,
    filter,
  })
  const room = Math.max(0, AWAITING_MAX - state.awaiting.length)
  state.awaiting.push(...photos.slice(0, room).map(({ id }) => id))
}

/** The heads it lists are those that its cursor names. */
async function readChannels({ calls, history }: Work): Promise<void> {
  const read = await calls.read<{ channels: { channel: Channel; head_seq: number }[] }>(
    'GET /api/websocket/channels',
  )
  if (!read) return
  const { positions } = parseCursor(read.cursor)
  for (const { channel, head_seq } of read.body.channels) {
    if (positions[channel] !== head_seq)
      history.unexpected.push(
        `channel ${channel} is listed at ${head_seq}, its cursor says ${positions[channel]}`,
      )
  }
}
