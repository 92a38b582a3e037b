/** How small an import's progress is on the wire: bytes of batches against plain JSON, as they are encoded. */
import { expect, test } from 'bun:test'
import { importReports, type Report } from '../../bench/support/import-reports.ts'
import type { Frame, Framing } from '../../lib/protocol/codec.ts'
import { EncodedEvent } from '../../lib/realtime/tail.ts'
import { Window } from '../../lib/realtime/window.ts'

/** As many as 40 a second are in half a second. */
const BATCH = 20
const EVENTS = 2000
const STEP_MS = 25

const jobIds = [
  '6f1c0a4b7d2e4f0f9a3b5c7d9e1f2a3b',
  '0b9e2d7c41f84a6d8c35e7f9a1b2c3d4',
  'c1370502d09a30859cc96fdcaa90921c',
  '159454bc99c6e5228d51b51247fff0e6',
]

function eventOf({ job, ...report }: Report, index: number): EncodedEvent {
  return new EncodedEvent({
    channel: 'jobs',
    seq: index + 1,
    type: 'job_progress',
    timestamp: new Date(Date.UTC(2025, 10, 22, 22, 15) + index * STEP_MS).toISOString(),
    data: JSON.stringify({ job_id: jobIds[job], photo_id: 1200 + job, session_id: 12, ...report }),
  })
}

const events = importReports(EVENTS).map(eventOf)

/** On the wire, with the header of RFC 6455 §5.2. */
function bytesOf(frame: Frame): number {
  const { length } = Buffer.from(frame)
  return length + (length < 126 ? 2 : 4)
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0)
const plainBytes = (framing: Framing) => sum(events.map((event) => bytesOf(event.frame(framing))))

function batchedBytes(framing: Framing, conflate: boolean): number {
  const window = new Window(conflate)
  const batches = events.flatMap((event) => {
    window.add(event)
    return event.seq % BATCH === 0 ? window.take('jobs', event.seq - BATCH, event.seq) : []
  })
  return sum(batches.map((batch) => bytesOf(batch.frame(framing))))
}

const plain = plainBytes('json')

// `npm run bench:bytes` measures the same over sockets; the bounds are a little above what it sees.
test.each([
  ['json', 1, 1.01, 0.22],
  ['msgpack', 0.88, 0.87, 0.19],
  ['deflate', 0.87, 0.155, 0.087],
] as const)(
  'of plain JSON, %s takes at most %d, in batches of twenty %d, and conflated %d',
  (framing, single, batched, conflated) => {
    const shares = [plainBytes(framing), batchedBytes(framing, false), batchedBytes(framing, true)].map(
      (bytes) => bytes / plain,
    )

    expect(shares[0]).toBeLessThanOrEqual(single)
    expect(shares[1]).toBeLessThanOrEqual(batched)
    expect(shares[2]).toBeLessThanOrEqual(conflated)
  },
)
