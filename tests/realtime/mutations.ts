/** Seeded mutations of honest messages: as values, which every framing must answer alike, and as bytes of one framing. */
import { deflateRawSync } from 'node:zlib'
import { Packr } from 'msgpackr'
import { channels } from '../../lib/protocol/events.ts'
import { framings, type Framing } from '../../lib/protocol/codec.ts'
import type { Message, TestClient } from '../support/client.ts'
import { createRandom, type Random } from '../support/random.ts'
import type { TestServer } from '../support/server.ts'

type Json = null | boolean | number | string | Json[] | { [name: string]: Json }

const packr = new Packr({ useRecords: false })
/** Then all of them connect again: what a client has received is searched for every reply. */
const FRAMES_PER_CONNECTION = 500

const JSON_LENGTH_MAX = 30_000

export interface MutationReport {
  readonly values: number
  readonly bytes: number
  /** Replies to values by code or type. */
  readonly outcomes: Readonly<Record<string, number>>
  readonly bugs: number
  /** Values whose replies differed between framings, first of all. */
  readonly faults: readonly string[]
}

interface Options {
  readonly seed: number
  /** Frames to each framing, half of them values and half of them bytes. */
  readonly perFraming: number
}

/** Sends them; every client that a mutation costs its connection comes back. */
export async function checkMutations(
  server: TestServer,
  { seed, perFraming }: Options,
): Promise<MutationReport> {
  const random = createRandom(seed)
  const faults: string[] = []
  const outcomes: Record<string, number> = {}
  const { cursor } = await server.api('GET', '/api/sessions')
  const samples = samplesOf(String(cursor), server.token)
  const count = Math.ceil(perFraming / 2)

  const talkers = framings.map((framing) => createTalker(server, framing, 'values'))
  for (let n = 0; n < count; n += 1) {
    if (n % FRAMES_PER_CONNECTION === 0) for (const talker of talkers) talker.leave()
    const value = mutated(random, random.pick(samples), random.int(1, 4))
    const told = await Promise.all(talkers.map((talker) => talker.tell(value)))
    const [first = ''] = told
    const kind = /"(?:code|type)":"(\w+)"/.exec(first)?.[1] ?? first
    outcomes[kind] = (outcomes[kind] ?? 0) + 1
    if (told.some((other) => other !== first)) {
      faults.push(`seed ${seed}, value ${n} ${JSON.stringify(value)}: ${told.join(' | ')}`)
      // What follows is compared from one state again.
      for (const talker of talkers) talker.leave()
    }
  }

  const breakers = framings.map((framing) => ({ framing, talker: createTalker(server, framing, 'bytes') }))
  for (let n = 0; n < count; n += 1) {
    const value = random.pick(samples)
    await Promise.all(
      breakers.map(({ framing, talker }) => {
        const own = random.fork()
        return talker.hear(broken(own, framing, encoded(framing, value)))
      }),
    )
  }
  for (const talker of [...talkers, ...breakers.map(({ talker }) => talker)]) talker.leave()

  const metrics = await (await fetch(`${server.url}/metrics`)).text()
  const bugs = Number(/^lightwire_bugs_total (\d+)$/m.exec(metrics)?.[1] ?? Number.NaN)
  return { values: count, bytes: count, outcomes, bugs, faults }
}

