/** Pages: what readers read, from the tail where it reaches, else blocks of the journal shared by all who are there. */
import type { Channel, StoredEvent } from '../protocol/events.ts'
import { EncodedEvent, type Tail } from './tail.ts'

/** Events in a page; a block of the journal is this long and begins at a multiple of it. */
export const PAGE_EVENTS = 64
/** Blocks kept for readers that are near each other: hundreds that stalled together read each once. */
const CACHE_BYTES = 8 * 1024 * 1024

export interface JournalReader {
  /** Events of one channel with seq > `after`, oldest first, at most `limit`. */
  read(channel: Channel, after: number, limit: number): Promise<StoredEvent[]>
}

type Block = readonly EncodedEvent[]

export type Pages = ReturnType<typeof createPages>

export function createPages(journal: JournalReader, tail: Tail) {
  const blocks = new Map<string, Block>()
  const loading = new Map<string, Promise<Block>>()
  let bytes = 0

  function keep(key: string, block: Block): void {
    blocks.set(key, block)
    bytes += costOf(block)
    for (const [oldest, old] of blocks) {
      if (bytes <= CACHE_BYTES || oldest === key) break
      blocks.delete(oldest)
      bytes -= costOf(old)
    }
  }

  async function load(key: string, channel: Channel, start: number): Promise<Block> {
    const block = (await journal.read(channel, start, PAGE_EVENTS)).map((event) => new EncodedEvent(event))
    // Only a whole block will never change.
    if (block.length === PAGE_EVENTS && block.at(-1)?.seq === start + PAGE_EVENTS) keep(key, block)
    return block
  }

  return {
    /** The next events after a position, at most PAGE_EVENTS, where memory has them; none where nothing follows. */
    inMemory(channel: Channel, after: number): Block | undefined {
      const newest = tail.read(channel, after, PAGE_EVENTS)
      if (newest) return newest
      const start = startOf(after)
      const key = `${channel}:${start}`
      const block = blocks.get(key)
      if (!block) return undefined
      // Set again, it is the youngest of the cache.
      blocks.delete(key)
      blocks.set(key, block)
      return block.slice(after - start)
    },

    /**
     * The same from the journal, which holds events up to `upto` at least. The first one's seq is not `after` + 1
     * when retention took it.
     */
    async load(channel: Channel, after: number, upto: number): Promise<Block> {
      const start = startOf(after)
      const key = `${channel}:${start}`
      // A read of a block that still grows may be older than what its reader knows to be there.
      const shared = `${key}:${Math.min(upto, start + PAGE_EVENTS)}`
      const pending = loading.get(shared) ?? load(key, channel, start).finally(() => loading.delete(shared))
      loading.set(shared, pending)
      return (await pending).filter(({ seq }) => seq > after)
    },
  }
}

/** Seq before the first of the block that `after` + 1 is in. */
function startOf(after: number): number {
  return after - (after % PAGE_EVENTS)
}

function costOf(block: Block): number {
  return block.reduce((sum, event) => sum + event.cost, 0)
}
