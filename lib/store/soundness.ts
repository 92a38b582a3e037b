/** Whether the newest events are whole: looked at when a journal is opened, before it vouches for old cursors. */
import { channels, type Channel } from '../protocol/events.ts'
import { chainHash } from './chain.ts'
import type { Queries } from './schema.ts'

/** Events of each channel that are looked at: more than a damaged log holds in most cases, and read in a moment. */
const LOOKED_AT = 2000

/** A damaged log can leave heads without their events, or old events under new heads; SQLite says nothing of either. */
export async function endsWhole(queries: Queries): Promise<boolean> {
  for (const channel of channels) if (!(await channelEndsWhole(queries, channel))) return false
  return true
}

async function channelEndsWhole(queries: Queries, channel: Channel): Promise<boolean> {
  const head = await queries.selectFrom('heads').selectAll().where('channel', '=', channel).executeTakeFirst()
  if (!head) return false
  const newest = await queries
    .selectFrom('events')
    .selectAll()
    .where('channel', '=', channel)
    .orderBy('seq', 'desc')
    .limit(LOOKED_AT)
    .execute()
  const events = newest.toReversed()
  const begin = { seq: head.trimmed, hash: head.trimmed_hash }
  // The oldest of many is where the look begins; of few, what retention took away.
  let last = events.length < LOOKED_AT ? begin : events.shift()
  for (const event of events) {
    if (event.seq !== (last?.seq ?? 0) + 1 || event.hash !== chainHash(last?.hash ?? '', event)) return false
    last = event
  }
  return last?.seq === head.seq && last.hash === head.hash
}