/** One client of a framing that speaks, waits for what comes of it, and connects again when that ended it. */
function createTalker(server: TestServer, framing: Framing, what: string) {
  let client: TestClient | undefined
  let serial = 0

  async function current(): Promise<TestClient> {
    if (client) return client
    // A subject of its own: filters and keys are counted by it.
    const token = await server.tokenFor(
      'events:read events:publish api:write',
      `${what} in ${framing} ${serial}`,
    )
    client = await server.connect({ framing, token })
    await client.next('connection_established')
    return client
  }

  return {
    /** The replies to a value, without what differs by moment. */
    async tell(value: Json): Promise<string> {
      const own = await current()
      const sync = `sync ${(serial += 1)}`
      const replies: Message[] = []
      own.sendRaw(encoded(framing, value))
      own.send({ type: 'ping', id: sync })
      try {
        // A publish is answered when it is durable, a pong perhaps before.
        for (let isSynced = false; !isSynced || replies.length === 0;) {
          const message = await own.next(
            ({ type, seq }) => type !== 'batch' && (seq === undefined || type === 'published'),
          )
          if (message['id'] === sync) isSynced = true
          else replies.push(message)
        }
      } catch {
        client = undefined
        return `${replies.map(timeless).join()} closed with ${(await own.closed).code}`
      }
      return replies.map(timeless).join()
    },

    /** Whatever comes of a frame, the next message is answered, here or on a new connection. */
    async hear(frame: string | Uint8Array<ArrayBuffer>): Promise<void> {
      const own = await current()
      const sync = `sync ${(serial += 1)}`
      own.sendRaw(frame)
      own.send({ type: 'ping', id: sync })
      try {
        await own.next(({ id }) => id === sync)
      } catch {
        client = undefined
      }
    },

    leave(): void {
      client?.terminate()
      client = undefined
    },
  }
}

const passing: ReadonlySet<string> = new Set([
  'timestamp',
  'cursor',
  'client_id',
  'seq',
  'subject',
  'expires_at',
])

function timeless(message: Message): string {
  const kept = Object.entries(message).filter(([name]) => !passing.has(name))
  const text = JSON.stringify(Object.fromEntries(kept.toSorted(([a], [b]) => (a < b ? -1 : 1))))
  // Of two faults of one value each codec names the one that it meets first.
  return text
    .replace('not an acceptable MessagePack message: ', '')
    .replace(/nesting is deeper than 32 levels|a key is __proto__/, 'it is not to be unpacked')
}

function encoded(framing: Framing, value: Json): string | Uint8Array<ArrayBuffer> {
  if (framing === 'json') return JSON.stringify(value)
  const packed = packr.pack(value)
  if (framing === 'msgpack') return new Uint8Array(packed)
  const body = packed.length % 2 === 0 ? packed : deflateRawSync(packed)
  return new Uint8Array(Buffer.concat([Buffer.from([packed.length % 2]), body]))
}

function samplesOf(cursor: string, token: string): Json[] {
  const events: Json[] = [
    { type: 'job_progress', job_id: 'a', stage: 'b', progress: 5, message: 'c' },
    { type: 'photo_rejected', photo_id: 4, session_id: 7, reason: 'blurred' },
    { type: 'error_occurred', error_type: 'a', error_message: 'b', error_details: { c: [1, { d: null }] } },
    { type: 'export_completed', photo_id: 1, preset_name: 'a', output_path: '/x', file_size: 6_000_000_000 },
  ]
  return [
    { type: 'auth', token },
    { type: 'register', id: 1, client_type: 'gui', client_name: 'a name' },
    { type: 'subscribe', id: 'x', channels: ['jobs', 'photos'], since: cursor },
    {
      type: 'subscribe',
      id: 'y',
      channels: [...channels],
      where: { type: { in: ['job_failed', 'photo_approved'] }, seq: { gte: 1, lt: 99 } },
      batch_ms: 50,
      conflate: true,
    },
    { type: 'unsubscribe', id: 2, channels: ['photos'] },
    { type: 'ping', id: 'p' },
    ...events.map((event): Json => ({ type: 'publish', id: 'e', event })),
    ...events.map((event): Json => ({ type: 'publish', event, key: 'k', command: true })),
  ]
}

const oddValues: readonly Json[] = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  1e300,
  -1e-300,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  -(2 ** 63),
  2 ** 64,
  '',
  ' ',
  'jobs',
  '*',
  '\u0000',
  '\u202e\u009b',
  '😀',
  '__proto__',
  'constructor',
  'x'.repeat(65),
  '"'.repeat(2000),
  [],
  {},
  [[]],
  [null],
  { toString: 1 },
  { in: [] },
  { eq: { eq: 1 } },
]
const oddNames = [
  'id',
  'type',
  'channels',
  'where',
  'since',
  'event',
  'key',
  'constructor',
  'toString',
  '__proto__',
  '',
  '\u0000',
  'é',
]

