import { expect, test } from 'bun:test'
import { deflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import { Packr } from 'msgpackr'
import { decodeFrame, encodeMessage, framings, negotiate } from '../../lib/protocol/codec.ts'
import { Refusal } from '../../lib/protocol/refusals.ts'

const FRAME_BYTES = 65_536
const packr = new Packr({ useRecords: false })
const refusalOf = (act: () => unknown) => {
  try {
    act()
  } catch (error) {
    if (error instanceof Refusal) return error.code
    throw error
  }
  return undefined
}

test('every JSON value comes back the same in every framing', () => {
  const json = fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue({ maxDepth: 5 }))
  fc.assert(
    fc.property(json, (fields) => {
      const message = { ...fields, type: 'x' }
      const expected = JSON.parse(JSON.stringify(message))

      const decoded = framings.map((framing) =>
        decodeFrame(framing === 'json' ? 'json' : framing, encodeMessage(framing, message), 1_048_576),
      )

      for (const value of decoded) expect(value).toEqual(expected)
    }),
    { numRuns: 500, seed: 20_261_122 },
  )
})

test.each([2 ** 32, 6_000_000_000, 2 ** 53, 2 ** 60, 2 ** 63, -(2 ** 31) - 1, -(2 ** 62)])(
  'the integer %p stays an integer in MessagePack',
  (size) => {
    const frame = encodeMessage('msgpack', { size }) as Uint8Array

    // 0xcf is uint 64 and 0xd3 int 64; 0xcb would be a float, which Python reads as 6000000000.0.
    expect([0xcf, 0xd3]).toContain(frame.at(-9) ?? 0)
    expect(decodeFrame('msgpack', frame, FRAME_BYTES)).toEqual({ size })
  },
)

test('an undefined field is absent in every framing', () => {
  for (const framing of framings) {
    expect(decodeFrame(framing, encodeMessage(framing, { type: 'x', gone: undefined }), FRAME_BYTES)).toEqual(
      {
        type: 'x',
      },
    )
  }
})

test('a long message is compressed in the deflate framing, a short one is not', () => {
  const long = encodeMessage('deflate', { text: 'photo '.repeat(200) }) as Uint8Array
  const short = encodeMessage('deflate', { text: 'photo' }) as Uint8Array

  expect([long[0], short[0]]).toEqual([1, 0])
  expect(long.length).toBeLessThan(100)
})

