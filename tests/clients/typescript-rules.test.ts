/** What the TypeScript client decides, by itself: its rule of positions, when it comes back, what it keeps and sends again. */
import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { backoffMs, codeName, isFinal } from '../../clients/typescript/src/backoff.ts'
import { createChoice } from '../../clients/typescript/src/choice.ts'
import { createClient } from '../../clients/typescript/src/client.ts'
import { createConnection } from '../../clients/typescript/src/connection.ts'
import type { Environment } from '../../clients/typescript/src/environment.ts'
import type { LightwireEvent } from '../../clients/typescript/src/events.ts'
import { createFollower } from '../../clients/typescript/src/follow.ts'
import { createDecoder } from '../../clients/typescript/src/frames.ts'
import { createLines } from '../../clients/typescript/src/lines.ts'
import type { LineEnd, LineEvents } from '../../clients/typescript/src/line.ts'
import { matches } from '../../clients/typescript/src/matches.ts'
import { createOutbox } from '../../clients/typescript/src/outbox.ts'
import { createPositions, parseCursor } from '../../clients/typescript/src/positions.ts'
import { createReplies } from '../../clients/typescript/src/replies.ts'
import { createSubscriptions } from '../../clients/typescript/src/subscriptions.ts'
import { createTokens } from '../../clients/typescript/src/tokens.ts'
import {
  LightwireError,
  type Message,
  type Snapshot,
  type Status,
  type SubscribeOptions,
} from '../../clients/typescript/src/types.ts'
import { encodeMessage, framings } from '../../lib/protocol/codec.ts'
import { parseFilter } from '../../lib/protocol/filter.ts'
import { mayReconnect, refusals } from '../../lib/protocol/refusals.ts'

/** A machine whose time passes when it is told to. */
function createMachine(random = 0.5) {
  let nowMs = 0
  const timers = new Set<{ readonly at: number; readonly act: () => void }>()
  const environment: Environment = {
    now: () => nowMs,
    random: () => random,
    watch: () => () => undefined,
    after(ms, act) {
      const timer = { at: nowMs + ms, act }
      timers.add(timer)
      return () => void timers.delete(timer)
    },
  }
  /** What is promised meanwhile is done before more time passes. */
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve))
  const pass = async (ms: number) => {
    const end = nowMs + ms
    await settle()
    for (;;) {
      const [next] = [...timers].filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at)
      if (!next) break
      timers.delete(next)
      nowMs = next.at
      next.act()
      await settle()
    }
    nowMs = end
  }
  return { environment, pass, timers }
}

