/** Frames that no honest client sends, in every framing: each gets its code or its close, and everybody else goes on. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { deflateRawSync, deflateSync, gzipSync } from 'node:zlib'
import { Packr } from 'msgpackr'
import { framings, type Framing } from '../../lib/protocol/codec.ts'
import { Inbox } from '../../lib/realtime/inbox.ts'
import type { Message, TestClient } from '../support/client.ts'
import { frameOf, openRawFrames } from '../support/raw-frames.ts'
import { startTestServer, type TestServer } from '../support/server.ts'

setDefaultTimeout(60_000)

const packr = new Packr({ useRecords: false })
const recorder = new Packr({ useRecords: true })
const bytes = (...parts: readonly (number | string | Uint8Array)[]) =>
  new Uint8Array(
    Buffer.concat(parts.map((part) => (typeof part === 'number' ? Buffer.from([part]) : Buffer.from(part)))),
  )
const prefixed = (first: number, rest: Uint8Array) => bytes(first, rest)
const deflated = (packed: Uint8Array) => prefixed(1, deflateRawSync(packed))

/** A code of an `error`, the type of another reply, or what the connection closes with. */
type Outcome = string | number

/** The attacks end; somebody who was there before still gets answers and events, and no bug was counted. */
async function unharmed(server: TestServer, act: () => Promise<void>): Promise<void> {
  const healthy = await server.connect()
  await healthy.subscribe(['system'])

  await act()

  await server.api('POST', '/api/system/status', { status: 'running' })
  expect(await healthy.next(({ status }) => status === 'running')).toMatchObject({ type: 'system_status' })
  const metrics = await (await fetch(`${server.url}/metrics`)).text()
  expect(metrics).toMatch(/^lightwire_bugs_total 0$/m)
  expect(metrics).toMatch(/^lightwire_dropped_total 0$/m)
}

/** What a frame brings about on a connection of its own. */
async function outcomeOf(
  server: TestServer,
  framing: Framing,
  frame: string | Uint8Array<ArrayBuffer>,
): Promise<Outcome> {
  const client = await server.connect({ framing })
  await client.next('connection_established')
  client.sendRaw(frame)
  const reply = await Promise.race([client.next(() => true), client.closed])
  const outcome = 'type' in reply ? shown(reply) : reply.code
  client.terminate()
  return outcome
}

const shown = (reply: Message): string => (reply.type === 'error' ? String(reply['code']) : reply.type)

const nested = (depth: number) => `{"type":"ping","x":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`

const texts: [name: string, text: string, outcome: Outcome][] = [
  ['nothing', '', 'invalid_message'],
  ['null', 'null', 'invalid_message'],
  ['a number', '5', 'invalid_message'],
  ['a bare type', '"ping"', 'invalid_message'],
  ['a list of messages', '[{"type":"ping"}]', 'invalid_message'],
  ['half a message', '{"type":"pi', 'invalid_message'],
  ['two messages', '{"type":"ping"}{"type":"ping"}', 'invalid_message'],
  ['bytes after the message', '{"type":"ping"}\u0000', 'invalid_message'],
  ['a byte order mark', '\ufeff{"type":"ping"}', 'invalid_message'],
  ['NaN', '{"type":"ping","x":NaN}', 'invalid_message'],
  ['a number beyond all', '{"type":"ping","x":1e400}', 'invalid_message'],
  ['a comment', '{"type":"ping"/**/}', 'invalid_message'],
  ['a key twice: the last one counts', '{"type":"ping","type":"nope"}', 'unknown_type'],
  ['a prototype', '{"type":"ping","__proto__":{"principal":1}}', 'invalid_message'],
  ['a prototype, escaped and deep', '{"type":"ping","x":[{"\\u005f_proto__":1}]}', 'invalid_message'],
  [
    'a constructor, which is a name like others',
    '{"type":"ping","constructor":{"prototype":{"x":1}}}',
    'pong',
  ],
  ['32 levels', nested(32), 'pong'],
  ['33 levels', nested(33), 'invalid_message'],
  ['60,000 levels, never closed', '['.repeat(60_000), 'invalid_message'],
  ['brackets in a text, which are no levels', `{"type":"ping","x":"${'['.repeat(60_000)}"}`, 'pong'],
  ['half a surrogate pair', '{"type":"ping","x":"\\ud800"}', 'invalid_message'],
  ['half a pair in a key', '{"type":"ping","\\udc00":1}', 'invalid_message'],
  ['60,000 keys of one letter', `{"type":"ping"${',"a":1'.repeat(10_000)}}`, 'pong'],
]