const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`
const deep = (depth: number) => Buffer.concat([Buffer.alloc(depth, 0x91), Buffer.from([0xc0])])

test.each([
  ['text that is not JSON', '{"type":'],
  ['an empty text', ''],
  ['JSON nested 33 deep', nested(33)],
  ['a lone surrogate', '{"type":"\\ud800"}'],
  ['a lone surrogate in a key', '{"\\udfff":1}'],
  ['a key that would be the prototype', '{"a":{"__proto__":{"b":1}}}'],
])('JSON: %s is refused', (_, frame) => {
  expect(refusalOf(() => decodeFrame('json', frame, FRAME_BYTES))).toBe('invalid_message')
})

test.each([
  ['nothing', Buffer.alloc(0)],
  ['a map cut short', Buffer.from([0x81, 0xa1])],
  ['a string longer than the frame', Buffer.from([0xdb, 0xff, 0xff, 0xff, 0xff, 0x61])],
  ['an array that claims four billion values', Buffer.from([0xdd, 0xff, 0xff, 0xff, 0xff, 0xc0])],
  ['a map that claims four billion pairs', Buffer.from([0xdf, 0xff, 0xff, 0xff, 0xff, 0xa1, 0x61, 0xc0])],
  ['nesting 33 deep', deep(33)],
  ['nesting 60,000 deep', deep(60_000)],
  ['an extension type', Buffer.from([0xd4, 0x01, 0x00])],
  ['a timestamp', Buffer.from([0xd6, 0xff, 0, 0, 0, 0])],
  ['a msgpackr record', new Packr({ useRecords: true }).pack({ a: 1 })],
  ['binary data', Buffer.from([0xc4, 0x01, 0x00])],
  ['the byte that is never used', Buffer.from([0xc1])],
  ['a key that is no string', Buffer.from([0x81, 0x01, 0xc0])],
  ['a string that is not UTF-8', Buffer.from([0xa2, 0xc3, 0x28])],
  ['not a number', packr.pack({ n: Number.NaN })],
  ['infinity', packr.pack({ n: Number.POSITIVE_INFINITY })],
  ['a key that would be the prototype', Buffer.from([0x81, 0xa9, ...Buffer.from('__proto__'), 0xc0])],
  ['two values', Buffer.from([0xc0, 0xc0])],
])('MessagePack: %s is refused', (_, frame) => {
  expect(refusalOf(() => decodeFrame('msgpack', new Uint8Array(frame), FRAME_BYTES))).toBe('invalid_message')
})

test('JSON nested 32 deep and MessagePack nested 32 deep are read', () => {
  expect(() => decodeFrame('json', nested(32), FRAME_BYTES)).not.toThrow()
  expect(() => decodeFrame('msgpack', deep(32), FRAME_BYTES)).not.toThrow()
})

test('a frame that inflates beyond the bound is too large, whatever its own size', () => {
  const bomb = Buffer.concat([Buffer.from([1]), deflateRawSync(Buffer.alloc(10_000_000, 0x20))])

  expect(bomb.length).toBeLessThan(FRAME_BYTES)
  expect(refusalOf(() => decodeFrame('deflate', bomb, FRAME_BYTES))).toBe('too_large')
})

test.each([
  ['another first byte', Buffer.from([2, 0xc0])],
  ['bytes that are no DEFLATE', Buffer.from([1, 0xff, 0xff, 0xff])],
  ['nothing', Buffer.alloc(0)],
])('deflate: %s is refused', (_, frame) => {
  expect(refusalOf(() => decodeFrame('deflate', frame, FRAME_BYTES))).toBe('invalid_message')
})

test('mutated frames are refused or read, never more than that', () => {
  const sample = encodeMessage('msgpack', {
    type: 'publish',
    event: { type: 'job_progress', list: [1, 'a', null, 2.5] },
  })
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { minLength: 1, maxLength: 6 }), (changes) => {
      const frame = Uint8Array.from(sample as Uint8Array)
      for (const [at, byte] of changes) frame[at % frame.length] = byte

      expect([undefined, 'invalid_message']).toContain(
        refusalOf(() => decodeFrame('msgpack', frame, FRAME_BYTES)),
      )
    }),
    { numRuns: 5000, seed: 7 },
  )
})

test.each([
  [null, null, 'json', undefined],
  ['lightwire.v1.json', null, 'json', 'lightwire.v1.json'],
  ['lightwire.v1.msgpack', null, 'msgpack', 'lightwire.v1.msgpack'],
  ['lightwire.v1.deflate', null, 'deflate', 'lightwire.v1.deflate'],
  ['soap, lightwire.v1.msgpack, lightwire.v1.json', null, 'msgpack', 'lightwire.v1.msgpack'],
  ['bearer.abc.def, lightwire.v1.json', null, 'json', 'lightwire.v1.json'],
  [null, 'msgpack', 'msgpack', undefined],
  [null, 'deflate', 'deflate', undefined],
] as const)('subprotocols %p and format %p make %p', (offered, format, framing, answer) => {
  expect(negotiate(offered, format)).toMatchObject({ framing, ...(answer === undefined ? {} : { answer }) })
  expect(negotiate(offered, format).answer).toBe(answer)
})

test.each([
  ['soap', null],
  ['bearer.abc', null],
  [null, 'xml'],
  ['lightwire.v2.json', null],
])('subprotocols %p and format %p have nothing in common with us', (offered, format) => {
  expect(refusalOf(() => negotiate(offered, format))).toBe('unsupported_protocol')
})