describe('positions', () => {
  const event = (seq: number) => ({ channel: 'jobs', seq }) as LightwireEvent
  const at = (seq: number) => {
    const positions = createPositions()
    positions.place('jobs', 'e', seq)
    return positions
  }

  test('the next event is applied, an old one passed over, a later one a gap', () => {
    const positions = at(5)

    expect([4, 5, 6, 7].map((seq) => positions.judgeEvent(event(seq)))).toEqual([[], [], [event(6)], 'gap'])
  })

  test('of a batch that joins what is new is applied, and one that begins later is a gap', () => {
    const positions = at(5)
    const batch = (after: number, upto: number, ...seqs: number[]) =>
      positions.judgeBatch({ channel: 'jobs', after, upto, events: seqs.map(event) })

    expect(batch(3, 9, 4, 6, 8)).toEqual([event(6), event(8)])
    expect(batch(5, 9)).toEqual([])
    expect(batch(6, 9, 8)).toBe('gap')
  })

  test('what a pong says was sent is missing where events come bare, and filtered away where they come in batches', () => {
    const positions = at(5)

    expect(positions.reached('jobs', 5, false)).toBeUndefined()
    expect(positions.reached('jobs', 7, false)).toBe('gap')
    expect(positions.cursor).toBe('e:jobs=5')
    expect(positions.reached('jobs', 7, true)).toBeUndefined()
    expect(positions.cursor).toBe('e:jobs=7')
  })

  test('while channels are in two epochs the cursor is the last that all were in, and each is asked for by its own', () => {
    const positions = at(5)
    positions.place('photos', 'e', 2)
    expect(positions.cursor).toBe('e:jobs=5,photos=2')

    positions.place('jobs', 'f', 6)
    expect(positions.cursor).toBe('e:jobs=5,photos=2')
    expect(positions.since(['jobs', 'photos', 'queue'])).toEqual([
      { channels: ['jobs', 'queue'], since: 'f:jobs=6' },
      { channels: ['photos'], since: 'e:photos=2' },
    ])

    positions.place('photos', 'f', 3)
    expect(positions.cursor).toBe('f:jobs=6,photos=3')
  })

  test('what is not followed keeps the place and the epoch that it was stored with', () => {
    const followed = new Set(['system'])
    const positions = createPositions((channel) => followed.has(channel))
    positions.restore('e:jobs=5,system=3')
    positions.place('system', 'f', 4)
    expect([positions.cursor, positions.stored]).toEqual(['f:system=4', 'e:jobs=5 f:system=4'])

    const next = createPositions(() => true)
    next.restore(positions.stored ?? '')
    expect(next.since(['jobs', 'system'])).toEqual([
      { channels: ['jobs'], since: 'e:jobs=5' },
      { channels: ['system'], since: 'f:system=4' },
    ])
  })

  test('a text that is no cursor is none', () => {
    const none = ['', 'jobs=1', 'E:jobs=1', 'e jobs'].map(parseCursor)

    expect(none).toEqual([undefined, undefined, undefined, undefined])
    expect([...(parseCursor('e:')?.positions ?? [])]).toEqual([])
  })
})