test.each(texts)('as text in each framing: %s', async (_, text, outcome) => {
  await using server = await startTestServer()

  await unharmed(server, async () => {
    const outcomes = await Promise.all(framings.map((framing) => outcomeOf(server, framing, text)))

    expect(outcomes).toEqual(framings.map(() => outcome))
  })
})

const message = (more: Uint8Array) => bytes(0x82, 0xa4, 'type', 0xa4, 'ping', 0xa1, 'x', more)
const u32 = [0xff, 0xff, 0xff, 0xff].map((byte) => bytes(byte))

const packed: [name: string, packed: Uint8Array<ArrayBuffer>, outcome: Outcome][] = [
  ['the byte that is never used', message(bytes(0xc1)), 'invalid_message'],
  ['an extension of one byte', message(bytes(0xd4, 1, 0)), 'invalid_message'],
  ['an extension of many', message(bytes(0xc7, 2, 0x70, 0, 0)), 'invalid_message'],
  ['a time', new Uint8Array(packr.pack({ type: 'ping', x: new Date(0) })), 'invalid_message'],
  [
    'a regular expression',
    new Uint8Array(new Packr({ moreTypes: true }).pack({ type: 'ping', x: /a+/ })),
    'invalid_message',
  ],
  ['a record of msgpackr', new Uint8Array(recorder.pack({ type: 'ping' })), 'invalid_message'],
  ['binary data', message(bytes(0xc4, 1, 0)), 'invalid_message'],
  ['NaN', message(bytes(0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0)), 'invalid_message'],
  ['infinity in 32 bits', message(bytes(0xca, 0x7f, 0x80, 0, 0)), 'invalid_message'],
  ['a text that is not UTF-8', message(bytes(0xa2, 0xc3, 0x28)), 'invalid_message'],
  ['an overlong slash', message(bytes(0xa2, 0xc0, 0xaf)), 'invalid_message'],
  ['half a surrogate pair', message(bytes(0xa3, 0xed, 0xa0, 0x80)), 'invalid_message'],
  ['a key that is a number', bytes(0x82, 0xa4, 'type', 0xa4, 'ping', 1, 1), 'invalid_message'],
  ['a key that is a map', bytes(0x82, 0xa4, 'type', 0xa4, 'ping', 0x80, 1), 'invalid_message'],
  ['a prototype', bytes(0x82, 0xa4, 'type', 0xa4, 'ping', 0xa9, '__proto__', 0x80), 'invalid_message'],
  [
    'a prototype, with its length in four bytes',
    bytes(0x82, 0xa4, 'type', 0xa4, 'ping', 0xdb, 0, 0, 0, 9, '__proto__', 0x80),
    'invalid_message',
  ],
  [
    'a key twice: the last one counts',
    bytes(0x82, 0xa4, 'type', 0xa4, 'ping', 0xa4, 'type', 0xa4, 'nope'),
    'unknown_type',
  ],
  ['half a map', bytes(0x82, 0xa4, 'type', 0xa4, 'ping'), 'invalid_message'],
  ['bytes after the message', bytes(0x81, 0xa4, 'type', 0xa4, 'ping', 0xc0), 'invalid_message'],
  ['a list of four billion', message(bytes(0xdd, ...u32)), 'invalid_message'],
  ['a map of four billion', message(bytes(0xdf, ...u32)), 'invalid_message'],
  ['a text of four billion', message(bytes(0xdb, ...u32, 0x61)), 'invalid_message'],
  ['33 levels', message(bytes(...Array.from({ length: 32 }, () => 0x91), 0xc0)), 'invalid_message'],
  ['60,000 levels', message(new Uint8Array(60_000).fill(0x91)), 'invalid_message'],
  [
    'an id that no double holds',
    bytes(0x82, 0xa4, 'type', 0xa4, 'ping', 0xa2, 'id', 0xcf, ...u32, ...u32),
    'invalid_message',
  ],
  [
    'an id written as 64 bits',
    bytes(0x82, 0xa4, 'type', 0xa4, 'ping', 0xa2, 'id', 0xd3, 0, 0, 0, 0, 0, 0, 0, 7),
    'pong',
  ],
  [
    'an id written as a float',
    bytes(0x82, 0xa4, 'type', 0xa4, 'ping', 0xa2, 'id', 0xca, 0x40, 0xe0, 0, 0),
    'pong',
  ],
  ['nil alone', bytes(0xc0), 'invalid_message'],
]

