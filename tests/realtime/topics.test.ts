import { expect, test } from 'bun:test'
import { framings, type Frame } from '../../lib/protocol/codec.ts'
import { parseFilter } from '../../lib/protocol/filter.ts'
import type { Socket } from '../../lib/realtime/socket.ts'
import { EncodedEvent } from '../../lib/realtime/tail.ts'
import type { Options } from '../../lib/realtime/topic.ts'
import { createTopics } from '../../lib/realtime/topics.ts'

const ignore = () => undefined

/** Topics over a publisher that writes down what it is handed, and how much the sweep was told. */
function setUp(filtersMax = 1000) {
  const published: [topic: string, frame: Frame][] = []
  const metered: number[] = []
  const topics = createTopics({
    publisher: { publish: (topic, frame) => published.push([topic, frame]) },
    heads: {},
    filtersMax,
    beforePublish: (bytes) => metered.push(bytes),
    onDelivered: ignore,
    onDropped: ignore,
    onPublished: ignore,
    onReleased: ignore,
  })
  let seq = 0
  const deliver = (...jobs: string[]) => {
    for (const job of jobs) {
      seq += 1
      const data = JSON.stringify({ job_id: job, progress: seq, stage: 'develop', message: 'x'.repeat(100) })
      const timestamp = '2026-01-01T00:00:00.000Z'
      topics.publish(new EncodedEvent({ channel: 'jobs', seq, type: 'job_progress', timestamp, data }))
    }
    topics.releaseDue()
  }
  return { topics, published, metered, deliver }
}

function socket(): Socket {
  return {
    readyState: 1,
    send: () => 1,
    getBufferedAmount: () => 0,
    subscribe: ignore,
    unsubscribe: ignore,
    cork: (send) => send(),
    ping: () => 1,
    pause: ignore,
    resume: ignore,
    close: ignore,
    terminate: ignore,
  }
}

const batched = (options: Partial<Options> = {}): Options => ({
  filter: undefined,
  batchMs: 0,
  conflate: false,
  ...options,
})
const only = (job_id: string) => parseFilter({ job_id }, ['jobs'])

test('however many sockets share a topic, a batch is encoded and published once per framing', () => {
  const { topics, published, deliver } = setUp()
  const topic = topics.hold('jobs', batched())
  for (let n = 0; n < 300; n += 1) topics.join(topic, framings[n % 3] ?? 'json', socket(), 0)

  deliver('a', 'b', 'c')

  expect(published.map(([name]) => name)).toEqual(framings.map((framing) => topic.nameOf(framing)))
})

test('subscribers with the same options share one topic; other options make another', () => {
  const { topics } = setUp()
  const topic = topics.hold('jobs', batched({ filter: only('a') }))

  const same = topics.hold('jobs', batched({ filter: parseFilter({ job_id: { in: ['a', 'a'] } }, ['jobs']) }))
  const others = [
    topics.hold('jobs', batched({ filter: only('b') })),
    topics.hold('jobs', batched({ filter: only('a'), batchMs: 100 })),
    topics.hold('jobs', batched({ filter: only('a'), conflate: true })),
    topics.hold('jobs', batched()),
  ]

  expect(same).toBe(topic)
  expect(new Set([topic, ...others]).size).toBe(5)
})

test('a topic whose last member has left does no work and holds nothing', () => {
  const { topics, published, deliver } = setUp()
  const topic = topics.hold('jobs', batched({ batchMs: 5000 }))
  const member = socket()
  topics.join(topic, 'json', member, 0)
  deliver('a')

  topics.leave(topic, 'json', member)
  deliver('b')

  expect(published).toEqual([])
  expect(topic.window?.isEmpty).toBe(true)
  expect(topic.timer).toBeUndefined()
  expect(topic.published).toBe(2)
})

test('a filter beyond the bound is not taken, and is when another has gone', () => {
  const { topics, published, deliver } = setUp(1)
  const [one, other] = [
    topics.hold('jobs', batched({ filter: only('a') })),
    topics.hold('jobs', batched({ filter: only('b') })),
  ]
  const member = socket()
  const joined = [topics.join(one, 'json', member, 0), topics.join(other, 'json', socket(), 0)]

  topics.leave(one, 'json', member)
  joined.push(topics.join(other, 'json', socket(), 0))
  deliver('a', 'b')

  expect(joined).toEqual([true, false, true])
  expect(published.map(([name]) => name)).toEqual([other.nameOf('json')])
})

test.each([{}, { batchMs: 0 }])('the sweep is told of no less than what a socket gets (%j)', (options) => {
  // Numbers of four characters have nine bytes in MessagePack.
  const data = JSON.stringify({
    job_id: 'a',
    result: Array.from({ length: 15_000 }, (_, n) => (n % 9) + 0.5),
  })
  const timestamp = '2026-01-01T00:00:00.000Z'
  const sizes = framings.map((framing) => {
    const { topics, published, metered } = setUp()
    topics.join(
      topics.hold('jobs', { filter: undefined, batchMs: undefined, conflate: false, ...options }),
      framing,
      socket(),
      0,
    )
    topics.publish(new EncodedEvent({ channel: 'jobs', seq: 1, type: 'job_completed', timestamp, data }))
    topics.releaseDue()
    const [frame = ''] = published.map(([, handed]) => handed)
    return { framing, handed: frame.length, told: metered.reduce((sum, bytes) => sum + bytes, 0) }
  })

  for (const { framing, handed, told } of sizes) expect([framing, told >= handed]).toEqual([framing, true])
  expect(sizes.find(({ framing }) => framing === 'msgpack')?.handed).toBeGreaterThan(130_000)
})

test('whoever is moved aside while a window is open reads on from before what it held', () => {
  const { topics, deliver } = setUp()
  const topic = topics.hold('jobs', batched({ batchMs: 5000 }))
  topics.join(topic, 'json', socket(), 0)

  deliver('a', 'b')

  expect([topic.published, topic.head, topic.covered]).toEqual([0, 2, 0])
  topics.stop()
})

test('a batch names as covered what members were told last, over what the filter passed by', () => {
  const { topics, published, deliver } = setUp()
  const topic = topics.hold('jobs', batched({ filter: only('a') }))
  topics.join(topic, 'json', socket(), 0)

  deliver('a', 'b')
  deliver('b', 'b')
  deliver('b', 'a', 'b')

  const batches = published.map(([, frame]) => JSON.parse(String(frame)) as { after: number; upto: number })
  expect(batches.map(({ after, upto }) => [after, upto])).toEqual([
    [0, 2],
    [2, 7],
  ])
})
