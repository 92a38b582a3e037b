/** Routes that trace one client (scope `admin`): what it was sent and when, while somebody looks. */
import * as z from 'zod'
import { numberParam, text } from '../domain/values.ts'
import { channels } from '../protocol/events.ts'
import { Refusal } from '../protocol/refusals.ts'
import { timestamp } from '../protocol/server-messages.ts'
import { traceWays, type TraceState } from '../realtime/traces.ts'
import { route, type Route } from './route.ts'

const tag = 'management'
const WAIT_SECONDS_MAX = 30
/** A request that waits is without a byte for longer than others may be. */
const SILENCE_SECONDS = 45
const whole = z.int().min(0)
const params = z.object({ client_id: text(64).min(1) })

export interface TraceServices {
  readonly startTrace: (id: string) => TraceState | undefined
  readonly readTrace: (
    id: string,
    options: { after: number; waitMs: number; signal: AbortSignal },
  ) => Promise<TraceState | undefined>
}

const entrySchema = z
  .object({
    number: whole.meta({ description: 'counts the sends of this trace from 1; those before a gap are gone' }),
    sent_at: timestamp,
    via: z.enum(traceWays).meta({ description: 'with its topic, read from the journal, or by itself' }),
    type: z.string().meta({ description: 'of an event, `batch`, or of a message of the server' }),
    channel: z.enum(channels).nullable(),
    after: whole.nullable(),
    upto: whole.nullable().meta({ description: 'it covers the positions after `after` up to this one' }),
    events: whole,
    bytes: whole.meta({ description: 'on the wire, at most' }),
  })
  .meta({ id: 'TraceEntry' })

const traceSchema = z
  .object({
    client_id: z.string(),
    connected: z.boolean(),
    since: timestamp,
    entries: z.array(entrySchema).readonly().meta({ description: 'the newest 100 at most, oldest first' }),
  })
  .meta({ id: 'Trace' })

const traceQuery = z.strictObject({
  after: numberParam(z.int().min(0)).default(0).meta({ description: 'number of the last entry seen' }),
  wait: numberParam(z.number().min(0).max(WAIT_SECONDS_MAX))
    .default(0)
    .meta({ description: 'seconds to wait for the first entry' }),
})

export function traceRoutes(services: TraceServices): readonly Route[] {
  return [
    route({
      method: 'post',
      path: '/api/websocket/clients/{client_id}/trace',
      summary: 'Traces what a client is sent, until nobody has asked for five minutes',
      tag,
      right: 'admin',
      params,
      status: 200,
      answer: traceSchema,
      refuses: ['not_found'],
      act: {
        run: (answering, { params: { client_id } }) =>
          answering.beside(() => found(services.startTrace(client_id))),
      },
    }),
    route({
      method: 'get',
      path: '/api/websocket/clients/{client_id}/trace',
      summary: 'What a traced client was sent after an entry; with wait it holds on until there is something',
      tag,
      right: 'admin',
      params,
      query: traceQuery,
      waits: true,
      status: 200,
      answer: traceSchema,
      refuses: ['not_found', 'too_many_connections'],
      act: {
        async run(answering, { params: { client_id }, query: { after, wait }, ...input }) {
          input.limitSilence(SILENCE_SECONDS)
          const { signal } = input
          const state = await services.readTrace(client_id, { after, waitMs: wait * 1000, signal })
          input.requireStanding()
          return answering.made(found(state))
        },
      },
    }),
  ]
}

/** @throws {Refusal} `not_found` */
function found(state: TraceState | undefined): TraceState {
  if (!state) throw new Refusal('not_found', 'no such client is traced')
  return state
}