test.each(packed)('as MessagePack, packed and deflated: %s', async (_, frame, outcome) => {
  await using server = await startTestServer()

  await unharmed(server, async () => {
    const outcomes = await Promise.all([
      // Bytes are MessagePack on a connection of JSON too.
      outcomeOf(server, 'json', frame),
      outcomeOf(server, 'msgpack', frame),
      outcomeOf(server, 'deflate', prefixed(0, frame)),
      outcomeOf(server, 'deflate', deflated(frame)),
    ])

    expect<Outcome[]>(outcomes).toEqual(outcomes.map(() => outcome))
  })
})

const ping = new Uint8Array(packr.pack({ type: 'ping' }))
const large = new Uint8Array(packr.pack({ type: 'ping', x: 'x'.repeat(65_600) }))

const deflations: [name: string, frame: Uint8Array<ArrayBuffer>, outcome: Outcome][] = [
  ['nothing', bytes(), 'invalid_message'],
  ['no stream', bytes(1), 'invalid_message'],
  ['another first byte', prefixed(2, ping), 'invalid_message'],
  ['garbage', bytes(1, 'garbage'), 'invalid_message'],
  ['a stream that is cut short', deflated(ping).slice(0, -2), 'invalid_message'],
  ['bytes after the stream', bytes(deflated(ping), 'more'), 'invalid_message'],
  ['a second stream after the first', bytes(deflated(ping), deflateRawSync(ping)), 'invalid_message'],
  ['zlib around it', prefixed(1, deflateSync(ping)), 'invalid_message'],
  ['gzip around it', prefixed(1, gzipSync(ping)), 'invalid_message'],
  ['a stream in a stream', deflated(deflated(ping)), 'invalid_message'],
  ['a distance before the beginning', bytes(1, 0x4b, 0x04, 0x62, 0x00, 0x00), 'invalid_message'],
  [
    '10,000 empty blocks before the value',
    bytes(1, ...Array.from({ length: 10_000 }, () => bytes(0, 0, 0, 0xff, 0xff)), deflateRawSync(ping)),
    'pong',
  ],
  ['a bomb of 30 MB', prefixed(1, deflateRawSync(Buffer.alloc(30_000_000, 0x91))), 1009],
  ['one byte more than a frame may have', deflated(large), 1009],
]

test.each(deflations)('deflate: %s', async (_, frame, outcome) => {
  await using server = await startTestServer()

  await unharmed(server, async () => {
    const client = await server.connect({ framing: 'deflate' })
    await client.next('connection_established')
    client.sendRaw(frame)
    const reply = await client.next(() => true)

    if (outcome !== 1009) return expect(shown(reply)).toBe(outcome as string)
    expect(shown(reply)).toBe('too_large')
    expect(await client.next('disconnect')).toMatchObject({ code: 1009, reconnect: false })
    expect((await client.closed).code).toBe(1009)
  })
})