describe('subscriptions', () => {
  function open() {
    const { environment, pass, timers } = createMachine()
    const positions = createPositions()
    const sent: Message[] = []
    const waiting: ((outcome: Message | LightwireError) => void)[] = []
    const errors: unknown[] = []
    let isUp = true
    const subscriptions = createSubscriptions({
      environment,
      positions,
      replies: {
        ask(message, _timeoutMs, settle) {
          sent.push(message)
          waiting.push(settle)
        },
        request: () => Promise.reject(new Error('nothing is requested')),
        take: () => false,
        lose: () => undefined,
      },
      isUp: () => isUp,
      onMoved: () => undefined,
      onLost: () => undefined,
      onError: (error) => errors.push(error),
      dropLine: () => undefined,
    })
    const outcome = (promise: Promise<{ channels: readonly string[] }>) =>
      promise.then(
        ({ channels }) => channels,
        (error: unknown) => (error instanceof LightwireError ? error.code : String(error)),
      )
    return {
      subscriptions,
      positions,
      sent,
      errors,
      subscribe: (options?: SubscribeOptions) => outcome(subscriptions.subscribe(['jobs'], options)),
      confirm: (cursor: string, status = 'live') =>
        waiting.shift()?.({ type: 'subscription_confirmed', cursor, recovery: { jobs: { status } } }),
      refuse: (code = 'invalid_message', retryAfterMs?: number) =>
        waiting.shift()?.(new LightwireError(code, 'no', retryAfterMs)),
      pass,
      timers,
      /** The line is gone, and another is there. */
      cut(meanwhile: () => void) {
        isUp = false
        for (const settle of waiting.splice(0)) settle(new LightwireError('timeout', 'the line is gone'))
        meanwhile()
        isUp = true
        subscriptions.resume()
      },
    }
  }
  const bad = { where: { nothing: 1 } }

  test('on a new line bare events are counted again, whatever an earlier line brought them in', async () => {
    const it = open()
    void it.subscribe()
    it.confirm('e:jobs=5')
    it.subscriptions.cameInBatches('jobs')
    it.cut(() => undefined)
    it.confirm('e:jobs=5', 'recovered')
    it.subscriptions.reached('e:jobs=6')

    expect([it.sent.length, it.positions.cursor]).toEqual([3, 'e:jobs=5'])
  })

  test('an end that is refused for now is asked for again, unless the channel was subscribed meanwhile', async () => {
    const it = open()
    void it.subscribe()
    it.confirm('e:jobs=5')
    const left = it.subscriptions.unsubscribe(['jobs'])
    it.refuse('rate_limited', 500)
    await it.pass(500)
    it.refuse('rate_limited', 500)
    void it.subscribe()
    await it.pass(500)

    expect(await left).toEqual(['jobs'])
    expect(it.sent.map(({ type }) => type)).toEqual(['subscribe', 'unsubscribe', 'unsubscribe', 'subscribe'])
  })

  test('closed while it waits to ask again, it waits for nothing any more', async () => {
    const it = open()
    void it.subscribe()
    it.refuse('rate_limited', 500)
    const waiting = it.timers.size
    it.subscriptions.close(new LightwireError('closed', ''))

    expect([waiting, it.timers.size]).toEqual([1, 0])
  })

  test('a refused change leaves what was asked for just before it', async () => {
    const it = open()
    const [first, second] = [it.subscribe(), it.subscribe(bad)]
    it.confirm('e:jobs=5')
    it.refuse()

    expect([await first, await second]).toEqual([['jobs'], 'invalid_message'])
    expect([it.subscriptions.optionsOf('jobs'), it.positions.cursor]).toEqual([{}, 'e:jobs=5'])
    expect([it.sent.length, it.errors]).toEqual([2, []])
  })

  test('of two refused ones nothing is left', async () => {
    const it = open()
    const both = [it.subscribe(bad), it.subscribe(bad)]
    it.refuse()
    it.refuse()

    expect(await Promise.all(both)).toEqual(['invalid_message', 'invalid_message'])
    expect([it.subscriptions.channels, it.sent.length, it.errors]).toEqual([[], 2, []])
  })

  test('a state that is read meanwhile is where a subscription begins', async () => {
    const it = open()
    const first = it.subscribe()
    it.positions.place('jobs', 'e', 3)
    it.confirm('e:jobs=5')

    expect([await first, it.positions.cursor]).toEqual([['jobs'], 'e:jobs=3'])
    expect(it.sent.at(-1)).toEqual({ type: 'subscribe', channels: ['jobs'], since: 'e:jobs=3' })
  })

  test('a change made without a line and refused on the next leaves what was followed', async () => {
    const it = open()
    const first = it.subscribe()
    it.confirm('e:jobs=5')
    await first
    let second: Promise<unknown> | undefined
    it.cut(() => (second = it.subscribe(bad)))
    it.refuse()

    expect(await second).toBe('invalid_message')
    expect(it.sent.at(-1)).toEqual({ type: 'subscribe', channels: ['jobs'], since: 'e:jobs=5' })
  })
})

test('it comes back after every close that the server lets it, and stays away after the others', () => {
  const named = [1001, 1002, 1003, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013]
  const codes = [...named, ...Array.from({ length: 1000 }, (_, index) => 4000 + index)]

  expect(codes.filter((code) => isFinal(code) === mayReconnect(code))).toEqual([])
})

test('a close is called by the refusal that it stands for', () => {
  const rows = Object.entries(refusals).flatMap(([code, row]) =>
    'close' in row ? [[row.close, code] as const] : [],
  )

  expect(rows.filter(([close, code]) => codeName(close) !== code)).toEqual([])
})

test('waits are anywhere up to a bound that doubles to 30 s', () => {
  expect([0, 1, 2, 6, 7, 1000].map((attempt) => backoffMs(attempt, () => 1))).toEqual([
    500, 1000, 2000, 30_000, 30_000, 30_000,
  ])
  expect(backoffMs(9, () => 0)).toBe(0)
})

