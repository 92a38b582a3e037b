/** What the tests of events share: a server whose clock stands still, its audience, and events as they must come. */
import { expect } from 'bun:test'
import { framings } from '../../lib/protocol/codec.ts'
import { channels, type Channel, type EventType } from '../../lib/protocol/events.ts'
import type { ServerOptions } from '../../server.ts'
import type { Api } from '../support/api.ts'
import type { Message, TestClient } from '../support/client.ts'
import { startTestServer, type TestServer } from '../support/server.ts'
import { eventCases } from './event-cases.ts'
import type { Shot } from './studio.ts'

/** The time of everything. */
export const AT = '2026-05-06T07:08:09.123Z'

export function start(options: ServerOptions = {}): Promise<TestServer> {
  return startTestServer({}, { now: () => new Date(AT), ...options })
}

/** An event's type and exact fields. */
export type Told = readonly [EventType, object]

/** The position of each channel in a cursor. */
export function headsOf(cursor: unknown): Readonly<Record<string, number>> {
  const positions = String(cursor).split(':')[1]?.split(',') ?? []
  return Object.fromEntries(
    positions.map((position) => [position.split('=')[0], Number(position.split('=')[1])]),
  )
}

/** Every event as it must come: numbered on from the heads, its envelope first. */
export function numbered(
  heads: Readonly<Record<string, number>>,
  told: readonly Told[],
  timestamp: string = AT,
) {
  const next: Record<string, number> = { ...heads }
  return told.map(([type, data]) => {
    const channel = channelOf(type)
    next[channel] = (next[channel] ?? 0) + 1
    return { type, timestamp, channel, seq: next[channel], ...data }
  })
}

export function channelOf(type: EventType): Channel {
  const channel = channels.find((name) => Object.hasOwn(eventCases[name], type))
  if (!channel) throw new Error(`the table has no ${type}`)
  return channel
}

/** What came between the confirmed subscription and the pong: nothing but events. */
export function between({ received }: TestClient): Message[] {
  const types = received.map(({ type }) => type)
  expect(types.slice(0, 2)).toEqual(['connection_established', 'subscription_confirmed'])
  expect(types.at(-1)).toBe('pong')
  return received.slice(2, -1)
}

/** Clients of every framing, and one that follows all channels but this. */
export async function audience(server: TestServer, followed: readonly Channel[]) {
  const subscribers = await Promise.all(framings.map((framing) => server.connect({ framing })))
  const [first, ...more] = await Promise.all(subscribers.map((client) => client.subscribe(followed)))
  const elsewhere = await server.connect()
  const others = channels.filter((channel) => !followed.includes(channel))
  if (others.length > 0) await elsewhere.subscribe(others)
  const nowhere = await server.connect()
  const all = [...subscribers, elsewhere, nowhere]
  return {
    subscribers,
    elsewhere,
    nowhere,
    heads: headsOf(first?.['cursor']),
    same: more.every(({ cursor }) => cursor === first?.['cursor']),
    sync: () => Promise.all(all.map((client) => client.sync())),
  }
}

/** All rows and counts as REST tells them, with one name for the one job. */
export async function stateOf(api: Api, { job }: Pick<Shot, 'job'>): Promise<unknown> {
  const paths = ['sessions', 'photos', 'jobs', 'exports', 'queue', 'approval/queue', 'sessions/1']
  const answers = await Promise.all(paths.map((path) => api<object>('GET', `/api/${path}`)))
  return withoutJob(
    answers.map(({ body }) => body),
    job,
  )
}

function withoutJob(value: unknown, job: string): unknown {
  const text = JSON.stringify(value)
  return JSON.parse(job === '' ? text : text.replaceAll(job, 'the-job'))
}

/** What a follower of all channels got, per channel in its order. */
export function perChannel(events: readonly Message[], job: string): unknown {
  return withoutJob(
    channels.map((channel) => events.filter((event) => event['channel'] === channel)),
    job,
  )
}
