/** Sliding windows against a plain list of times, keys that come and go, and a table of what is counted when. */
import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { createLimiter, SlidingWindow } from '../../lib/access/limits.ts'

const RUNS = 64

/** Steps in time, often none, sometimes as long as the window. */
const steps = (windowMs: number) =>
  fc.array(
    fc.oneof(
      { weight: 4, arbitrary: fc.constant(0) },
      { weight: 4, arbitrary: fc.integer({ min: 0, max: Math.ceil(windowMs / 20) }) },
      { weight: 1, arbitrary: fc.integer({ min: 0, max: windowMs + 1 }) },
      { weight: 1, arbitrary: fc.double({ min: 0, max: windowMs, noNaN: true }) },
    ),
    { minLength: 1, maxLength: 400 },
  )

const within = (times: readonly number[], now: number, span: number) =>
  times.filter((time) => time > now - span && time <= now).length

test('up to 256 events a window admits exactly what a list of times does', () => {
  const cases = fc
    .record({ limit: fc.integer({ min: 1, max: 256 }), windowMs: fc.integer({ min: 1, max: 2000 }) })
    .chain((rate) => fc.tuple(fc.constant(rate), steps(rate.windowMs)))
  fc.assert(
    fc.property(cases, ([rate, gaps]) => {
      const window = new SlidingWindow(rate)
      const admitted: number[] = []
      let now = 0
      for (const gap of gaps) {
        now += gap
        const room = within(admitted, now, rate.windowMs) < rate.limit
        expect(window.take(now)).toBe(room)
        if (room) admitted.push(now)
        const used = within(admitted, now, rate.windowMs)
        expect(window.standing(now).remaining).toBe(rate.limit - used)
        expect(window.isIdle(now)).toBe(used === 0)
      }
    }),
    { numRuns: 300, seed: 7 },
  )
})

test('above 256 no window holds more, and a refusal is right to within a 64th of the window', () => {
  // Times as the limiter would see them were the limit 300: many at once, so that it is reached.
  const cases = fc
    .record({ limit: fc.integer({ min: 257, max: 400 }), windowMs: fc.integer({ min: 64, max: 6400 }) })
    .chain((rate) =>
      fc.tuple(
        fc.constant(rate),
        fc.array(fc.tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 0, max: rate.windowMs >> 3 })), {
          minLength: 20,
          maxLength: 80,
        }),
      ),
    )
  let refusals = 0
  fc.assert(
    fc.property(cases, ([rate, bursts]) => {
      const window = new SlidingWindow(rate)
      const admitted: number[] = []
      let now = 0
      for (const [size, gap] of bursts) {
        now += gap
        for (let index = 0; index < size; index += 1) {
          if (window.take(now)) {
            admitted.push(now)
            expect(within(admitted, now, rate.windowMs)).toBeLessThanOrEqual(rate.limit)
          } else {
            refusals += 1
            expect(within(admitted, now, rate.windowMs * (1 + 1 / RUNS))).toBeGreaterThanOrEqual(rate.limit)
          }
        }
      }
    }),
    { numRuns: 200, seed: 8 },
  )
  expect(refusals).toBeGreaterThan(1000)
})

test('what a refused one is told to wait is just long enough', () => {
  const window = new SlidingWindow({ limit: 2, windowMs: 1000 })
  window.take(0)
  window.take(300)

  const { remaining, waitMs } = window.standing(400)

  expect({ remaining, waitMs }).toEqual({ remaining: 0, waitMs: 600 })
  expect(window.take(999)).toBe(false)
  expect(window.take(1000)).toBe(true)
  expect(window.take(1000)).toBe(false)
  expect(window.take(1300)).toBe(true)
})

test('12,000 events within 60 s are remembered in under 70 runs', () => {
  const window = new SlidingWindow({ limit: 12_000, windowMs: 60_000 })
  for (let index = 0; index < 12_000; index += 1) expect(window.take(index * 5)).toBe(true)

  const { times } = window as unknown as { times: Float64Array }

  expect(window.take(59_999)).toBe(false)
  expect(times.length).toBeLessThanOrEqual(128)
})

function clocked(limit: number, keysMax = 100_000) {
  const clock = { ms: 0 }
  const rate = { limit, windowMs: 1000 }
  return { clock, limiter: createLimiter({ rate, keysMax, monotonicMs: () => clock.ms }) }
}

test('keys are counted apart', () => {
  const { limiter } = clocked(1)

  const admitted = ['ann', 'bob', 'ann', 'bob'].map((key) => limiter.take(key).admitted)

  expect(admitted).toEqual([true, true, false, false])
})

test('a key that counts nothing any more costs nothing', () => {
  const { clock, limiter } = clocked(5)
  for (let index = 0; index < 1000; index += 1) limiter.take(`key ${index}`)
  clock.ms = 1000
  limiter.take('key 7')
  clock.ms = 2000

  limiter.forgetIdle()

  expect(limiter.size()).toBe(1)
  clock.ms = 3000
  limiter.forgetIdle()
  expect(limiter.size()).toBe(0)
})

test('a key is remembered for a whole window, whenever it began', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 1500 }), { maxLength: 60 }), (gaps) => {
      const { clock, limiter } = clocked(1)
      let lastMs = -Infinity
      for (const gap of gaps) {
        clock.ms += gap
        limiter.take('other')
        const { admitted } = limiter.take('key')
        expect(admitted).toBe(clock.ms - lastMs >= 1000)
        if (admitted) lastMs = clock.ms
      }
    }),
    { seed: 9 },
  )
})

test('what is refused does not keep a key alive', () => {
  const { clock, limiter } = clocked(1)
  limiter.take('flood')
  for (clock.ms = 1; clock.ms < 1000; clock.ms += 1) expect(limiter.take('flood').admitted).toBe(false)

  clock.ms = 1000

  expect(limiter.take('flood').admitted).toBe(true)
})

test('asking where a key stands counts nothing and makes no key', () => {
  const { limiter } = clocked(2)

  expect(limiter.standing('nobody')).toEqual({ admitted: true, remaining: 2, waitMs: 1000 })
  expect(limiter.size()).toBe(0)
})

test('there are never more keys than are allowed; those not heard of for longest go', () => {
  const { clock, limiter } = clocked(1, 4)
  for (const key of ['a', 'b', 'c', 'd', 'e']) {
    clock.ms += 10
    limiter.take(key)
    expect(limiter.size()).toBeLessThanOrEqual(4)
  }

  expect(['c', 'd', 'e'].map((key) => limiter.take(key).admitted)).toEqual([false, false, false])
  expect(limiter.take('a').admitted).toBe(true)
})

test('a key that is still remembered is counted on, also where it makes room for itself', () => {
  const { limiter } = clocked(3, 4)
  for (const key of ['a', 'a', 'b', 'c', 'd']) limiter.take(key)

  expect(limiter.take('a')).toMatchObject({ admitted: true, remaining: 0 })
  expect(limiter.take('a').admitted).toBe(false)
})
