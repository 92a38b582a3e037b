/** A subscriber of every channel that outlives the server: it comes back with its cursor and keeps one record. */
import { channels } from '../../lib/protocol/events.ts'
import { formatCursor, parseCursor, type Positions } from '../../lib/protocol/cursor.ts'
import { TestClient, type Message } from '../support/client.ts'
import type { StoreCopy } from './store-copy.ts'

/** Events between two pings, whose pongs show cursors. */
const PING_EVERY = 50

export function createFollower(token: () => string) {
  const record: Message[] = []
  const shown: string[] = []
  let epoch = ''
  let positions: Positions = {}
  let client: TestClient | undefined

  function take(message: Message): void {
    if (typeof message['cursor'] === 'string') shown.push(message['cursor'])
    if (typeof message['seq'] !== 'number') return
    record.push(message)
    positions = { ...positions, [String(message['channel'])]: message['seq'] }
    if (record.length % PING_EVERY === 0) client?.send({ type: 'ping' })
  }

  return {
    /** Every event received, over all connections. */
    record,
    /** Every cursor received. */
    shown,
    cursor: () => formatCursor({ epoch, positions }),

    /** Connects and subscribes since the cursor, if it has one; the answer's recovery. */
    async join(url: string): Promise<Record<string, { status: string; reason?: string }>> {
      const socketUrl = `${url.replace('http', 'ws')}/ws`
      client = new TestClient({ url: socketUrl, token: token(), onMessage: take })
      await client.opened
      const confirmed = await client.subscribe(
        channels,
        epoch === '' ? undefined : formatCursor({ epoch, positions }),
      )
      const cursor = parseCursor(String(confirmed['cursor']))
      if (epoch === '') positions = { ...cursor.positions }
      epoch = cursor.epoch
      return confirmed['recovery'] as Record<string, { status: string; reason?: string }>
    },

    /** Everything committed by now has arrived when this resolves. */
    sync: async () => void (await client?.sync()),
    gone: async () => void (await client?.closed),
    leave: () => client?.terminate(),
  }
}

export type Follower = ReturnType<typeof createFollower>

/** Where a record is not what the journal says: a gap, a repetition, another content, or what is not there. */
export function recordFaults(record: readonly Message[], { events }: Pick<StoreCopy, 'events'>): string[] {
  const journal = new Map(events.map((event) => [`${event.channel} ${event.seq}`, event]))
  const last = new Map<unknown, number>()
  return record.flatMap(({ channel, seq, ...fields }) => {
    const place = `${String(channel)} ${String(seq)}`
    const before = last.get(channel)
    last.set(channel, Number(seq))
    const stored = journal.get(place)
    if (!stored) return [`${place} was published and is not in the journal`]
    if (before !== undefined && seq !== before + 1) return [`${place} came after ${before}`]
    const same = Bun.deepEquals(fields, { type: stored.type, timestamp: stored.timestamp, ...stored.data })
    return same ? [] : [`${place} was published with another content`]
  })
}

/** Cursors that lie beyond what the journal holds. */
export function cursorFaults(cursors: readonly string[], { heads }: Pick<StoreCopy, 'heads'>): string[] {
  return cursors.filter((cursor) =>
    Object.entries(parseCursor(cursor).positions).some(([channel, seq]) => seq > (heads[channel] ?? 0)),
  )
}