test('a filter means here what it means to the server', () => {
  const number = fc.integer({ min: 0, max: 100 })
  const event = fc.record(
    {
      job_id: fc.constantFrom('a', 'b', ''),
      session_id: fc.oneof(fc.constant(null), number),
      progress: number,
      stage: fc.string(),
    },
    { requiredKeys: [] },
  )
  const ofNumber = fc.oneof(
    number,
    fc.dictionary(fc.constantFrom('eq', 'ne', 'gt', 'gte', 'lt', 'lte'), number, { minKeys: 1, maxKeys: 3 }),
    fc.record({ in: fc.array(number, { minLength: 1, maxLength: 4 }) }),
    fc.record({ exists: fc.boolean() }),
  )
  const ofText = fc.oneof(
    fc.constantFrom('a', 'b'),
    fc.dictionary(fc.constantFrom('eq', 'ne', 'gt', 'gte', 'lt', 'lte'), fc.constantFrom('a', 'aa', 'b'), {
      minKeys: 1,
      maxKeys: 3,
    }),
  )
  const where = fc
    .record(
      { progress: ofNumber, session_id: fc.oneof(ofNumber, fc.constant(null)), job_id: ofText },
      { requiredKeys: [] },
    )
    .filter((conditions) => Object.keys(conditions).length > 0)

  fc.assert(
    fc.property(where, event, (conditions, fields) => {
      const asked = conditions as NonNullable<SubscribeOptions['where']>
      return matches(asked, fields) === parseFilter(asked, ['jobs']).matches(fields)
    }),
    { numRuns: 2000, seed: 7 },
  )
})

test.each([...framings])('it reads what the server writes in %s, small and large', async (framing) => {
  const decode = await createDecoder(framing)
  const messages = [
    { type: 'pong', cursor: 'e:jobs=1', wide: 2 ** 53 - 1, none: null },
    { type: 'batch', events: Array.from({ length: 200 }, (_, seq) => ({ seq, stage: 'denoise' })) },
  ]
  const frames = messages.map((message) => {
    const frame = encodeMessage(framing, message)
    return typeof frame === 'string'
      ? frame
      : frame.buffer.slice(frame.byteOffset, frame.byteOffset + frame.length)
  })

  expect(await Promise.all(frames.map((frame) => decode(frame)))).toEqual(messages)
})

test('one call to getToken is under way at a time, and whoever comes meanwhile gets the same', async () => {
  const asked: ((token: string) => void)[] = []
  const tokens = createTokens(
    () => new Promise((resolve) => asked.push(resolve)),
    createMachine().environment,
  )

  const all = [tokens.get(), tokens.renew(), tokens.get()]
  await Promise.resolve()
  await Promise.resolve()
  asked[0]?.('one')

  expect(await Promise.all(all)).toEqual(['one', 'one', 'one'])
  expect(await tokens.get()).toBe('one')
  expect(asked).toHaveLength(1)
})

test('a call to getToken that never comes back is given up, and the next asks anew', async () => {
  const { environment, pass } = createMachine()
  let calls = 0
  const tokens = createTokens(() => {
    calls += 1
    return calls === 1 ? new Promise<string>(() => undefined) : 'second'
  }, environment)
  const first = tokens.get().catch((error: unknown) => String(error))
  await pass(30_000)

  expect([await first, await tokens.get()]).toEqual(['Error: getToken does not answer', 'second'])
})

test('a token that has ended by its own claim is not shown again', async () => {
  const tokenOf = (seconds: number) => `h.${btoa(JSON.stringify({ exp: Date.now() / 1000 + seconds }))}.s`
  let given = tokenOf(2)
  const tokens = createTokens(() => given, createMachine().environment)
  await tokens.get()
  given = tokenOf(3600)

  expect(await tokens.get()).toBe(given)
})

