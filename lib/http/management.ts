/** Routes for operators (scope `admin`): who is connected, what flows, a word to all, an end to one, tokens. */
import * as z from 'zod'
import { timestamp } from '../protocol/server-messages.ts'
import type { Revocation } from '../access/revocations.ts'
import { KNOWN_SCOPE } from '../access/rights.ts'
import type { IssuedToken, TokenRequest } from '../access/tokens.ts'
import { parsePublication, publishAll } from '../domain/publishing.ts'
import { text } from '../domain/values.ts'
import type { Positions } from '../protocol/cursor.ts'
import { catalogue, channels, eventJson, isEventType, type Channel } from '../protocol/events.ts'
import { clientTypeSchema } from '../protocol/messages.ts'
import { Refusal } from '../protocol/refusals.ts'
import type { Audience, ClientInfo } from '../realtime/hub.ts'
import { storeRevocation } from '../store/revocations.ts'
import { route, type Input, type Ran, type Route, type RunWrite } from './route.ts'

const tag = 'management'
const TOKEN_SECONDS_MAX = 365 * 86_400
const whole = z.int().min(0)
const channel = z.enum(channels)

export interface ManagementServices {
  readonly now: () => Date
  readonly clients: () => readonly ClientInfo[]
  readonly subscribers: (channel: Channel) => number
  readonly eventsLastMinute: (channel: Channel) => number
  /** Per channel the newest durable seq. */
  readonly heads: () => Positions
  /** @throws {Refusal} for what is reserved */
  readonly broadcast: (message: Message, audience: Audience) => { sent: Message; recipients: number }
  readonly disconnect: (id: string, options: { reason?: string; reconnect?: boolean }) => boolean
  readonly issueToken: (request: TokenRequest) => Promise<IssuedToken>
  /** Applies a stored revocation here and now; how many connections it ended. */
  readonly revoke: (revocation: Revocation) => number
}

type Message = z.output<typeof messageSchema>

const clientSchema = z
  .object({
    id: z.string(),
    client_type: z.string().nullable(),
    client_name: z.string().nullable(),
    subject: z.string().nullable(),
    connected_at: timestamp,
    last_seen: timestamp,
    protocol: z.string(),
    transport: z.enum(['websocket']),
    channels: z.array(channel),
    cursor_lag: whole.meta({ description: 'durable events of its channels that it was not handed yet' }),
    queued_bytes: whole.meta({ description: 'unsent bytes' }),
    node: z.string(),
  })
  .meta({ id: 'Client' })

const channelSchema = z
  .object({
    channel,
    head_seq: whole,
    subscribers: whole,
    events_last_minute: whole.meta({ description: 'since this node started, if that is shorter ago' }),
  })
  .meta({ id: 'ChannelState' })

const messageSchema = z.looseObject({ type: z.string().min(1).max(64) })

const broadcastInput = z
  .strictObject({
    message: messageSchema,
    channel: channel.optional().meta({ description: 'only to its subscribers' }),
    client_type: clientTypeSchema.optional(),
  })
  .meta({ id: 'Broadcast' })

const broadcastAnswer = z.object({
  message: messageSchema.meta({ description: 'as it was sent' }),
  channel: channel.nullable(),
  recipients: whole.meta({ description: 'clients of this node; a slow one misses an ephemeral message' }),
})

const tokenInput = z
  .strictObject({
    subject: text(256).min(1),
    scope: z.string().max(4096).regex(KNOWN_SCOPE, 'names a scope that there is not'),
    // Row-level grants are reserved: refused rather than silently without effect.
    grants: z.undefined({ error: 'this server does not offer it yet' }).optional(),
    expires_in: z.int().min(1).max(TOKEN_SECONDS_MAX).meta({ description: 'seconds' }),
  })
  .meta({ id: 'TokenRequest' })

const tokenAnswer = z.object({
  token: z.string(),
  jti: z.string(),
  subject: z.string(),
  scope: z.string(),
  expires_at: timestamp,
})

const revocationInput = z
  .union([z.strictObject({ jti: text(256).min(1) }), z.strictObject({ subject: text(256).min(1) })])
  .meta({ id: 'RevocationRequest' })

const revocationAnswer = z.object({
  jti: z.string().optional(),
  subject: z.string().optional(),
  revoked_at: timestamp,
  disconnected: whole.meta({ description: 'connections of this node that ended with it' }),
})

