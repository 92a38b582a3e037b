/** Checks the journal and the lineage: numbers, catalogue, hashes, both ends of each channel's chain. */
import { catalogue, channels, isEventType, type Channel, type StoredEvent } from '../protocol/events.ts'
import type { Positions } from '../protocol/cursor.ts'
import { chainHash, CUT, epochHash } from './chain.ts'
import { createFindings } from './findings.ts'
import type { Queries } from './schema.ts'

/** Events read at a time. */
const PAGE = 1000

/** An event as it was stored, its fields decoded. */
export interface ReadEvent {
  readonly event: StoredEvent
  readonly data: Readonly<Record<string, unknown>>
}

/** @param onEvent sees every event whose fields decode and fit the catalogue, channel by channel, in order */
export async function verifyJournal(queries: Queries, onEvent: (read: ReadEvent) => void) {
  const { add, faults } = createFindings()
  const heads = await queries.selectFrom('heads').selectAll().orderBy('channel').execute()
  const named = heads.map(({ channel }) => channel)
  if (named.join() !== channels.join()) add(`heads are of ${named.join(', ')}, not of ${channels.join(', ')}`)
  let count = 0
  for (const channel of channels) {
    const head = heads.find((row) => row.channel === channel)
    if (!head) continue
    let { trimmed: last, trimmed_hash: hash } = head
    for await (const { hash: stored, ...event } of eventsOf(queries, channel)) {
      const place = `${channel} ${event.seq}`
      if (event.seq !== last + 1) add(`${place} follows ${last}`)
      hash = chainHash(hash, event)
      if (hash !== stored) add(`${place} does not fit its hash`)
      // One break is told once.
      hash = stored
      last = event.seq
      count += 1
      const data = decode(event)
      if (data) onEvent({ event, data })
      else add(`${place} is not as the catalogue says`)
    }
    if (last !== head.seq) add(`the head of ${channel} is ${head.seq}, its last event ${last}`)
    else if (hash !== head.hash) add(`the head of ${channel} does not fit its last event's hash`)
  }
  const lost = await queries
    .selectFrom('events')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  if (Number(lost.count) !== count) add(`there are ${lost.count} events, ${count} of them on a channel`)
  const trimmed: Positions = Object.fromEntries(heads.map((row) => [row.channel, row.trimmed]))
  return { detail: `${count} events`, faults: faults(), trimmed }
}

/** Epochs: each fits its hash, and none begins before the one before it. */
export async function verifyLineage(queries: Queries) {
  const { add, faults } = createFindings()
  const rows = await queries.selectFrom('epochs').selectAll().orderBy('ordinal').execute()
  const heads = await queries.selectFrom('heads').selectAll().execute()
  let before: Positions = {}
  for (const [index, row] of rows.entries()) {
    if (row.hash === CUT) continue
    if (row.hash !== epochHash(rows[index - 1]?.hash ?? '', row)) {
      add(`epoch ${row.ordinal} does not fit its hash`)
      continue
    }
    const began = JSON.parse(row.heads) as Positions
    const back = channels.filter((channel) => (began[channel] ?? 0) < (before[channel] ?? 0))
    // A cut lineage may follow a journal that lost its newest part.
    if (back.length > 0 && rows[index - 1]?.hash !== CUT)
      add(`epoch ${row.ordinal} begins before the one before it: ${back.join(', ')}`)
    before = began
  }
  if (rows.length === 0) add('there is no epoch')
  for (const { channel, seq } of heads) {
    if (seq < (before[channel] ?? 0))
      add(`the head of ${channel} is ${seq}, before the newest epoch's ${before[channel]}`)
  }
  return { detail: `${rows.length} epochs`, faults: faults() }
}

async function* eventsOf(queries: Queries, channel: Channel) {
  for (let after = Number.MIN_SAFE_INTEGER; ;) {
    const page = await queries
      .selectFrom('events')
      .selectAll()
      .where('channel', '=', channel)
      .where('seq', '>', after)
      .orderBy('seq')
      .limit(PAGE)
      .execute()
    yield* page
    const last = page.at(-1)
    if (!last || page.length < PAGE) return
    // A damaged index must not keep us here for ever.
    if (last.seq <= after) throw new Error(`events of ${channel} are not in their order`)
    after = last.seq
  }
}

function decode({ channel, type, timestamp, data }: StoredEvent): Record<string, unknown> | undefined {
  if (!isEventType(type) || catalogue[type].channel !== channel) return undefined
  if (!isTimestamp(timestamp)) return undefined
  try {
    const parsed = catalogue[type].data.safeParse(JSON.parse(data))
    return parsed.success ? parsed.data : undefined
  } catch {
    return undefined
  }
}

/** UTC, ISO 8601 with milliseconds, and a moment that there is. */
export function isTimestamp(text: string): boolean {
  const ms = Date.parse(text)
  return !Number.isNaN(ms) && new Date(ms).toISOString() === text
}
