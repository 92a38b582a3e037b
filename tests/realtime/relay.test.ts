/** The relay where other nodes write: what was missed is read from the journal and handed out in order. */
import { expect, test } from 'bun:test'
import type { StoredEvent } from '../../lib/protocol/events.ts'
import { createRelay } from '../../lib/realtime/relay.ts'

const HEAD = 2200

const stored = (seq: number): StoredEvent => ({
  channel: 'system',
  seq,
  timestamp: '2026-01-01T00:00:00.000Z',
  type: 'system_status',
  data: '{}',
})

test('a long gap is handed out page by page while it is read, in order and once', async () => {
  const closed = Promise.withResolvers<void>()
  const deliveries: number[][] = []
  const relay = createRelay({
    journal: {
      read: (_channel, after, limit) =>
        Promise.resolve(
          Array.from({ length: Math.min(limit, HEAD - after) }, (_, n) => stored(after + 1 + n)),
        ),
    },
    heads: { system: 0 },
    deliver(events) {
      deliveries.push(events.map(({ seq }) => seq))
      if (events.at(-1)?.seq === HEAD) closed.resolve()
    },
    coalesceMs: 0,
    onError: closed.reject,
    observeDelay: () => undefined,
  })

  relay.hint({ system: HEAD })
  await closed.promise

  expect(deliveries.map(({ length }) => length)).toEqual([500, 500, 500, 500, 200])
  expect(deliveries.flat()).toEqual(Array.from({ length: HEAD }, (_, n) => n + 1))
})
