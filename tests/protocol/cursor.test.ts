import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { formatCursor, parseCursor, type Positions } from '../../lib/protocol/cursor.ts'
import { channels } from '../../lib/protocol/events.ts'

test('a cursor names its channels in alphabetic order', () => {
  expect(formatCursor({ epoch: 'k3v9q2', positions: { photos: 88, jobs: 120 } })).toBe(
    'k3v9q2:jobs=120,photos=88',
  )
})

test('every cursor reads back as it was written', () => {
  const positions = fc.dictionary(fc.constantFrom(...channels), fc.maxSafeNat()) as fc.Arbitrary<Positions>
  fc.assert(
    fc.property(fc.stringMatching(/^[a-z0-9]{1,32}$/), positions, (epoch, held) => {
      const cursor = parseCursor(formatCursor({ epoch, positions: held }))

      expect(cursor.epoch).toBe(epoch)
      expect({ ...cursor.positions }).toEqual({ ...held })
    }),
    { seed: 7 },
  )
})

test.each([
  '',
  'jobs=1',
  ':jobs=1',
  'E:jobs=1',
  'e:jobs',
  'e:jobs=',
  'e:jobs=-1',
  'e:jobs=01',
  'e:jobs=1.5',
  'e:jobs=1e3',
  'e:jobs=9007199254740993',
  'e:jobs=1,',
  'e:jobs=1,jobs=2',
  'e:cats=1',
  'e:jobs=1=2',
  'e: jobs=1',
  `e:${'jobs=1,'.repeat(200)}`,
])('%p is no cursor', (text) => {
  expect(() => parseCursor(text)).toThrow(/expected a cursor/)
})
