/** The doctor's other ways to the same events: batches, server-sent events, pull and polls must give what a socket got. */
import { randomUUID } from 'node:crypto'
import * as z from 'zod'
import { formatCursor, type Positions } from '../lib/protocol/cursor.ts'
import { catalogue, isEventType, type Channel } from '../lib/protocol/events.ts'
import type { Message } from './demo-client.ts'
import { requireStatus } from './doctor-api.ts'
import { readBatches, requireLatest, requireNewest, stateKeyOf } from './doctor-batches.ts'
import { clientTypesOf, needChannels, needRights, type Context } from './doctor-context.ts'
import {
  cursorOf,
  get,
  lies,
  post,
  referenceOf,
  requireSame,
  TRANSPORT_LOOK as look,
  type Reference,
} from './doctor-reference.ts'
import { Fault, need, NotTried, within } from './doctor-report.ts'
import { readEventStream } from './doctor-stream.ts'
import { REPLY_MS_MAX, type Watcher } from './doctor-watcher.ts'
import { ask } from './rest-client.ts'

/** A page small enough that a short shoot takes several. */
const PAGE_EVENTS = 25
const LONG_POLL_SECONDS = 10
const POLLS_MAX = 200
const wordless = 'this run has no session'

const eventList = z.array(z.looseObject({ type: z.string() }))
const pageSchema = z.object({ events: eventList, cursor: z.string(), more: z.boolean() })
const handshakeSchema = z.object({ success: z.literal(true), client_id: z.string() })
const pollSchema = z.object({ success: z.literal(true), messages: eventList })
const replySchema = z.object({ success: z.literal(true), response: z.looseObject({ type: z.string() }) })
const goodbyeSchema = z.object({ success: z.literal(true) })

export async function checkTransports(
  context: Context,
  sessionId: number | undefined,
  watchers: readonly Watcher[],
): Promise<void> {
  const { report } = context
  const some = () => referenceOf(need(watchers[0], 'no socket watches'))
  await report.check('filters and batches', async (note) => {
    const reference = await some()
    const session_id = need(sessionId, wordless)
    const channels = needChannels(context).filter((channel) => hasField(channel, 'session_id'))
    if (channels.length === 0) throw new NotTried('token reads no channel about sessions')
    const got = await readBatches(context, reference, { channels, where: { session_id } })
    const wanted = reference.events.filter((event) => event['session_id'] === session_id)
    requireSame('a filtered subscription', upTo(reference, got), wanted, channels)
    note(`${wanted.length} of ${reference.events.length} events pass the filter`)
  })
  await report.check('conflation', async (note) => {
    const reference = await some()
    const got = await readBatches(context, reference, {
      channels: needChannels(context),
      conflate: true,
      batch_ms: 0,
    })
    for (const batch of got) requireNewest(batch)
    const facts = (events: readonly Message[]) => events.filter((event) => stateKeyOf(event) === undefined)
    requireSame(
      'a conflated subscription',
      facts(upTo(reference, got)),
      facts(reference.events),
      context.channels,
    )
    requireLatest(got.flat(), reference.events)
    note(`${reference.events.length} events in ${got.flat().length}, every fact among them`)
  })
  await report.check('stream resumes', async (note) => {
    const reference = await some()
    const { got, left } = await streamTwice(context, reference)
    requireSame('a stream that came back', got, reference.events, context.channels)
    note(`left after ${left} events, came back with Last-Event-ID`)
  })
  await report.check('pull and long-poll', async (note) => {
    const reference = await some()
    const { events, pages } = await pull(context, reference)
    requireSame('pull', events, reference.events, context.channels)
    note(`${events.length} events in ${pages} pages, ${await longPoll(context, reference)}`)
  })
  await report.check('polling session', async (note) => {
    const reference = await some()
    const { events, polls } = await pollSession(context, reference)
    requireSame('a polling session', events, reference.events, context.channels)
    note(`${events.length} events in ${polls} polls`)
  })
  await report.check('idempotent repeat', async (note) => {
    needRights(context, 'apiWrite')
    const key = randomUUID()
    const first = await reportError(context, key)
    const again = await reportError(context, key)
    if (first.replayed !== null || again.replayed !== 'true') {
      const seen = `${first.replayed ?? 'no header'}, then ${again.replayed ?? 'no header'}`
      throw new Fault({ expected: 'Idempotency-Replayed on the repeat alone', seen, look })
    }
    if (first.text !== again.text || first.cursor !== again.cursor)
      throw new Fault({
        expected: 'the first answer again',
        seen: `${again.text} at ${again.cursor}`,
        look,
      })
    const count = await countErrors(context, key, first.cursor)
    if (count !== undefined && count !== 1)
      throw new Fault({ expected: 'one event of two equal requests', seen: String(count), look })
    note(count === undefined ? 'the first answer came again' : 'the first answer came again, the event once')
  })
}

