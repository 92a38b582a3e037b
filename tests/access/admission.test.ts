/** Whom a request is counted by, and what is bounded by subject and by address: tables, without a server. */
import { describe, expect, test } from 'bun:test'
import { createAddresses } from '../../lib/access/addresses.ts'
import { createAdmission } from '../../lib/access/admission.ts'
import { createPendingBytes } from '../../lib/access/pending-bytes.ts'
import { everyone } from '../../lib/access/rights.ts'
import { createRoom } from '../../lib/access/room.ts'
import { configWith } from '../../lib/config.ts'
import { Refusal } from '../../lib/protocol/refusals.ts'

const proxies = ['10.0.0.0/8', 'fd00::/8', '192.0.2.7']

/** Peer, headers, whom it is counted by. */
const requests: readonly (readonly [string, string | undefined, Record<string, string>, string])[] = [
  ['a stranger is itself', '198.51.100.4', {}, '198.51.100.4'],
  ['a stranger cannot name another', '198.51.100.4', { 'X-Forwarded-For': '203.0.113.1' }, '198.51.100.4'],
  ['a stranger cannot, by Forwarded', '198.51.100.4', { Forwarded: 'for=203.0.113.1' }, '198.51.100.4'],
  ['a proxy that names nobody is itself', '10.1.2.3', {}, '10.1.2.3'],
  ['a proxy names its client', '10.1.2.3', { 'X-Forwarded-For': '203.0.113.1' }, '203.0.113.1'],
  ['only the rightmost counts', '10.1.2.3', { 'X-Forwarded-For': '1.2.3.4, 203.0.113.1' }, '203.0.113.1'],
  [
    'past every proxy that is trusted',
    '10.1.2.3',
    { 'X-Forwarded-For': '1.2.3.4, 203.0.113.1, 192.0.2.7, 10.9.9.9' },
    '203.0.113.1',
  ],
  ['all trusted: the leftmost', '10.1.2.3', { 'X-Forwarded-For': '10.0.0.9, 10.0.0.8' }, '10.0.0.9'],
  ['with a port', '10.1.2.3', { 'X-Forwarded-For': '203.0.113.1:4711' }, '203.0.113.1'],
  ['a word is no address', '10.1.2.3', { 'X-Forwarded-For': '203.0.113.1, unknown' }, '10.1.2.3'],
  ['an empty header', '10.1.2.3', { 'X-Forwarded-For': '' }, '10.1.2.3'],
  ['Forwarded', '10.1.2.3', { Forwarded: 'for=1.2.3.4, for=203.0.113.1;proto=https' }, '203.0.113.1'],
  [
    'Forwarded, other parts first',
    '10.1.2.3',
    { Forwarded: 'proto=https; For="203.0.113.1:80"' },
    '203.0.113.1',
  ],
  [
    'an open quote swallows nothing',
    '10.1.2.3',
    { Forwarded: 'for="1.2.3.4, for=203.0.113.1' },
    '203.0.113.1',
  ],
  ['Forwarded, hidden', '10.1.2.3', { Forwarded: 'for=_hidden' }, '10.1.2.3'],
  [
    'IPv6 is counted by its /64',
    '10.1.2.3',
    { Forwarded: 'for="[2001:db8:1:2:aaaa::1]:4711"' },
    '2001:db8:1:2::/64',
  ],
  ['IPv6 of a stranger', '2001:db8::1', {}, '2001:db8:0:0::/64'],
  ['IPv6 of a proxy', 'fd00::1', { 'X-Forwarded-For': '203.0.113.1' }, '203.0.113.1'],
  ['a proxy as IPv6 writes IPv4', '::ffff:10.1.2.3', { 'X-Forwarded-For': '203.0.113.1' }, '203.0.113.1'],
  [
    'two headers that agree',
    '10.1.2.3',
    { 'X-Forwarded-For': '203.0.113.1', Forwarded: 'for=203.0.113.1' },
    '203.0.113.1',
  ],
  [
    'two headers that do not: neither counts',
    '10.1.2.3',
    { 'X-Forwarded-For': '203.0.113.1', Forwarded: 'for=203.0.113.2' },
    '10.1.2.3',
  ],
  ['no peer', undefined, { 'X-Forwarded-For': '203.0.113.1' }, 'unknown'],
]

describe('the client of a request', () => {
  for (const [name, peer, headers, expected] of requests) {
    test(name, () => expect(createAddresses(proxies)(new Headers(headers), peer)).toBe(expected))
  }

  test('without trusted proxies is always the peer', () => {
    const headers = new Headers({ 'X-Forwarded-For': '203.0.113.1', Forwarded: 'for=203.0.113.1' })

    expect(createAddresses([])(headers, '127.0.0.1')).toBe('127.0.0.1')
  })
})