describe('the choice of transport', () => {
  const settle = () => new Promise((resolve) => setImmediate(resolve))

  test('two attempts that never opened, while plain HTTP answers, move it on, and round again', async () => {
    const choice = createChoice('auto', true, () => Promise.resolve(true))
    const taken: string[] = []
    for (let n = 0; n < 8; n += 1) {
      taken.push(choice.next())
      choice.failed()
      await settle()
    }

    expect(taken).toEqual(['websocket', 'websocket', 'sse', 'sse', 'poll', 'poll', 'websocket', 'websocket'])
  })

  test('a server that is not there, and a connection in between, leave it where it is', async () => {
    const away = createChoice('auto', true, () => Promise.resolve(false))
    const there = createChoice('auto', true, () => Promise.resolve(true))
    for (let n = 0; n < 4; n += 1) {
      away.failed()
      there.failed()
      there.established()
      await settle()
    }

    expect([away.next(), there.next()]).toEqual(['websocket', 'websocket'])
  })

  test('where there is no WebSocket it begins with the stream', () => {
    expect(createChoice('auto', false, () => Promise.resolve(true)).next()).toBe('sse')
    expect(createChoice('poll', true, () => Promise.resolve(true)).next()).toBe('poll')
  })
})

test('a look whether WebSockets pass again is given up after 10 s, made again, and over with the line', async () => {
  const { environment, pass, timers } = createMachine()
  let [opened, closed] = [0, 0]
  class Hanging {
    onopen = null
    onmessage = null
    onerror = null
    onclose = null
    binaryType = ''
    constructor() {
      opened += 1
    }
    send() {}
    close() {
      closed += 1
    }
  }
  const lines = createLines({
    url: 'http://server',
    wanted: 'auto',
    framing: 'json',
    clientType: 'web',
    retryWebSocketMs: 60_000,
    WebSocket: Hanging,
    fetch: () => Promise.reject(new Error('nothing is fetched')),
    call: () => Promise.reject(new Error('nothing is asked')),
    environment,
  })
  lines.look('sse', () => undefined)
  const seen: (readonly [number, number])[] = []
  for (const ms of [60_000, 10_000, 60_000]) {
    await pass(ms)
    seen.push([opened, closed])
  }
  lines.stopLooking()

  expect(seen).toEqual([
    [1, 0],
    [1, 1],
    [2, 1],
  ])
  expect([closed, timers.size]).toEqual([2, 0])
})

test.each(['head', 'body'])(
  'where WebSockets are blocked and a proxy keeps the %s of a stream until it ends, it comes to polling',
  async (kept) => {
    const { environment, pass } = createMachine()
    class Blocked {
      onopen = null
      onmessage = null
      onerror = null
      onclose: ((event: never) => void) | null = null
      binaryType = ''
      constructor() {
        // What it tells is looked at by its two fields alone.
        queueMicrotask(() => this.onclose?.({ code: 1006, reason: '' } as never))
      }
      send() {}
      close() {}
    }
    const streamed = (signal: AbortSignal | null | undefined) =>
      kept === 'body'
        ? Promise.resolve(new Response(new ReadableStream()))
        : new Promise<Response>((_, reject) => {
            signal?.addEventListener('abort', () => reject(new Error('aborted')))
          })
    const greeting = { type: 'connection_established', epoch: 'e' }
    const answers: Readonly<Record<string, object>> = {
      '/ws/handshake': { client_id: 'a' },
      '/ws/poll': { messages: [greeting] },
      '/api/events': { events: [], cursor: 'e:jobs=1', more: false },
    }
    const client = createClient(
      {
        url: 'http://server',
        WebSocket: Blocked,
        fetch(url, { signal }) {
          const { pathname, searchParams } = new URL(url)
          if (pathname === '/api/events/stream') return streamed(signal)
          if (searchParams.get('wait') === '20') return new Promise(() => undefined)
          return Promise.resolve(Response.json(answers[pathname] ?? {}))
        },
      },
      environment,
    )
    let isSubscribed = false
    const subscribed = client.subscribe(['jobs']).then(() => (isSubscribed = true))
    for (let seconds = 0; seconds < 120 && !isSubscribed; seconds += 1) await pass(1000)

    expect([isSubscribed, client.transport]).toEqual([true, 'poll'])
    await subscribed
    client.close()
  },
)

