/** What the server says beside the events (PROTOCOL §2): one strict schema per message, as it is on the wire. */
import * as z from 'zod'
import { framings, subprotocolOf } from './codec.ts'
import { CURSOR_LENGTH_MAX, CURSOR_TEXT } from './cursor.ts'
import { channels, eventTypes } from './events.ts'
import {
  clientMessages,
  clientTypeSchema,
  messageId,
  type ClientMessageType,
  type Recovery,
} from './messages.ts'
import { refusals, type RefusalCode } from './refusals.ts'

/** The names that `Sec-WebSocket-Protocol` negotiates. */
export const subprotocols = framings.map(subprotocolOf)

export const timestamp = z.iso
  .datetime({ precision: 3 })
  .meta({ description: 'UTC, ISO 8601 with milliseconds and Z' })

export const cursor = z
  .string()
  .regex(CURSOR_TEXT)
  .max(CURSOR_LENGTH_MAX)
  .meta({ description: '<epoch>:<channel>=<seq>,… with the channels in alphabetic order' })

export const channelName = z.enum(channels)
const channelNames = z.array(channelName).meta({ description: 'everything now subscribed' })

export const recovery = z.discriminatedUnion('status', [
  z.strictObject({ status: z.literal('live') }),
  z.strictObject({ status: z.literal('recovered') }),
  z.strictObject({ status: z.literal('snapshot_required'), reason: z.enum(['epoch', 'trimmed']) }),
]) satisfies z.ZodType<Recovery>

const retryAfterMs = z
  .int()
  .min(0)
  .meta({ description: 'milliseconds after which the same may succeed' })
  .optional()

const percentInUse = z
  .number()
  .min(0)
  .max(100)
  .nullable()
  .meta({ description: 'percent; null where it could not be measured' })
const perSecond = z.number().min(0)
const whole = z.int().min(0)

/** Said without being asked: no id. */
const unasked = <T extends string, S extends z.ZodRawShape>(type: T, shape: S) =>
  z.strictObject({ type: z.literal(type), ...shape })

const reply = <T extends string, S extends z.ZodRawShape>(type: T, shape: S) =>
  z.strictObject({ type: z.literal(type), ...shape, id: messageId.optional() })

/** Every message of the server that is no event, by type. */
export const serverMessages = {
  connection_established: unasked('connection_established', {
    client_id: z.string().min(1),
    server_time: timestamp,
    protocol: z.enum(subprotocols),
    heartbeat_ms: z.int().positive(),
    epoch: z.string().regex(/^[a-z0-9]{1,32}$/),
  }),
  authenticated: reply('authenticated', {
    subject: z.string(),
    scope: z.string(),
    expires_at: timestamp.nullable(),
    channels: channelNames,
  }),
  registration_confirmed: reply('registration_confirmed', {
    client_id: z.string().min(1),
    client_type: clientTypeSchema,
    client_name: z.string().nullable(),
  }),
  subscription_confirmed: reply('subscription_confirmed', {
    channels: channelNames,
    cursor,
    recovery: z.partialRecord(channelName, recovery),
  }),
  unsubscription_confirmed: reply('unsubscription_confirmed', { channels: channelNames }),
  pong: reply('pong', { timestamp, cursor }),
  published: reply('published', {
    event_type: z.enum(eventTypes),
    channel: channelName,
    seq: z.int().min(1),
  }),
  error: reply('error', {
    error: z.string().meta({ description: 'a sentence for people' }),
    code: z.enum(Object.keys(refusals) as [RefusalCode]),
    timestamp,
    retry_after_ms: retryAfterMs,
  }),
  batch: unasked('batch', {
    channel: channelName,
    after: z.int().min(0),
    upto: z.int().min(0).meta({ description: 'positions after `after` up to here are covered' }),
    events: z
      .array(z.looseObject({ type: z.enum(eventTypes), seq: z.int().min(1) }))
      .meta({ description: 'events of this channel, as they are sent alone; none where all were filtered' }),
  }),
  resource_sample: unasked('resource_sample', {
    timestamp,
    node: z.string(),
    cpu: percentInUse,
    memory: percentInUse,
    disk: percentInUse,
    rss_bytes: whole.meta({ description: 'memory of the server process' }),
    connections: whole,
    readers: whole.meta({ description: 'of these, those that read the journal' }),
    queued_bytes: whole.meta({ description: 'unsent, over all connections' }),
    events_per_second: z
      .partialRecord(channelName, perSecond)
      .meta({ description: 'published since the last sample; a channel without any is left out' }),
    delivered_per_second: perSecond.meta({ description: 'events, once for each client' }),
  }),
  token_expiring: unasked('token_expiring', { expires_at: timestamp }),
  disconnect: unasked('disconnect', {
    code: z.int().min(1000).max(4999).meta({ description: 'the close code that follows (RFC 6455 §7.4)' }),
    reason: z.string(),
    reconnect: z.boolean(),
    retry_after_ms: retryAfterMs,
  }),
} as const

export type ServerMessageType = keyof typeof serverMessages

/** What answers each message of a client; in its place there may always be an `error`. */
export const replyTypes = {
  auth: 'authenticated',
  register: 'registration_confirmed',
  subscribe: 'subscription_confirmed',
  unsubscribe: 'unsubscription_confirmed',
  ping: 'pong',
  publish: 'published',
} as const satisfies Record<ClientMessageType, ServerMessageType>

/** Types that an ephemeral message may not have: they are the protocol's own. */
export const protocolTypes: ReadonlySet<string> = new Set([
  ...Object.keys(clientMessages),
  ...Object.keys(serverMessages),
])
