/** Reads with a pass that opens some sessions only (PROTOCOL §7): what is asked, and what the answers are held to. */
import type { Random } from '../random.ts'
import type { ReadKind, ReadRecord, Row } from './record.ts'

export interface SeenRead {
  readonly kind: ReadKind
  readonly path: string
  /** A single row: it may be gone, or another's. */
  readonly single: boolean
  readonly filter: Row
}

/** Rows that have been there, mostly of these sessions. */
export function drawRead(random: Random, seen: ReadonlySet<unknown>): SeenRead {
  const session = seen.size > 0 && random.chance(0.7) ? random.pick([...seen]) : random.int(1, 40)
  const one = (kind: ReadKind, id: unknown) => ({
    kind,
    path: `/api/${kind}/${String(id)}`,
    single: true,
    filter: {},
  })
  const list = (kind: ReadKind, filter: Row) => {
    const query = new URLSearchParams({ limit: '500' })
    for (const [name, value] of Object.entries(filter)) query.set(name, String(value))
    return { kind, path: `/api/${kind}?${query.toString()}`, single: false, filter }
  }
  return random.pick<() => SeenRead>([
    () => one('sessions', session),
    () => one('photos', random.int(1, 200)),
    () => list('sessions', {}),
    () => list('photos', {}),
    () => list('photos', { session_id: session }),
    () => list('photos', { status: 'completed' }),
  ])()
}

/** What an answer of 200 showed. */
export function readRecords(
  { kind, single, filter }: SeenRead,
  seen: ReadonlySet<unknown>,
  body: Row,
  cursor: string,
): ReadRecord[] {
  if (!single)
    return [{ kind, rows: body[kind] as Row[], total: Number(body['total']), cursor, filter, seen }]
  const row = { kind, rows: [body], cursor, seen }
  return kind === 'sessions' ? [row, { ...row, kind: 'photo_counts' }] : [row]
}
