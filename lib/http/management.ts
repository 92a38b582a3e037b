/** Routes for operators (scope `admin`): who is connected, what flows, a word to all, an end to one, tokens. */
import * as z from 'zod'
import { timestamp } from '../protocol/server-messages.ts'
import { isCovered, type Revocation } from '../access/revocations.ts'
import { grantSchema, GRANTS_MAX, KNOWN_SCOPE, requireGrants, type Principal } from '../access/rights.ts'
import type { IssuedToken, TokenRequest } from '../access/tokens.ts'
import { parsePublication, publishAll } from '../domain/publishing.ts'
import { text } from '../domain/values.ts'
import type { Positions } from '../protocol/cursor.ts'
import { catalogue, channels, eventJson, isEventType, NO_CONTROL, type Channel } from '../protocol/events.ts'
import { clientTypeSchema } from '../protocol/messages.ts'
import { Refusal } from '../protocol/refusals.ts'
import type { ClientInfo } from '../realtime/client-info.ts'
import type { Audience } from '../realtime/hub.ts'
import { transports } from '../realtime/medium.ts'
import type { Outcome } from '../store/idempotency.ts'
import { storeRevocation } from '../store/revocations.ts'
import { route, type Answering, type Input, type Route } from './route.ts'

const tag = 'management'
const TOKEN_SECONDS_MAX = 365 * 86_400
const whole = z.int().min(0)
const channel = z.enum(channels)

export interface ManagementServices {
  /** The latest time that the clock of tokens showed. */
  readonly latest: () => Date
  readonly clients: () => readonly ClientInfo[]
  readonly subscribers: (channel: Channel) => number
  readonly eventsLastMinute: (channel: Channel) => number
  /** Per channel the newest durable seq. */
  readonly heads: () => Positions
  /** Per channel the newest seq that retention took. */
  readonly trimmed: () => Positions
  /** @throws {Refusal} for what is reserved */
  readonly broadcast: (message: Message, audience: Audience) => { sent: Message; recipients: number }
  readonly disconnect: (id: string, options: { reason?: string; reconnect?: boolean }) => boolean
  readonly issueToken: (request: TokenRequest) => Promise<IssuedToken>
  /** Connections here whose principal is such. */
  readonly countHeld: (matches: (principal: Principal) => boolean) => number
  /** Applies a stored revocation here and now. */
  readonly revoke: (revocation: Revocation) => unknown
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
    transport: z.enum(transports),
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
    trimmed_seq: whole.meta({ description: 'events up to here are no longer kept' }),
    subscribers: whole,
    events_last_minute: whole.meta({ description: 'since this node started, if that is shorter ago' }),
  })
  .meta({ id: 'ChannelState' })

const messageSchema = z.looseObject({
  type: z.string().min(1).max(64).regex(NO_CONTROL, 'control characters are not allowed'),
})

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
    grants: z
      .array(grantSchema)
      .max(GRANTS_MAX)
      .optional()
      .meta({ description: 'events that may be read beside those of the scope' }),
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
  disconnected: whole.meta({ description: 'connections of this node that end with it' }),
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
        run(answering, { query }) {
          const clients = services
            .clients()
            .filter(
              (client) =>
                (query.client_type === undefined || client.client_type === query.client_type) &&
                (query.channel === undefined || client.channels.includes(query.channel)) &&
                (query.subject === undefined || client.subject === query.subject),
            )
          return answering.made({ clients, count: clients.length })
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
        run(answering) {
          const [heads, trimmed] = [services.heads(), services.trimmed()]
          const states = channels.map((name) => ({
            channel: name,
            head_seq: heads[name] ?? 0,
            trimmed_seq: trimmed[name] ?? 0,
            subscribers: services.subscribers(name),
            events_last_minute: services.eventsLastMinute(name),
          }))
          return answering.made({ channels: states, count: states.length }, heads)
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
      act: { run: (answering, input) => broadcast(services, answering, input) },
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
        run: (answering, { params: { client_id }, body: { reason, reconnect } }) =>
          answering.beside(() => {
            const known = services.disconnect(client_id, {
              reconnect,
              ...(reason === undefined ? {} : { reason }),
            })
            if (!known) throw new Refusal('not_found', 'there is no such client connected')
            return { client_id, disconnected: true as const, reconnect }
          }),
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
      refuses: ['conflict'],
      secret: true,
      act: {
        async run(answering, { body: { subject, scope, grants, expires_in } }) {
          requireGrants(grants ?? [])
          const issued = await services.issueToken({
            subject,
            scope,
            ...(grants ? { grants } : {}),
            expiresInMs: expires_in * 1000,
          })
          const { token, jti, expiresAtMs } = issued
          const expires_at = new Date(expiresAtMs).toISOString()
          return answering.made({ token, jti, subject, scope, expires_at })
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
        async run(answering, { body }) {
          const what =
            'jti' in body
              ? ({ kind: 'jti', value: body.jti } as const)
              : ({ kind: 'subject', value: body.subject } as const)
          const asked = services.latest()
          const revoked = await answering.write({
            run: (write) => storeRevocation(write, what, asked),
            answer: ({ value: revocation }) => ({
              ...body,
              revoked_at: new Date(revocation.revokedAtMs).toISOString(),
              disconnected: services.countHeld((principal) => isCovered(revocation, principal)),
            }),
          })
          if (revoked.committed) services.revoke(revoked.committed.value)
          return revoked
        },
      },
    }),
  ]
}

async function broadcast(
  { broadcast: send, subscribers }: ManagementServices,
  answering: Answering<z.output<typeof broadcastAnswer>>,
  { body, principal }: Pick<Input<undefined, undefined, typeof broadcastInput>, 'body' | 'principal'>,
): Promise<Outcome<unknown>> {
  const { message, channel: to, client_type } = body
  if (!isEventType(message.type)) {
    return await answering.beside(() => {
      const { sent, recipients } = send(message, { channel: to, clientType: client_type })
      return { message: sent, channel: to ?? null, recipients }
    })
  }
  const publication = parsePublication(message, { command: false, subject: principal.subject })
  const { channel: own } = catalogue[message.type]
  if (to !== undefined && to !== own) {
    throw new Refusal('invalid_message', `channel: ${message.type} travels on ${own}`)
  }
  if (client_type !== undefined) {
    throw new Refusal('invalid_message', 'client_type: an event of the catalogue goes to all subscribers')
  }
  return await answering.write({
    run: (write) => publishAll(write, [publication]),
    answer({ events: [event] }) {
      if (!event) throw new Error('an event was published without a number')
      const sent = JSON.parse(eventJson(event)) as Message
      return { message: sent, channel: own, recipients: subscribers(event.channel) }
    },
  })
}