const text = JSON.stringify({ type: 'ping', id: 'raw' })
const close = (code: number, ...reason: number[]) => ({
  opcode: 8,
  payload: bytes(code >> 8, code & 0xff, ...reason),
})
type Sent = Parameters<typeof frameOf>[0]

const protocolFrames: [name: string, frames: Sent[], outcome: Outcome][] = [
  ['a frame without a mask', [{ opcode: 1, payload: text, masked: false }], 1002],
  ['a reserved opcode', [{ opcode: 3, payload: text }], 1002],
  ['a reserved control opcode', [{ opcode: 11 }], 1002],
  ['a compressed frame, which was not agreed on', [{ opcode: 1, payload: text, reserved: 4 }], 1002],
  ['a reserved bit', [{ opcode: 1, payload: text, reserved: 1 }], 1002],
  ['a ping of 126 bytes', [{ opcode: 9, payload: 'x'.repeat(126) }], 1002],
  ['a ping in pieces', [{ opcode: 9, payload: 'x', final: false }], 1002],
  ['a continuation of nothing', [{ opcode: 0, payload: text }], 1002],
  [
    'a message within another',
    [
      { opcode: 1, payload: '{', final: false },
      { opcode: 1, payload: text },
    ],
    1002,
  ],
  [
    'bytes within a text',
    [
      { opcode: 1, payload: '{', final: false },
      { opcode: 2, payload: text },
    ],
    1002,
  ],
  ['a head that announces a terabyte', [{ opcode: 1, length: 2n ** 40n }], 1009],
  ['a length with its first bit set', [{ opcode: 1, length: 2n ** 63n }], 1009],
  ['one byte over the limit', [{ opcode: 1, payload: 'x'.repeat(65_537) }], 1009],
  [
    'pieces that are too much together',
    [
      { opcode: 1, payload: 'x'.repeat(40_000), final: false },
      { opcode: 0, payload: 'x'.repeat(40_000) },
    ],
    1009,
  ],
  ['a text that is not UTF-8', [{ opcode: 1, payload: bytes(0x22, 0xc3, 0x28, 0x22) }], 1007],
  ['a text with half a surrogate pair', [{ opcode: 1, payload: bytes(0x22, 0xed, 0xa0, 0x80, 0x22) }], 1007],
  ['a close of one byte', [{ opcode: 8, payload: 'x' }], 1002],
  ['a close with a code below all', [close(999)], 1002],
  ['a close with the code of none', [close(1005)], 1002],
  ['a close with a code above all', [close(5000)], 1002],
  ['a close whose reason is not UTF-8', [close(1000, 0xc3, 0x28)], 1007],
  [
    'a change after the close, which is too late',
    [
      close(1000),
      {
        opcode: 1,
        payload: JSON.stringify({ type: 'publish', event: { type: 'system_status', status: 'late' } }),
      },
    ],
    1000,
  ],
  ['a length in more bytes than it needs', [{ opcode: 1, payload: text, lengthBytes: 8 }], 'pong'],
  [
    'a pong that nobody asked for',
    [
      { opcode: 10, payload: 'x' },
      { opcode: 1, payload: text },
    ],
    'pong',
  ],
  [
    'a ping between the pieces',
    [
      { opcode: 1, payload: text.slice(0, 5), final: false },
      { opcode: 9, payload: 'i' },
      { opcode: 0, payload: text.slice(5) },
    ],
    'pong',
  ],
  [
    '5,000 empty pieces',
    [
      { opcode: 1, final: false },
      ...Array.from({ length: 5000 }, () => ({ opcode: 0, final: false })),
      { opcode: 0, payload: text },
    ],
    'pong',
  ],
  [
    'a character split over pieces',
    [
      { opcode: 1, payload: bytes('{"type":"ping","x":"', 0xc3), final: false },
      { opcode: 0, payload: bytes(0xa9, '"}') },
    ],
    'pong',
  ],
]

