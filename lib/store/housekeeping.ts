/** Keeps the store small beside the writes: old events go in small steps, the write-ahead log back to the database. */
import { channels, type Channel } from '../protocol/events.ts'
import { Refusal } from '../protocol/refusals.ts'
import { isSyncFault } from './faults.ts'
import type { Journal } from './journal.ts'
import type { Database, Queries } from './schema.ts'
import type { Writer } from './writer.ts'

/** Events that one step removes: short enough to go unnoticed between two groups of writes. */
const TRIM_STEP = 500
const DAY_MS = 86_400_000
/** Pages of 4 KiB: from 64 MiB of log on it is worth to hold the writes while it is emptied. */
const PAUSE_PAGES = 16_384

interface RetentionOptions {
  readonly journal: Journal
  readonly writer: Writer
  readonly now: () => Date
  /** Kept per channel. */
  readonly events: number
  readonly days: number
}

/** Removes one step of what is too old or too many; whether more may be left. */
export async function trimOnce({ journal, writer, now, events, days }: RetentionOptions): Promise<boolean> {
  const before = new Date(now().getTime() - days * DAY_MS).toISOString()
  const { value: steps } = await writer.write(async ({ queries }) => {
    const done: { channel: Channel; from: number; through: number }[] = []
    for (const channel of channels) {
      const from = journal.trimmed()[channel] ?? 0
      const head = journal.heads()[channel] ?? 0
      const upto = Math.max(head - events, await expired(queries, channel, from, before))
      if (upto > from)
        done.push({ channel, from, through: await journal.trim(queries, channel, upto, TRIM_STEP) })
    }
    return done
  })
  for (const { channel, through } of steps) journal.forget(channel, through)
  return steps.some(({ from, through }) => through - from >= TRIM_STEP)
}

/** The newest seq of the next step whose time is past, or 0. Commits are in time order but for clock jumps. */
async function expired(queries: Queries, channel: Channel, from: number, before: string): Promise<number> {
  const last = await queries
    .selectFrom('events')
    .select(['seq', 'timestamp'])
    .where('channel', '=', channel)
    .where('seq', '<=', from + TRIM_STEP)
    .orderBy('seq', 'desc')
    .limit(1)
    .executeTakeFirst()
  if (!last) return 0
  if (last.timestamp < before) return last.seq
  const row = await queries
    .selectFrom('events')
    .select(({ fn }) => fn.max('seq').as('seq'))
    .where('channel', '=', channel)
    .where('seq', '<=', from + TRIM_STEP)
    .where('timestamp', '<', before)
    .executeTakeFirst()
  return Number(row?.seq ?? 0)
}

/** One checkpoint; when the log outgrew its bound the writer waits for a second, short one. */
export async function checkpointOnce(database: Database, writer: Writer): Promise<void> {
  const checkpoint = async () => {
    try {
      return await database.checkpoint?.()
    } catch (error) {
      if (isSyncFault(error)) writer.fail(error instanceof Refusal ? error.cause : error)
      throw error
    }
  }
  const first = await checkpoint()
  if (!first || first.walPages < PAUSE_PAGES) return
  await writer.pauseWhile(checkpoint)
}

/** A chore that meets a refusal (a full disk, a stop) is left for its next time. */
export async function whenWritable(
  chore: () => Promise<unknown>,
  onRefusal: (refusal: Refusal) => void,
): Promise<void> {
  try {
    await chore()
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    onRefusal(error)
  }
}