/** A copy with so many changes, each at a random place. */
function mutated(random: Random, value: Json, changes: number): Json {
  let result = value
  for (let n = 0; n < changes; n += 1) {
    const next = changedSomewhere(random, result)
    // A frame that is too large in one framing need not be so in another.
    if (JSON.stringify(next).length < JSON_LENGTH_MAX) result = next
  }
  // What JSON would say, so that all framings are given the same: -0 is 0.
  return JSON.parse(JSON.stringify(result)) as Json
}

function changedSomewhere(random: Random, value: Json): Json {
  const inner = typeof value === 'object' && value !== null ? Object.keys(value) : []
  if (inner.length === 0 || random.chance(0.3)) return changed(random, value)
  const at = random.pick(inner)
  if (Array.isArray(value))
    return value.map((item, index) => (String(index) === at ? changedSomewhere(random, item) : item))
  return fromEntries(
    Object.entries(value as object as Record<string, Json>).map(([name, item]) => [
      name,
      name === at ? changedSomewhere(random, item) : item,
    ]),
  )
}

function changed(random: Random, value: Json): Json {
  const odd = random.pick(oddValues)
  if (typeof value === 'string' && random.chance(0.6)) {
    const at = random.int(0, value.length)
    const points = [...value]
    return random.pick([
      value.slice(0, at).replace(/[\ud800-\udbff]$/, ''),
      `${value}${value}`,
      points.toReversed().join(''),
      value.toUpperCase(),
      `${value}\n`,
    ])
  }
  if (typeof value === 'number' && random.chance(0.6))
    return random.pick([-value, value + 0.5, value * 1e9, value + 1])
  if (Array.isArray(value) && random.chance(0.8))
    return random.pick<Json>([
      [...value, ...value],
      [...value, odd],
      value.slice(1),
      [value],
      Array.from({ length: 60 }, () => value[0] ?? odd),
    ])
  if (typeof value === 'object' && value !== null && !Array.isArray(value) && random.chance(0.9)) {
    const entries = Object.entries(value)
    const at = random.int(0, Math.max(0, entries.length - 1))
    const name = random.pick(oddNames)
    return random.pick<() => Json>([
      () => fromEntries(entries.filter((_, index) => index !== at)),
      () => fromEntries([...entries, [name, odd]]),
      () => fromEntries(entries.map(([own, item], index) => [index === at ? name : own, item])),
      () =>
        fromEntries(
          entries.map(([own, item], index) => [own, index === at ? nested(item, random.int(1, 40)) : item]),
        ),
      () => fromEntries(entries.toReversed()),
    ])()
  }
  return odd
}

/** As `Object.fromEntries`, which makes own fields of every name. */
const fromEntries = (entries: readonly (readonly [string, Json])[]): Json => Object.fromEntries(entries)

function nested(value: Json, depth: number): Json {
  return depth === 0 ? value : depth % 2 === 0 ? [nested(value, depth - 1)] : { a: nested(value, depth - 1) }
}

/** A frame with bytes changed, cut, repeated or put in. */
function broken(
  random: Random,
  framing: Framing,
  frame: string | Uint8Array<ArrayBuffer>,
): string | Uint8Array<ArrayBuffer> {
  let bytes = [...Buffer.from(frame as Uint8Array)]
  for (let n = random.int(1, 6); n > 0; n -= 1) {
    const at = random.int(0, bytes.length)
    const end = Math.min(bytes.length, at + random.int(1, 40))
    const byte = random.pick([random.int(0, 255), 0xc1, 0xdf, 0xdd, 0xdb, 0xff, 0x22, 0x5c, 0x7b, 0x5b])
    bytes = random.pick<() => number[]>([
      () => bytes.with(Math.min(at, Math.max(0, bytes.length - 1)), byte),
      () => bytes.slice(0, at),
      () => bytes.toSpliced(at, end - at),
      () => bytes.toSpliced(at, 0, byte),
      () => [...bytes.slice(0, end), ...bytes.slice(at)],
    ])()
    if (bytes.length === 0) bytes = [byte]
  }
  const made = Uint8Array.from(bytes)
  // A text frame that is not UTF-8 ends its connection, which is another test.
  return framing === 'json' ? Buffer.from(made).toString().replaceAll('\ufffd', '?') : made
}
