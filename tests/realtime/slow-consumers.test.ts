/** Slow consumers, the short form: tail, pages of the journal, sweep and the way back are all used. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { openAudience, readMetric, stamp } from '../../bench/support/audience.ts'
import type { StoredEvent } from '../../lib/protocol/events.ts'
import { createPages } from '../../lib/realtime/pages.ts'
import { createReaders, type Follower } from '../../lib/realtime/reader.ts'
import type { Socket } from '../../lib/realtime/socket.ts'
import { createTail } from '../../lib/realtime/tail.ts'
import { createFilterQuota } from '../../lib/realtime/filter-quota.ts'
import { Following } from '../../lib/realtime/following.ts'
import { webSocketMedium } from '../../lib/realtime/medium.ts'
import { PLAIN } from '../../lib/realtime/topic.ts'
import { createTopics, type Topics } from '../../lib/realtime/topics.ts'
import { createRandom } from '../support/random.ts'
import { startTestServer, type TestServer } from '../support/server.ts'

setDefaultTimeout(120_000)

const KIB = 1024
/** Far more than the kernel takes for a socket that is not read, so that bytes wait in the server itself. */
const EVENT_BYTES = 32 * KIB
const BACKLOG_EVENTS = 180

/** Hands out `count` events of about that many bytes; answers when the last is durable. */
async function pour({ server }: TestServer, count: number, bytes: number): Promise<void> {
  const pad = 'x'.repeat(bytes - 200)
  const session = { type: 'session_created', session_id: 1, import_folder: pad } as const
  for (let done = 0; done < count; done += 10) {
    const writes = Array.from({ length: 10 }, () => server.publish({ ...session, session_name: stamp() }))
    await Promise.all(writes)
  }
}

/** Lets the loop run until it holds: the test's own time limit is the only clock. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve))
}

test('subscribers that stall lose nothing, repeat nothing and become live again', async () => {
  await using server = await startTestServer({ QUEUED_BYTES_MAX: 4 * KIB * KIB, TAIL_BYTES: 512 * KIB })
  const { url, token } = server
  using audience = await openAudience({ url, token, channel: 'sessions', subscribers: 60, stalled: 12 })

  audience.stall()
  await pour(server, BACKLOG_EVENTS, EVENT_BYTES)
  const moves = await readMetric(url, 'lightwire_slow_moves_total')
  const behind = audience.size - audience.complete(BACKLOG_EVENTS)
  audience.resume()
  await pour(server, 40, EVENT_BYTES)
  await until(() => audience.complete(BACKLOG_EVENTS + 40) === audience.size || audience.faults().length > 0)
  while ((await readMetric(url, 'lightwire_readers')) > 0);

  expect(audience.faults()).toEqual([])
  expect(moves).toBeGreaterThanOrEqual(12)
  expect(behind).toBeGreaterThanOrEqual(12)
  expect(await readMetric(url, 'lightwire_dropped_total')).toBe(0)
  expect(await readMetric(url, 'lightwire_bugs_total')).toBe(0)
})

test('subscribers that stall and read at random get events of every size once and in order', async () => {
  await using server = await startTestServer({ QUEUED_BYTES_MAX: 2 * KIB * KIB, TAIL_BYTES: 256 * KIB })
  const { url, token } = server
  using audience = await openAudience({ url, token, channel: 'sessions', subscribers: 40, stalled: 30 })
  const random = createRandom(20_261_122)

  let events = 0
  for (let turn = 0; turn < 24; turn += 1) {
    if (random.chance(0.5)) audience.stall()
    else audience.resume()
    await pour(server, 20, random.pick([400, 4 * KIB, 40 * KIB]))
    events += 20
  }
  audience.resume()
  await until(() => audience.complete(events) === audience.size || audience.faults().length > 0)

  expect(audience.faults()).toEqual([])
  expect(await readMetric(url, 'lightwire_slow_moves_total')).toBeGreaterThan(0)
  expect(await readMetric(url, 'lightwire_dropped_total')).toBe(0)
})

test('hundreds that resume at the same place all become live, a few pages read at a time', async () => {
  // Whole blocks only: one that still grows is read anew by each, which would hide a reader nobody wakes.
  const head = 1024
  let reading = 0
  let readingMost = 0
  const journal = {
    async read(_channel: string, after: number, limit: number) {
      readingMost = Math.max(readingMost, (reading += 1))
      await new Promise((resolve) => setImmediate(resolve))
      reading -= 1
      return Array.from({ length: Math.min(limit, head - after) }, (_, index) =>
        storedEvent(after + 1 + index),
      )
    },
  }
  const publisher = { publish: () => 1 }
  const topics = createTopics({
    publisher,
    heads: { jobs: head },
    filtersMax: 0,
    beforePublish: ignore,
    onDelivered: ignore,
    onDropped: ignore,
    onPublished: ignore,
    onReleased: ignore,
  })
  const pages = createPages(journal, createTail(64 * KIB))
  const options = {
    pages,
    highWaterBytes: () => 256 * KIB,
    onDelivered: ignore,
    onError: ignore,
  }
  const readers = createReaders(options)
  const positions = Array.from({ length: 300 }, (_, index) => (index % 3) * 100)
  const followers = positions.map((position) => new FakeFollower(topics, position))

  for (const follower of followers) readers.wake(follower)
  for (let turn = 0; turn < 10_000 && followers.some(({ isLive }) => !isLive); turn += 1) {
    await new Promise((resolve) => setTimeout(resolve, 1))
  }

  expect(followers.filter(({ isLive }) => !isLive)).toEqual([])
  expect(followers.map(({ frames }) => frames)).toEqual(positions.map((position) => head - position))
  expect(readingMost).toBeLessThanOrEqual(8)
})

const ignore = () => undefined

function storedEvent(seq: number): StoredEvent {
  return {
    channel: 'jobs',
    seq,
    type: 'job_progress',
    timestamp: '2025-11-22T22:15:00.123Z',
    data: '{"progress":1}',
  }
}

/** A connection whose socket takes everything at once, so that no `drain` ever wakes it. */
class FakeFollower implements Follower {
  readonly isOpen = true
  readonly onMoved = ignore
  readonly onOvertaken = ignore
  frames = 0
  readonly following: Following

  constructor(topics: Topics, position: number) {
    const socket: Socket = {
      readyState: 1,
      send: () => 1,
      cork: (send) => send(),
      getBufferedAmount: () => 0,
      subscribe: ignore,
      unsubscribe: ignore,
      ping: () => 1,
      pause: ignore,
      resume: ignore,
      close: ignore,
      terminate: ignore,
    }
    this.following = new Following(
      { socket, medium: webSocketMedium('json'), principal: undefined, send: ignore },
      { topics, filters: createFilterQuota() },
    )
    this.following.follow('jobs', PLAIN, position, { keep: false })
  }

  unsentBytes = () => 0
  sendBatch = () => 1
  sendEvent = () => (this.frames += 1)
  cork = (send: () => void) => send()

  get isLive(): boolean {
    return this.following.subscriptions.get('jobs')?.live === true
  }
}