test.each(protocolFrames)('as frames of RFC 6455: %s', async (_, frames, outcome) => {
  await using server = await startTestServer()

  await unharmed(server, async () => {
    using socket = await openRawFrames(server.url, { token: server.token })
    await socket.next(({ opcode }) => opcode === 1)
    const before = await server.api('GET', '/api/sessions')
    socket.send(...frames)

    if (typeof outcome === 'number') expect(await socket.closed).toBe(outcome)
    else await socket.next(({ payload }) => payload.includes(`"type":"${outcome}"`))
    expect((await server.api('GET', '/api/sessions')).cursor).toBe(before.cursor)
  })
})

const event = (more: object) => ({
  type: 'publish',
  event: { type: 'system_status', status: 'x', details: {}, ...more },
})
const where = (filter: unknown) => ({ type: 'subscribe', channels: ['jobs'], where: filter })
const many = (count: number, make: (n: number) => unknown) => Array.from({ length: count }, (_, n) => make(n))
const inHundred = Object.fromEntries(
  ['job_id', 'worker', 'stage', 'message', 'error_message', 'reason', 'timestamp', 'channel'].map((field) => [
    field,
    { in: many(100, (n) => `v${n}`), ne: 'none' },
  ]),
)

const values: [name: string, message: unknown, outcome: Outcome][] = [
  ['no type', { id: 1 }, 'invalid_message'],
  ['a type that is a number', { type: 1 }, 'invalid_message'],
  ['a type that is a list', { type: ['ping'] }, 'invalid_message'],
  ['a type that objects have by birth', { type: 'constructor' }, 'unknown_type'],
  ['a type that would be the prototype', { type: '__proto__' }, 'unknown_type'],
  ['a type of 60,000 characters', { type: 'x'.repeat(60_000) }, 'unknown_type'],
  ['a type in capitals', { type: 'PING' }, 'unknown_type'],
  ['what only the server says', { type: 'connection_established', client_id: 'x' }, 'unknown_type'],
  ['an event that is not published', { type: 'job_progress', job_id: 'x', progress: 1 }, 'unknown_type'],
  ['an id that is an object', { type: 'ping', id: {} }, 'invalid_message'],
  ['an id that is null', { type: 'ping', id: null }, 'invalid_message'],
  ['an id of 65 characters', { type: 'ping', id: 'x'.repeat(65) }, 'invalid_message'],
  ['an id with a fraction', { type: 'ping', id: 1.5 }, 'invalid_message'],
  ['an id beyond the safe integers', { type: 'ping', id: 2 ** 53 }, 'invalid_message'],
  ['auth without a token', { type: 'auth' }, 'invalid_message'],
  ['auth with an object', { type: 'auth', token: { alg: 'none' } }, 'invalid_message'],
  ['auth with nonsense on a live connection', { type: 'auth', token: 'x' }, 'invalid_token'],
  ['a client type with markup', { type: 'register', client_type: '<script>' }, 'invalid_message'],
  ['a client type with a line break', { type: 'register', client_type: 'gui\n' }, 'invalid_message'],
  ['a client type as a list', { type: 'register', client_type: ['gui'] }, 'invalid_message'],
  [
    'a name of 101 characters',
    { type: 'register', client_type: 'gui', client_name: 'x'.repeat(101) },
    'invalid_message',
  ],
  ['channels as a text', { type: 'subscribe', channels: 'jobs' }, 'invalid_message'],
  ['no channel', { type: 'subscribe', channels: [] }, 'invalid_message'],
  ['51 channels', { type: 'subscribe', channels: many(51, () => 'jobs') }, 'invalid_message'],
  ['a channel that would be all', { type: 'subscribe', channels: ['*'] }, 'unknown_channel'],
  [
    'a channel that objects have by birth',
    { type: 'subscribe', channels: ['jobs', '__proto__'] },
    'unknown_channel',
  ],
  ['a cursor that is none', { type: 'subscribe', channels: ['jobs'], since: 'jobs=1' }, 'invalid_message'],
  [
    'a cursor below the beginning',
    { type: 'subscribe', channels: ['jobs'], since: 'abc:jobs=-1' },
    'invalid_message',
  ],
  [
    'a cursor beyond all numbers',
    { type: 'subscribe', channels: ['jobs'], since: `abc:jobs=${'9'.repeat(400)}` },
    'invalid_message',
  ],
  [
    'a cursor of 60,000 characters',
    { type: 'subscribe', channels: ['jobs'], since: `abc:${'jobs=1,'.repeat(8000)}` },
    'invalid_message',
  ],
  ['a batch of negative length', { type: 'subscribe', channels: ['jobs'], batch_ms: -1 }, 'invalid_message'],
  ['a batch of an hour', { type: 'subscribe', channels: ['jobs'], batch_ms: 3_600_000 }, 'invalid_message'],
  ['conflate as a text', { type: 'subscribe', channels: ['jobs'], conflate: 'true' }, 'invalid_message'],
  ['a filter that is a list', where([]), 'invalid_message'],
  ['a filter of nothing', where({}), 'invalid_message'],
  ['a filter on a field that objects have by birth', where({ constructor: 1 }), 'invalid_message'],
  ['an operator of another language', where({ job_id: { $ne: null } }), 'invalid_message'],
  ['an operator that objects have by birth', where({ job_id: { toString: 1 } }), 'invalid_message'],
  ['a regular expression', where({ job_id: { regex: '(a+)+$' } }), 'invalid_message'],
  ['a condition in a condition', where({ job_id: { in: [{ eq: 1 }] } }), 'invalid_message'],
  ['101 values', where({ job_id: { in: many(101, (n) => `${n}`) } }), 'invalid_message'],
  ['a value of 1,001 characters', where({ job_id: 'x'.repeat(1001) }), 'invalid_message'],
  ['17 conditions', where({ ...inHundred, type: 'job_failed' }), 'invalid_message'],
  ['16 conditions, eight of them with 100 values', where(inHundred), 'subscription_confirmed'],
  ['unsubscribe without channels', { type: 'unsubscribe' }, 'invalid_message'],
  ['publish without an event', { type: 'publish' }, 'invalid_message'],
  ['an event that is a list', { type: 'publish', event: [] }, 'invalid_message'],
  [
    'an event of a type that objects have by birth',
    { type: 'publish', event: { type: 'toString' } },
    'unknown_type',
  ],
  ['an event of the protocol', { type: 'publish', event: { type: 'batch', events: [] } }, 'unknown_type'],
  ['a command by a text that is true', { ...event({}), command: 'true' }, 'invalid_message'],
  ['a key with a line break', { ...event({}), key: 'a\nb' }, 'invalid_message'],
  ['a key of 256 characters', { ...event({}), key: 'x'.repeat(256) }, 'invalid_message'],
  ['U+0000 in an event, which JSON can say', event({ status: 'a\u0000' }), 'published'],
  [
    'an event that would be another',
    event({ seq: 999, channel: 'jobs', timestamp: 'never', id: 7 }),
    'published',
  ],
]

