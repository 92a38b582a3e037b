import { expect, setDefaultTimeout, test } from 'bun:test'
import { readMetric } from '../../bench/support/audience.ts'
import { openRawSocket } from '../../bench/support/raw-socket.ts'
import { startTestServer } from '../support/server.ts'
import { batchesOf, subscribeWith, type ReceivedBatch } from './batches.ts'

setDefaultTimeout(120_000)

const KIB = 1024
const EVENT_BYTES = 30 * KIB
const EVENTS = 240

/** The test's own time limit is the only clock. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await Bun.sleep(5)
}

/** Positions that batches leave open, or give twice. */
function faultsOf(batches: readonly ReceivedBatch[]): string[] {
  let position = 0
  return batches.flatMap(({ after, upto, events }) => {
    const seqs = events.filter(({ seq }) => seq > position).map(({ seq }) => seq)
    const wanted = Array.from({ length: upto - position }, (_, n) => position + 1 + n)
    const hole = after > position || !Bun.deepEquals(seqs, wanted)
    const fault = hole ? [`after ${after} upto ${upto} at ${position}: ${seqs.join(' ')}`] : []
    position = Math.max(position, upto)
    return fault
  })
}

test('who is moved aside while its window holds events gets these too, and others of the topic lose none', async () => {
  await using server = await startTestServer({ QUEUED_BYTES_MAX: 4 * KIB * KIB, TAIL_BYTES: 512 * KIB })
  const options = { channels: ['sessions'], batch_ms: 50 }
  const quick = await server.connect()
  await subscribeWith(quick, options)
  const stalled = await Promise.all(
    Array.from({ length: 6 }, async () => {
      const batches: ReceivedBatch[] = []
      const onFrame = (payload: Buffer) => {
        const message = JSON.parse(payload.toString()) as { type: string }
        if (message.type === 'batch') batches.push(message as unknown as ReceivedBatch)
      }
      const { url, token } = server
      const socket = await openRawSocket({ url, token, receiveBufferBytes: 16 * KIB, onFrame })
      socket.send({ type: 'subscribe', ...options })
      return { socket, batches }
    }),
  )
  await until(() => server.server.clients().filter(({ channels }) => channels.length > 0).length === 7)
  for (const { socket } of stalled) socket.pause()
  const pad = 'x'.repeat(EVENT_BYTES)
  const event = { type: 'session_created', session_id: 1, session_name: 'a', import_folder: pad } as const
  for (let done = 0; done < EVENTS; done += 8)
    await Promise.all(Array.from({ length: 8 }, () => server.server.publish(event)))
  const moves = await readMetric(server.url, 'lightwire_slow_moves_total')

  for (const { socket } of stalled) socket.resume()
  const reached = (batches: readonly ReceivedBatch[]) => batches.at(-1)?.upto === EVENTS
  await until(() => reached(batchesOf(quick)) && stalled.every(({ batches }) => reached(batches)))

  expect(moves).toBeGreaterThanOrEqual(6)
  expect(faultsOf(batchesOf(quick))).toEqual([])
  for (const { socket, batches } of stalled) {
    expect(faultsOf(batches)).toEqual([])
    socket.terminate()
  }
})
