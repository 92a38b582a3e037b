/** Readers over a journal in memory: what they say to whom they read for. */
import { expect, test } from 'bun:test'
import { parseFilter } from '../../lib/protocol/filter.ts'
import { createFilterQuota } from '../../lib/realtime/filter-quota.ts'
import { Following } from '../../lib/realtime/following.ts'
import { webSocketMedium } from '../../lib/realtime/medium.ts'
import { createPages } from '../../lib/realtime/pages.ts'
import { createReaders } from '../../lib/realtime/reader.ts'
import type { Socket } from '../../lib/realtime/socket.ts'
import { createTail, EncodedEvent } from '../../lib/realtime/tail.ts'
import { createTopics } from '../../lib/realtime/topics.ts'

const ignore = () => undefined
const HEAD = 2

test('whoever reads on with a filter moves, and hears of it, where everything passes it by', async () => {
  const topics = createTopics({
    publisher: { publish: () => 1 },
    heads: { jobs: HEAD },
    filtersMax: 0,
    beforePublish: ignore,
    onDelivered: ignore,
    onDropped: ignore,
    onPublished: ignore,
    onReleased: ignore,
  })
  const tail = createTail(1_000_000)
  for (let seq = 1; seq <= HEAD; seq += 1) tail.push(progressOf('b', seq))
  const readers = createReaders({
    pages: createPages({ read: () => Promise.resolve([]) }, tail),
    highWaterBytes: () => 1_000_000,
    onDelivered: ignore,
    onError: ignore,
  })
  const following = new Following(
    // Nothing is sent here.
    { socket: {} as Socket, medium: webSocketMedium('json'), principal: undefined, send: ignore },
    { topics, filters: createFilterQuota() },
  )
  const filter = parseFilter({ job_id: 'a' }, ['jobs'])
  following.follow('jobs', { filter, batchMs: 0, conflate: false }, 0, { keep: false })
  const arrived = Promise.withResolvers<void>()

  readers.wake({
    isOpen: true,
    following,
    unsentBytes: () => 0,
    cork: (send) => send(),
    sendEvent: () => 1,
    sendBatch: () => 1,
    // A pong that waits looks at the position here, and nowhere else until the next event.
    onMoved: () => void (following.hasReached({ jobs: HEAD }) && arrived.resolve()),
    onOvertaken: ignore,
  })
  await arrived.promise

  expect(following.cursor('e')).toBe(`e:jobs=${HEAD}`)
})

function progressOf(job_id: string, seq: number): EncodedEvent {
  const data = JSON.stringify({ job_id, progress: seq, stage: 'develop', message: '' })
  return new EncodedEvent({
    channel: 'jobs',
    seq,
    type: 'job_progress',
    timestamp: '2026-01-01T00:00:00.000Z',
    data,
  })
}