test.each(values)('as a value in each framing: %s', async (_, value, outcome) => {
  await using server = await startTestServer()

  await unharmed(server, async () => {
    const encoded = new Uint8Array(packr.pack(value))
    const outcomes = await Promise.all([
      outcomeOf(server, 'json', JSON.stringify(value)),
      outcomeOf(server, 'msgpack', encoded),
      outcomeOf(server, 'deflate', deflated(encoded)),
    ])

    expect<Outcome[]>(outcomes).toEqual(outcomes.map(() => outcome))
    // Whatever was said of an envelope, nothing came to another channel.
    expect((await server.api('GET', '/api/sessions')).cursor).toContain(
      ':approval=0,export=0,jobs=0,photos=0,',
    )
  })
})

test('an event that only grows too large as JSON is refused before it is stored', async () => {
  await using server = await startTestServer()

  await unharmed(server, async () => {
    const quotes = new Uint8Array(packr.pack(event({ details: { x: '"'.repeat(33_000) } })))
    const outcomes = [
      await outcomeOf(server, 'msgpack', quotes),
      await outcomeOf(server, 'deflate', deflated(quotes)),
    ]

    expect(outcomes).toEqual(['too_large', 'too_large'])
    expect((await server.api('GET', '/api/sessions')).cursor).toContain('system=0')
  })
})

