import { expect, test } from 'bun:test'
import { createSignal } from '../lib/signal.ts'

const never = new AbortController().signal

test('a job that came between the look and the wait ends the wait at once', async () => {
  const signal = createSignal(never)
  const seen = signal.version()

  signal.wake()

  await signal.wait(seen, 3_600_000, never)
  expect(signal.version()).toBe(seen + 1)
})

test('each job wakes one waiter, in the order they came; one that left is passed over', async () => {
  const signal = createSignal(never)
  const gone = new AbortController()
  const woken: string[] = []
  const wait = async (name: string, aborted = never) => {
    await signal.wait(signal.version(), 3_600_000, aborted)
    woken.push(name)
  }
  const waits = [wait('left', gone.signal), wait('first'), wait('second')]

  gone.abort()
  signal.wake()
  signal.wake()
  await Promise.all(waits)

  expect(woken).toEqual(['left', 'first', 'second'])
})

test('when the server stops every wait ends, and nobody waits any more', async () => {
  const stopping = new AbortController()
  const signal = createSignal(stopping.signal)
  const waits = [1, 2].map(() => signal.wait(signal.version(), 3_600_000, never))

  stopping.abort()

  await Promise.all([...waits, signal.wait(signal.version(), 3_600_000, never)])
  expect(signal.waiting()).toBe(0)
})