describe('the connection', () => {
  function connect(random = 0.5) {
    const machine = createMachine(random)
    const lines: LineEvents[] = []
    const seen: (Status | string)[] = []
    let [closes, pings] = [0, 0]
    const connection = createConnection({
      environment: machine.environment,
      tokens: createTokens(() => 'token', machine.environment),
      choice: { next: () => 'websocket', established: () => undefined, failed: () => undefined },
      openLine(_transport, _token, events) {
        lines.push(events)
        return { send: () => undefined, close: () => void (closes += 1) }
      },
      onUp: () => undefined,
      onMessage: () => undefined,
      onDown: () => undefined,
      onError: () => undefined,
      onStatus: (status, code) => seen.push(code === undefined ? status : `${status} ${code}`),
      ping: () => {
        pings += 1
        return Promise.resolve()
      },
    })
    connection.start()
    const greet = () => lines.at(-1)?.onMessage({ type: 'connection_established', heartbeat_ms: 30_000 })
    const end = (how: Partial<LineEnd>) => lines.at(-1)?.onEnd({ code: 1006, reason: '', ...how })
    return {
      ...machine,
      connection,
      lines,
      seen,
      greet,
      end,
      get closes() {
        return closes
      },
      get pings() {
        return pings
      },
    }
  }

  test('waits longer after each failure, and begins small again after a life', async () => {
    const it = connect(1)
    const waits: number[] = []
    for (let n = 0; n < 3; n += 1) {
      await it.pass(0)
      it.end({})
      const before = it.environment.now()
      const made = it.lines.length
      while (it.lines.length === made) await it.pass(50)
      waits.push(it.environment.now() - before)
    }
    await it.pass(0)
    it.greet()
    await it.pass(6000)
    it.end({})
    await it.pass(499)
    const early = it.lines.length
    await it.pass(1)

    expect(waits).toEqual([500, 1000, 2000])
    expect(it.lines.length).toBe(early + 1)
  })

  test('comes back exactly when the server says, whatever the network says meanwhile', async () => {
    const it = connect()
    await it.pass(0)
    it.greet()
    it.end({ code: 1012, retryAfterMs: 7000 })
    it.connection.wake()
    await it.pass(6999)
    const early = it.lines.length
    await it.pass(1)

    expect([early, it.lines.length]).toEqual([1, 2])
  })

  test('comes back at once when the network is back and the wait was its own', async () => {
    const it = connect(1)
    await it.pass(0)
    it.end({})
    it.connection.wake()
    await it.pass(0)

    expect(it.lines.length).toBe(2)
  })

  test('stays away after a close that says so', async () => {
    const it = connect()
    await it.pass(0)
    it.greet()
    it.end({ code: 4503 })
    await it.pass(3_600_000)

    expect(it.seen).toEqual(['connecting', 'connected', 'closed disconnected'])
    expect([it.lines.length, it.timers.size]).toEqual([1, 0])
  })

  test('an attempt that comes to nothing is given up after 10 s', async () => {
    const it = connect(0)
    await it.pass(9999)
    const early = it.closes
    await it.pass(1)

    expect([early, it.closes, it.seen.slice(0, 2)]).toEqual([0, 1, ['connecting', 'waiting 1006']])
  })

  test('a line is dead when nothing was heard for one and a half heartbeats, and alive while anything is', async () => {
    const it = connect(1)
    await it.pass(0)
    it.greet()
    for (let n = 0; n < 20; n += 1) {
      await it.pass(10_000)
      it.lines[0]?.onMessage({ type: 'pong' })
    }
    const [alive, pings] = [it.connection.status, it.pings]
    await it.pass(45_000 + 7500)

    expect([alive, it.seen.at(2)]).toEqual(['connected', 'waiting 1006'])
    expect(pings).toBeGreaterThanOrEqual(5)
  })

  test('a page that is shown again finds a dead line within 5 s', async () => {
    const it = connect(1)
    await it.pass(0)
    it.greet()
    it.connection.wake()
    await it.pass(4999)
    const before = it.connection.status
    await it.pass(1)

    expect([before, it.connection.status, it.pings]).toEqual(['connected', 'waiting', 1])
  })

  test('what an earlier line still says is not heard', async () => {
    const it = connect(0)
    await it.pass(0)
    const [first] = it.lines
    it.end({})
    await it.pass(0)
    first?.onMessage({ type: 'connection_established' })
    first?.onEnd({ code: 4503, reason: '' })

    expect(it.connection.status).toBe('connecting')
  })

  test('nothing is left of it when it is closed', async () => {
    const it = connect()
    await it.pass(0)
    it.greet()
    it.connection.close()

    expect([it.timers.size, it.closes, it.connection.status]).toEqual([0, 1, 'closed'])
  })
})