export function managementRoutes(services: ManagementServices): readonly Route[] {
  return [
    route({
      method: 'get',
      path: '/api/websocket/clients',
      summary: 'Lists the clients connected to this node',
      tag,
      right: 'admin',
      query: z.strictObject({
        client_type: clientTypeSchema.optional(),
        channel: channel.optional(),
        subject: text(256).optional(),
      }),
      status: 200,
      answer: z.object({ clients: z.array(clientSchema), count: whole }),
      act: {
        run(_, { query }) {
          const clients = services
            .clients()
            .filter(
              (client) =>
                (query.client_type === undefined || client.client_type === query.client_type) &&
                (query.channel === undefined || client.channels.includes(query.channel)) &&
                (query.subject === undefined || client.subject === query.subject),
            )
          return { value: { clients, count: clients.length } }
        },
      },
    }),
    route({
      method: 'get',
      path: '/api/websocket/channels',
      summary: 'Lists the channels: head, subscribers, events in the last minute',
      tag,
      right: 'admin',
      status: 200,
      answer: z.object({ channels: z.array(channelSchema), count: whole }),
      act: {
        run() {
          const heads = services.heads()
          const states = channels.map((name) => ({
            channel: name,
            head_seq: heads[name] ?? 0,
            subscribers: services.subscribers(name),
            events_last_minute: services.eventsLastMinute(name),
          }))
          return { value: { channels: states, count: states.length }, heads }
        },
      },
    }),
    route({
      method: 'post',
      path: '/api/websocket/broadcast',
      summary: 'Publishes an event of the catalogue, or sends an ephemeral message to the clients of now',
      tag,
      right: 'admin',
      body: broadcastInput,
      status: 200,
      answer: broadcastAnswer,
      refuses: ['conflict', 'too_large'],
      act: { run: (runWrite, input) => broadcast(services, runWrite, input) },
    }),
    route({
      method: 'post',
      path: '/api/websocket/disconnect/{client_id}',
      summary: 'Closes a client: 4503, or 1012 when it is asked to reconnect',
      tag,
      right: 'admin',
      params: z.object({ client_id: text(64).min(1) }),
      body: z
        .strictObject({ reason: text(200).optional(), reconnect: z.boolean().default(false) })
        .meta({ id: 'DisconnectRequest' }),
      bodyOptional: true,
      status: 200,
      answer: z.object({ client_id: z.string(), disconnected: z.literal(true), reconnect: z.boolean() }),
      refuses: ['not_found'],
      act: {
        run(_, { params: { client_id }, body: { reason, reconnect } }) {
          const known = services.disconnect(client_id, {
            reconnect,
            ...(reason === undefined ? {} : { reason }),
          })
          if (!known) throw new Refusal('not_found', 'there is no such client connected')
          return { value: { client_id, disconnected: true as const, reconnect } }
        },
      },
    }),
    route({
      method: 'post',
      path: '/api/tokens',
      summary: "Issues a token, signed with HS256 by this server's key",
      tag,
      right: 'admin',
      body: tokenInput,
      status: 201,
      answer: tokenAnswer,
      act: {
        async run(_, { body: { subject, scope, expires_in } }) {
          const issued = await services.issueToken({ subject, scope, expiresInMs: expires_in * 1000 })
          const { token, jti, expiresAtMs } = issued
          return { value: { token, jti, subject, scope, expires_at: new Date(expiresAtMs).toISOString() } }
        },
      },
    }),
    route({
      method: 'post',
      path: '/api/tokens/revoke',
      summary:
        'Revokes one token, or all of a subject that were issued before now, and ends their connections',
      tag,
      right: 'admin',
      body: revocationInput,
      status: 200,
      answer: revocationAnswer,
      act: {
        async run(runWrite, { body }) {
          const what =
            'jti' in body
              ? ({ kind: 'jti', value: body.jti } as const)
              : ({ kind: 'subject', value: body.subject } as const)
          const asked = services.now()
          const { value: revocation, heads } = await runWrite((write) => storeRevocation(write, what, asked))
          const disconnected = services.revoke(revocation)
          const revoked_at = new Date(revocation.revokedAtMs).toISOString()
          return { value: { ...body, revoked_at, disconnected }, heads }
        },
      },
    }),
  ]
}

async function broadcast(
  { broadcast: send, subscribers }: ManagementServices,
  runWrite: RunWrite,
  { body, principal }: Pick<Input<undefined, undefined, typeof broadcastInput>, 'body' | 'principal'>,
): Promise<Ran<z.output<typeof broadcastAnswer>>> {
  const { message, channel: to, client_type } = body
  if (!isEventType(message.type)) {
    const { sent, recipients } = send(message, { channel: to, clientType: client_type })
    return { value: { message: sent, channel: to ?? null, recipients } }
  }
  const publication = parsePublication(message, { command: false, subject: principal.subject })
  const { channel: own } = catalogue[message.type]
  if (to !== undefined && to !== own) {
    throw new Refusal('invalid_message', `channel: ${message.type} travels on ${own}`)
  }
  if (client_type !== undefined) {
    throw new Refusal('invalid_message', 'client_type: an event of the catalogue goes to all subscribers')
  }
  const { events, heads } = await runWrite((write) => publishAll(write, [publication]))
  const [event] = events
  if (!event) throw new Error('an event was published without a number')
  const sent = JSON.parse(eventJson(event)) as Message
  return { value: { message: sent, channel: own, recipients: subscribers(event.channel) }, heads }
}
