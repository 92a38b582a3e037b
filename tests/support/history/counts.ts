/** What a run was made of: counted per transport and option, so that a test can ask whether each really occurred. */
import type { Message } from '../client.ts'
import { covers } from './operator-record.ts'
import type { History, Segment, Transport } from './record.ts'

export type Counts = ReturnType<typeof count>

export function count(history: History) {
  const {
    writes,
    acknowledged,
    unavailable,
    journal,
    reads,
    subscribers,
    routes,
    pulls,
    replays,
    rescued,
    lives,
  } = history
  const segments = subscribers.flatMap((subscriber) => subscriber.segments)
  const received = segments.flatMap((segment) => segment.received)
  const endings = subscribers.flatMap((subscriber) => subscriber.endings)
  const codes = Map.groupBy(endings, ({ code }) => String(code))
  const sentAway = codes.get('4503') ?? []
  const of = (transport: Transport) => segments.filter((segment) => segment.transport === transport)
  const eventsOf = (transport: Transport) =>
    sum(of(transport).flatMap(({ received: own }) => own.map(eventsIn)))
  return {
    acknowledged,
    unanswered: writes.filter(({ outcome }) => outcome === 'unanswered').length,
    unavailable,
    replays,
    rescued,
    events: sum([...journal.values()].map((events) => events.length)),
    reads: reads.length,
    connections: segments.length,
    frames: received.length,
    words: received.filter(({ type }) => type === 'word').length,
    endings: Object.fromEntries([...codes].map(([code, { length }]) => [code, length])),
    revoked: sentAway.filter(({ passes }) =>
      passes.some((pass) => history.revocations.some((by) => covers(by, pass))),
    ).length,
    drained: endings.filter(({ code, life }) => code === 1012 && lives[life] === 'drain').length,
    websocket: {
      segments: of('websocket').length,
      events: eventsOf('websocket'),
      ...options(of('websocket')),
    },
    sse: {
      segments: of('sse').length,
      events: eventsOf('sse'),
      resumes: askedBy(of('sse')).filter(({ since }) => since !== undefined).length,
      filtered: askedBy(of('sse')).filter(({ where }) => where).length,
    },
    pull: {
      pages: pulls.length,
      events: sum(pulls.map(({ events }) => events.length)),
      filtered: pulls.filter(({ where }) => where).length,
      waited: pulls.filter(({ wait, events }) => wait > 0 && events.length > 0).length,
      full: pulls.filter(({ events, limit }) => events.length === limit).length,
    },
    poll: {
      sessions: of('poll').length,
      events: eventsOf('poll'),
      lostAnswers: sum(
        of('poll').map(({ received: own }) => own.filter(({ type }) => type === 'lost').length),
      ),
    },
    rights: rightsOf(history, segments),
    routes: Object.fromEntries(routes),
  }
}

/** What the passes opened, and how they changed and ended under way. */
function rightsOf({ reads, pulls, shown }: History, segments: readonly Segment[]) {
  const held = segments.flatMap((segment) => segment.held)
  const received = segments.flatMap((segment) => segment.received)
  const by = (transport: Transport) => segments.filter((segment) => segment.transport === transport)
  const refused = shown.flatMap(({ code }) => code ?? [])
  return {
    passes: held.length,
    byRows: held.filter(({ pass }) => pass.right.grants.length > 0).length,
    refreshes: received.filter(({ type }) => type === 'authenticated').length,
    exchanges: received.filter(({ type }) => type === 'shown').length,
    warned: received.filter(({ type }) => type === 'token_expiring').length,
    expiredSockets: countExpired(by('websocket')),
    expiredStreams: countExpired(by('sse')),
    cameLate: refused.filter((code) => code === 'unauthenticated').length,
    cameRevoked: refused.filter((code) => code === 'invalid_token').length,
    barred: received.filter(({ type, code }) => type === 'error' && code === 'forbidden').length,
    pages: pulls.filter(({ right }) => right.grants.length > 0).length,
    reads: reads.filter(({ seen }) => seen).length,
  }
}

/** Connections that were told that their token had expired. */
function countExpired(segments: readonly Segment[]): number {
  return segments.filter(({ held }) => held.some(({ expiredMs }) => expiredMs !== undefined)).length
}

/** What the subscriptions asked for, and what came of it. */
function options(segments: readonly Segment[]) {
  const asked = askedBy(segments)
  const received = segments.flatMap((segment) => segment.received)
  return {
    batches: received.filter(({ type }) => type === 'batch').length,
    subscriptions: asked.length,
    filtered: asked.filter(({ where }) => where).length,
    held: asked.filter(({ batch_ms }) => batch_ms).length,
    conflating: asked.filter(({ conflate }) => conflate).length,
    unsubscribed: received.filter(({ type }) => type === 'unsubscription_confirmed').length,
  }
}

function askedBy(segments: readonly Segment[]) {
  return segments.flatMap(({ asked }) => [...asked.values()])
}

function eventsIn(message: Message): number {
  if (message.type === 'batch') return (message['events'] as unknown[]).length
  return typeof message['seq'] === 'number' ? 1 : 0
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