test('a reply that comes too late is nobody’s, and what has no reply’s id is for others', async () => {
  const { environment, pass } = createMachine()
  const replies = createReplies(environment, () => undefined)
  const outcome = replies.request({ type: 'greet' }, 500).catch((error: LightwireError) => error.code)
  await pass(500)

  expect([await outcome, replies.take({ type: 'greeting', id: 1 })]).toEqual(['timeout', true])
  expect([{ type: 'notice' }, { type: 'notice', id: 7 }].map(replies.take)).toEqual([false, false])
})

describe('the outbox', () => {
  function open(max = 3) {
    const machine = createMachine()
    const sent: Message[] = []
    const answers: ((outcome: Message | LightwireError) => void)[] = []
    let isUp = true
    const outbox = createOutbox({
      environment: machine.environment,
      max,
      isUp: () => isUp,
      request: (message) =>
        new Promise((resolve, reject) => {
          sent.push(message)
          answers.push((outcome) => (outcome instanceof LightwireError ? reject(outcome) : resolve(outcome)))
        }),
    })
    const publish = (status: string) => {
      const outcome = outbox.publish({ type: 'system_status', status }, {})
      return outcome.then(
        ({ seq }) => seq,
        (error: LightwireError) => error.code,
      )
    }
    return { ...machine, outbox, sent, answers, publish, turn: (up: boolean) => void (isUp = up) }
  }
  const published = (seq: number): Message => ({
    type: 'published',
    event_type: 'system_status',
    channel: 'system',
    seq,
  })
  const texts = (sent: readonly Message[]) => sent.map(({ event }) => (event as { status: string }).status)

  test('sends one after the other, and the same again with its key when there was no answer', async () => {
    const it = open()
    const all = [it.publish('a'), it.publish('b')]
    it.answers[0]?.(new LightwireError('timeout', 'the line is gone'))
    await it.pass(0)
    it.outbox.resume()
    it.answers[1]?.(published(1))
    await it.pass(0)
    it.answers[2]?.(published(2))

    expect(await Promise.all(all)).toEqual([1, 2])
    expect(texts(it.sent)).toEqual(['a', 'a', 'b'])
    expect(it.sent[0]?.['key']).toBe(it.sent[1]?.['key'] as string)
    expect(it.sent[2]?.['key']).not.toBe(it.sent[0]?.['key'] as string)
  })

  test('waits as long as the server says, and what is refused for good lets the next one pass', async () => {
    const it = open()
    const all = [it.publish('a'), it.publish('b')]
    it.answers[0]?.(new LightwireError('rate_limited', '', 4000))
    await it.pass(3999)
    const early = it.sent.length
    await it.pass(1)
    it.answers[1]?.(new LightwireError('forbidden', ''))
    await it.pass(0)
    it.answers[2]?.(published(7))

    expect(await Promise.all(all)).toEqual(['forbidden', 7])
    expect([early, texts(it.sent)]).toEqual([1, ['a', 'a', 'b']])
  })

  test('keeps so many while the line is down, refuses the next at once, and ends them when it is closed', async () => {
    const it = open(2)
    it.turn(false)
    const all = ['a', 'b', 'c'].map(it.publish)
    await it.pass(60_000)
    const sent = it.sent.length
    it.outbox.close(new LightwireError('closed', ''))

    expect(await Promise.all(all)).toEqual(['closed', 'closed', 'queue_full'])
    expect([sent, it.timers.size]).toEqual([0, 0])
  })

  test('closed while an answer is waited for, it waits for nothing any more', async () => {
    const it = open()
    const outcome = it.publish('a')
    it.answers[0]?.(new LightwireError('timeout', 'the line is gone'))
    it.outbox.close(new LightwireError('closed', ''))
    await it.pass(0)

    expect([await outcome, it.timers.size]).toEqual(['closed', 0])
  })

  test('an answer that is late for its caller is not waited for, and the next goes out', async () => {
    const it = open()
    it.turn(false)
    const late = it.outbox
      .publish({ type: 'system_status', status: 'a' }, { timeoutMs: 500 })
      .catch((error: LightwireError) => error.code)
    const next = it.publish('b')
    await it.pass(500)
    it.turn(true)
    it.outbox.resume()
    it.answers[0]?.(published(1))

    expect([await late, await next, texts(it.sent)]).toEqual(['timeout', 1, ['b']])
  })
})