function admissionOf(verify: (token: string) => Promise<typeof everyone>) {
  const clock = { ms: 0 }
  const config = configWith({ RATE_AUTH_FAILURES: { limit: 3, windowMs: 1000 } })
  return { clock, ...createAdmission({ config, monotonicMs: () => clock.ms, verify }) }
}

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'good',
    (error: unknown) => (error instanceof Refusal ? error.code : String(error)),
  )

test('after three bad tokens from an address none is looked at, until the first is a window ago', async () => {
  let looks = 0
  const { clock, verify } = admissionOf((token) => {
    looks += 1
    return token === 'good' ? Promise.resolve(everyone) : Promise.reject(new Refusal('invalid_token', 'bad'))
  })
  const codes: string[] = []
  for (const token of ['bad', 'good', 'bad', 'bad', 'bad', 'good']) {
    clock.ms += 10
    codes.push(await codeOf(verify(token, 'here')))
  }

  expect(codes).toEqual([
    'invalid_token',
    'good',
    'invalid_token',
    'invalid_token',
    'rate_limited',
    'rate_limited',
  ])
  expect(looks).toBe(4)
  expect(await codeOf(verify('good', 'elsewhere'))).toBe('good')
  clock.ms = 1010
  expect(await codeOf(verify('good', 'here'))).toBe('good')
})

test('of bad tokens that are looked at side by side only three learn that they are bad', async () => {
  const { verify } = admissionOf(() => Promise.reject(new Refusal('invalid_token', 'bad')))

  const codes = await Promise.all(Array.from({ length: 10 }, () => codeOf(verify('bad', 'here'))))

  expect(codes.filter((code) => code === 'invalid_token')).toHaveLength(3)
  expect(codes.filter((code) => code === 'rate_limited')).toHaveLength(7)
})

test('a token that only expired is no bad one', async () => {
  const { verify } = admissionOf(() => Promise.reject(new Refusal('unauthenticated', 'expired')))
  for (let count = 0; count < 10; count += 1)
    expect(await codeOf(verify('old', 'here'))).toBe('unauthenticated')
})

const roomOf = (limits: Partial<Parameters<typeof createRoom>[0]> = {}) =>
  createRoom({ connectionsMax: 100, perSubjectMax: 0, perAddressMax: 0, unauthenticatedMax: 100, ...limits })

test('places are bounded in all, by subject, by address and without a token', () => {
  const bounds = [
    [{ connectionsMax: 2 }, { address: 'z', subject: 'zoe' }],
    [{ perSubjectMax: 2 }, { address: 'z', subject: 'ann' }],
    [{ perAddressMax: 2 }, { address: 'a', subject: 'zoe' }],
  ] as const
  for (const [limits, third] of bounds) {
    const room = roomOf(limits)
    const first = room.take({ address: 'a', subject: 'ann' })
    room.take({ address: 'a', subject: 'ann' })
    expect(() => room.take(third)).toThrow('connected')
    first[Symbol.dispose]()
    first[Symbol.dispose]()
    room.take(third)[Symbol.dispose]()
  }
  const room = roomOf({ unauthenticatedMax: 1 })
  const place = room.take({ address: 'a' })
  expect(() => room.take({ address: 'b' })).toThrow('without a token')
  place.identify('ann')
  room.take({ address: 'b' })[Symbol.dispose]()
})

test('whoever shows a subject that has no room keeps its place as it was', () => {
  const room = roomOf({ perSubjectMax: 1 })
  room.take({ address: 'a', subject: 'ann' })
  const late = room.take({ address: 'b' })

  expect(() => late.identify('ann')).toThrow('of this subject')
  late[Symbol.dispose]()

  expect(room.census()).toEqual({ taken: 1, unauthenticated: 0, subjects: 1, addresses: 1 })
})

test('given back, places leave nothing behind', () => {
  const room = roomOf()
  const places = ['ann', 'bob', undefined].map((subject) => room.take({ address: 'a', subject }))
  places[2]?.identify('ann')
  places[2]?.identify('eve')

  for (const place of places) place[Symbol.dispose]()

  expect(room.census()).toEqual({ taken: 0, unauthenticated: 0, subjects: 0, addresses: 0 })
})

test('bytes under way are bounded in all, and by half of that for one subject', () => {
  const hold = createPendingBytes(100)
  const first = hold(50, 'ann')

  expect(() => hold(1, 'ann')).toThrow('under way')
  hold(50, 'bob')
  expect(() => hold(1, 'zoe')).toThrow('under way')
  first[Symbol.dispose]()
  hold(50, 'zoe')
})

test('of bytes under way that come to less the rest is given back, once', () => {
  const hold = createPendingBytes(100)
  const ann = hold(50, 'ann')
  const bob = hold(50, 'bob')

  ann.shrinkTo(10)
  ann.shrinkTo(20)

  expect(() => hold(41, 'zoe')).toThrow('under way')
  ann[Symbol.dispose]()
  ann[Symbol.dispose]()
  hold(50, 'ann')
  expect(() => hold(1, 'zoe')).toThrow('under way')
  bob[Symbol.dispose]()
})