/** The first half on one stream, the rest on one that comes back with the last id. */
async function streamTwice({ url, token }: Context, { since, upto, events }: Reference) {
  const place = {
    url,
    token,
    path: `/api/events/stream?${new URLSearchParams({ channels: channelsOf(upto) })}`,
  }
  const left = Math.ceil(events.length / 2)
  const first = await within(
    readEventStream(place, since, ({ got }) => got.length >= left),
    REPLY_MS_MAX,
    { expected: `${left} events on a stream`, look },
  )
  const isThere = (id: string) => {
    const { positions } = cursorOf(id)
    return Object.entries(upto).every(([channel, seq]) => (positions[channel as Channel] ?? 0) >= seq)
  }
  const second = await within(
    readEventStream(place, first.id, ({ id }) => isThere(id)),
    REPLY_MS_MAX,
    { expected: 'a stream that came back to reach where the others are', look },
  )
  const got = [...first.got, ...second.got].filter((event) => lies(event, upto))
  return { got, left: first.got.length }
}

/** Page by page to the reference's end. */
async function pull(context: Context, { since, upto }: Reference) {
  const events: Message[] = []
  let cursor = since
  for (let pages = 1; ; pages += 1) {
    const query = new URLSearchParams({ channels: channelsOf(upto), since: cursor, limit: `${PAGE_EVENTS}` })
    const page = await get(context, `/api/events?${query}`, pageSchema)
    events.push(...page.events.filter((event) => lies(event, upto)))
    cursor = page.cursor
    if (!page.more) return { events, pages }
  }
}

/** Waits where everything was read: for an event of our own where the token lets us make and read one. */
async function longPoll(context: Context, { upto, since }: Reference): Promise<string> {
  const mayTell = context.rights.apiWrite && context.channels.includes('system')
  const key = randomUUID()
  const query = new URLSearchParams({
    channels: mayTell ? 'system' : channelsOf(upto),
    since: formatCursor({ epoch: cursorOf(since).epoch, positions: upto }),
    wait: mayTell ? `${LONG_POLL_SECONDS}` : '0.1',
    ...(mayTell ? { where: JSON.stringify({ error_type: `doctor-${key}` }) } : {}),
  })
  const waiting = get(context, `/api/events?${query}`, pageSchema)
  if (!mayTell) return await waiting.then(() => 'nothing to wait for')
  await reportError(context, key)
  const { events } = await waiting
  if (events.length !== 1)
    throw new Fault({
      expected: 'a long-poll to be answered by the event that it waits for',
      seen: `${events.length} events`,
      look,
    })
  return 'a long-poll answered by its event'
}

async function pollSession(context: Context, { since, upto }: Reference) {
  const { aside: client_type } = clientTypesOf(context)
  const begun = await post(context, '/ws/handshake', { client_type, protocol_version: '1' }, handshakeSchema)
  const { client_id } = begun
  const message = { type: 'subscribe', channels: Object.keys(upto), since }
  const { response } = await post(context, '/ws/send', { client_id, message }, replySchema)
  if (response.type !== 'subscription_confirmed')
    throw new Fault({ expected: 'subscription_confirmed', seen: JSON.stringify(response), look })
  const positions: Positions = { ...cursorOf(String(response['cursor'])).positions }
  const events: Message[] = []
  let polls = 0
  const behind = () =>
    Object.entries(upto).some(([channel, seq]) => (positions[channel as Channel] ?? 0) < seq)
  while (behind()) {
    polls += 1
    if (polls > POLLS_MAX)
      throw new Fault({ expected: 'polls to reach where the others are', seen: `${polls} polls`, look })
    const { messages } = await get(context, `/ws/poll?client_id=${client_id}`, pollSchema)
    for (const event of messages.filter(({ type }) => isEventType(type))) {
      positions[event['channel'] as Channel] = Number(event['seq'])
      if (lies(event, upto)) events.push(event)
    }
  }
  await post(context, '/ws/disconnect', { client_id }, goodbyeSchema)
  return { events, polls }
}

async function reportError(context: Context, key: string) {
  const body = {
    error_type: `doctor-${key}`,
    error_message: 'a planned report of a check',
    error_details: { run: context.run },
  }
  const answer = await ask(context, 'POST', '/api/system/errors', body, { 'Idempotency-Key': key })
  requireStatus('POST /api/system/errors', answer, 201)
  return { ...answer, replayed: answer.headers.get('idempotency-replayed') }
}

/** How many events of this kind there are since just before the first; undefined where the token may not read them. */
async function countErrors(context: Context, key: string, cursor: string): Promise<number | undefined> {
  if (!context.channels.includes('system')) return undefined
  const { epoch, positions } = cursorOf(cursor)
  const since = formatCursor({ epoch, positions: { system: Math.max(0, (positions.system ?? 0) - 1) } })
  const where = JSON.stringify({ error_type: `doctor-${key}` })
  const query = new URLSearchParams({ channels: 'system', since, where })
  return (await get(context, `/api/events?${query}`, pageSchema)).events.length
}

function upTo({ upto }: Reference, batches: readonly (readonly Message[])[]): Message[] {
  return batches.flat().filter((event) => lies(event, upto))
}

function hasField(channel: Channel, field: string): boolean {
  return Object.values(catalogue).some((type) => type.channel === channel && field in type.data.shape)
}

const channelsOf = (positions: Positions) => Object.keys(positions).join(',')