describe('a follower', () => {
  function follow(onSnapshot: (value: number) => void = () => undefined) {
    const machine = createMachine()
    const positions = createPositions()
    const reads: { resolve(snapshot: Snapshot<number>): void; reject(error: Error): void }[] = []
    let isClosed = false
    const follower = createFollower<number>(
      () => new Promise((resolve, reject) => reads.push({ resolve, reject })),
      ['jobs'],
      { onSnapshot, onEvent: () => undefined },
      {
        environment: machine.environment,
        positions,
        read: () => Promise.reject(new Error('nothing is read')),
        hold: () => ({ ready: Promise.resolve(), release: () => undefined }),
        differs: () => false,
        isClosed: () => isClosed,
        onError: () => undefined,
      },
    )
    const close = () => {
      isClosed = true
      follower.close()
    }
    return { ...machine, positions, reads, follower, close }
  }

  test.each(['stop', 'close'] as const)('after %s it does not wait for its next attempt', async (how) => {
    const it = follow()
    it.reads[0]?.reject(new Error('away'))
    await it.pass(0)
    const waiting = it.timers.size
    if (how === 'close') it.close()
    else it.follower.following.stop()
    const outcome = await it.follower.following.ready.catch((error: LightwireError) => error.code)

    expect([waiting, it.timers.size, outcome]).toEqual([1, 0, how === 'close' ? 'closed' : undefined])
  })

  test('its position lost while the state is read, it is ready with the state that is read then', async () => {
    const seen: unknown[] = []
    const it = follow((value) => seen.push(value))
    void it.follower.following.ready.then(() => seen.push('ready'))
    it.follower.lost(['jobs'])
    it.reads[0]?.resolve({ value: 1, cursor: 'e:jobs=1' })
    await it.pass(0)
    const before = [...seen]
    it.reads[1]?.resolve({ value: 2, cursor: 'e:jobs=2' })
    await it.pass(0)

    expect([before, seen]).toEqual([[], [2, 'ready']])
  })

  test('stopped as it gives the state, it leaves no place behind', async () => {
    const it = follow(() => it.follower.following.stop())
    it.reads[0]?.resolve({ value: 1, cursor: 'e:jobs=1' })
    await it.pass(0)

    expect(it.positions.has('jobs')).toBe(false)
  })
})
