/** Routes of events: the stream for clients that hold no socket, and publishing for systems that keep their rows elsewhere. */
import * as z from 'zod'
import { mayRead, requireChannel, type Principal } from '../access/rights.ts'
import {
  channelOf,
  EVENTS_PER_PUBLISH_MAX,
  publicationOf,
  publishable,
  publishAll,
} from '../domain/publishing.ts'
import { numberParam } from '../domain/values.ts'
import { decodeJson } from '../protocol/codec.ts'
import { parseCursor, type Cursor } from '../protocol/cursor.ts'
import { channels, type Channel } from '../protocol/events.ts'
import { filterSchema, operators, parseFilter, type Fields, type Filter } from '../protocol/filter.ts'
import { parseChannels } from '../protocol/messages.ts'
import { cursor } from '../protocol/server-messages.ts'
import { route, type Route } from './route.ts'

const tag = 'events'
/** Text of fields and blank lines; its parts are the events of the catalogue. */
const eventStream = z.string().meta({ description: 'server-sent events (WHATWG HTML §9.2)' })
const PULL_LIMIT_MAX = 1000
const PULL_LIMIT_DEFAULT = 100
const WAIT_SECONDS_MAX = 30
/** Longest text of a `where`; Bun takes 16 KB of a request's line and headers together. */
const WHERE_LENGTH_MAX = 8192
const CHANNELS_LENGTH_MAX = 512

/** What is asked for, checked against the rights of who asks. */
interface Followed {
  readonly principal: Principal
  readonly channels: readonly Channel[]
  readonly since: Cursor | undefined
  readonly filter: Filter | undefined
}

export interface EventServices {
  readonly pull: (
    request: Followed & {
      readonly limit: number
      readonly waitMs: number
      readonly signal: AbortSignal
      readonly requireStanding: () => void
    },
  ) => Promise<{ events: readonly Fields[]; cursor: string; more: boolean }>
  readonly openStream: (
    request: Followed & {
      readonly address: string
      readonly requestId: string
      readonly signal: AbortSignal
      readonly requireStanding: () => void
      readonly limitSilence: (seconds: number) => void
    },
  ) => Promise<ReadableStream<Uint8Array>>
}

const followed = {
  channels: z
    .string()
    .max(CHANNELS_LENGTH_MAX)
    .regex(/^[a-z]+(,[a-z]+)*$/, 'expected names with commas between them')
    .optional()
    .meta({
      description: `comma-separated, of ${channels.join(', ')}; unless given all that the token grants`,
    }),
  since: cursor.optional().meta({ description: 'a cursor; a channel that it leaves out begins now' }),
  where: z
    .string()
    .max(WHERE_LENGTH_MAX)
    .optional()
    .meta({
      description: `a filter as JSON, such as {"session_id":12} or {"progress":{"gte":50}}; there are ${operators.join(', ')}`,
      contentMediaType: 'application/json',
      contentSchema: filterSchema,
    }),
}

const LAST_EVENT_ID = 'Last-Event-ID'
const lastEventId = z
  .union([cursor, z.literal('')])
  .optional()
  .meta({ description: 'the id of the last event that was received; it wins over since' })

const eventSchema = z.looseObject({ type: z.string(), channel: z.enum(channels), seq: z.int().min(1) })

const pullQuery = z.strictObject({
  ...followed,
  limit: numberParam(z.int().min(1).max(PULL_LIMIT_MAX)).default(PULL_LIMIT_DEFAULT),
  wait: numberParam(z.number().min(0).max(WAIT_SECONDS_MAX))
    .default(0)
    .meta({ description: 'seconds to wait for the first event' }),
})

/** @throws {Refusal} about channels, rights, cursor or filter */
function followedBy(
  query: { readonly [N in keyof typeof followed]?: string | undefined },
  principal: Principal,
  since = query.since,
): Followed {
  const granted = channels.filter((channel) => mayRead(principal, channel))
  const wanted = query.channels === undefined ? granted : parseChannels(query.channels.split(','))
  for (const channel of wanted) requireChannel(principal, 'read', channel)
  return {
    principal,
    channels: wanted,
    since: since === undefined ? undefined : parseCursor(since),
    filter: query.where === undefined ? undefined : parseFilter(decodeJson(query.where, 'where'), wanted),
  }
}

export function eventRoutes(services: EventServices): readonly Route[] {
  return [
    route({
      method: 'get',
      path: '/api/events',
      waits: true,
      summary: 'A page of events after a cursor, oldest first; with wait it holds on until there is one',
      tag,
      right: 'read',
      query: pullQuery,
      status: 200,
      answer: z.object({
        events: z.array(eventSchema),
        cursor,
        more: z
          .boolean()
          .meta({ description: 'whether another page is there already; this one may be empty' }),
      }),
      refuses: ['unknown_channel', 'cursor_gone', 'too_many_connections'],
      act: {
        async give({ query, principal, signal, requireStanding }) {
          const { limit, wait, ...rest } = query
          const request = { limit, waitMs: wait * 1000, signal, requireStanding }
          const { events, ...page } = await services.pull({ ...followedBy(rest, principal), ...request })
          return { events: events as z.output<typeof eventSchema>[], ...page }
        },
      },
    }),
    route({
      method: 'get',
      path: '/api/events/stream',
      summary: 'Events as they happen, as server-sent events; each id is a cursor of all the channels',
      tag,
      right: 'read',
      query: z.strictObject(followed),
      headers: z.object({ [LAST_EVENT_ID]: lastEventId }),
      status: 200,
      answer: eventStream,
      refuses: ['unknown_channel', 'cursor_gone', 'too_many_subscriptions', 'too_many_connections'],
      act: {
        stream: ({ query, headers, principal, ...request }) =>
          services.openStream({
            // What a browser brings back wins (WHATWG HTML §9.2.4).
            ...followedBy(query, principal, headers.get(LAST_EVENT_ID) || query.since),
            ...request,
          }),
      },
    }),
    route({
      method: 'post',
      path: '/api/events',
      summary: 'Publishes an event, or up to 1,000: all or none; the scope may be that of a channel',
      tag,
      right: 'publish',
      body: z.union([publishable, z.array(publishable).min(1).max(EVENTS_PER_PUBLISH_MAX)]),
      status: 201,
      answer: z.object({
        published: z.array(z.object({ channel: z.enum(channels), seq: z.int().min(1) })),
      }),
      refuses: ['unknown_type', 'conflict'],
      act: {
        async run(answering, { body, principal }) {
          const events = Array.isArray(body) ? body : [body]
          for (const { type } of events) requireChannel(principal, 'publish', channelOf(type))
          const publications = events.map((event) => publicationOf(event, principal.subject))
          return await answering.write({
            run: (write) => publishAll(write, publications),
            answer: (stored) => ({ published: stored.events.map(({ channel, seq }) => ({ channel, seq })) }),
          })
        },
      },
    }),
  ]
}