test('33 different filters are one too many, and the connection stays', async () => {
  await using server = await startTestServer()

  await unharmed(server, async () => {
    // Each connection follows a channel with one filter, so that all of them are held at once.
    const clients = await Promise.all(many(33, () => server.connect()) as Promise<TestClient>[])
    const replies: Message[] = []
    for (const [n, client] of clients.entries()) replies.push(await client.request(where({ job_id: `${n}` })))

    expect(replies.map(shown)).toEqual([
      ...many(32, () => 'subscription_confirmed'),
      'too_many_subscriptions',
    ] as string[])
    expect((await clients[32]?.sync())?.type).toBe('pong')
  })
})

test('20 unacceptable messages in a row end the connection, 19 and a good one do not', async () => {
  await using server = await startTestServer()

  await unharmed(server, async () => {
    const client = await server.connect({ framing: 'deflate' })
    for (let n = 0; n < 19; n += 1) client.sendRaw(bytes(2))
    await client.sync()
    for (let n = 0; n < 20; n += 1) client.sendRaw(bytes(2))

    expect((await client.closed).code).toBe(4500)
    expect(client.received.filter(({ code }) => code === 'invalid_message')).toHaveLength(39)
  })
})

test('an event nests no deeper than its batch may: 30 levels, over every way in', async () => {
  await using server = await startTestServer()
  const deep = (levels: number): object => (levels === 1 ? {} : { a: deep(levels - 1) })
  const own = { error_type: 'a', error_message: 'b' }

  await unharmed(server, async () => {
    const follower = await server.connect({ framing: 'msgpack' })
    await follower.request({ type: 'subscribe', channels: ['system'], batch_ms: 0 })
    const outcomes: unknown[] = []
    for (const levels of [29, 30]) {
      const error = { ...own, error_details: deep(levels) }
      const client = await server.connect()
      const published = await client.request({ type: 'publish', event: { type: 'error_occurred', ...error } })
      const reported = await server.api('POST', '/api/system/errors', error)
      const pushed = await server.api('POST', '/api/events', { type: 'error_occurred', ...error })
      outcomes.push([shown(published), reported.status, pushed.status])
    }
    await follower.sync()

    expect(outcomes).toEqual([
      ['published', 201, 201],
      ['invalid_message', 400, 400],
    ])
    // The follower reads what it gets by the bound of the protocol.
    const batches = follower.received.filter(({ type }) => type === 'batch')
    expect(batches.flatMap(({ events }) => events)).toHaveLength(3)
  })
})

test.each([
  ['64 frames', 64, 1],
  ['256 KiB', 4, 65_536],
] as const)(
  'behind a frame that waits %s are held, then nothing is read until it is done',
  async (_, count, length) => {
    const acts: string[] = []
    const first = Promise.withResolvers<void>()
    const inbox: Inbox = new Inbox({
      socket: { pause: () => acts.push('pause'), resume: () => acts.push('resume') },
      isOpen: true,
      isBusy: false,
      handle(frame) {
        acts.push(frame === 'auth' ? 'auth' : 'frame')
        return frame === 'auth' ? first.promise : undefined
      },
    })
    inbox.receive('auth')
    for (let n = 1; n < count; n += 1) inbox.receive('x'.repeat(length))
    const before = [...acts]

    inbox.receive('x'.repeat(length))
    const atBound = [...acts]
    first.resolve()
    await new Promise((resolve) => setImmediate(resolve))
    // What was held is not counted twice.
    for (let n = 0; n < count; n += 1) inbox.receive('x'.repeat(length))

    expect(before).toEqual(['auth'])
    expect(atBound).toEqual(['auth', 'pause'])
    const frames = Array<string>(count).fill('frame')
    expect(acts).toEqual(['auth', 'pause', ...frames, 'resume', ...frames])
  },
)
