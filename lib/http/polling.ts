/** Routes of polling sessions (PROTOCOL §6), which the Lightroom plug-in speaks: each call names its session. */
import * as z from 'zod'
import type { Principal } from '../access/rights.ts'
import { clientTypeSchema } from '../protocol/messages.ts'
import { timestamp } from '../protocol/server-messages.ts'
import { route, type Route } from './route.ts'

const tag = 'polling'
/** What this server speaks, whatever the client names. */
const PROTOCOL_VERSION = '1' as const

type Message = { readonly type: string } & Readonly<Record<string, unknown>>

interface Caller {
  readonly principal: Principal
  readonly address: string
  readonly requestId: string
}

export interface PollingServices {
  readonly now: () => Date
  readonly handshake: (clientType: string, caller: Caller) => string
  readonly poll: (clientId: string, caller: Caller, signal: AbortSignal) => Promise<Message[]>
  readonly send: (clientId: string, message: Message, caller: Caller) => Promise<Message | null>
  readonly disconnect: (clientId: string, caller: Caller) => void
}

const clientId = z.string().min(1).max(64)
const success = z.literal(true)
const done = { success: true } as const
const message = z.looseObject({ type: z.string() })

export function pollingRoutes(services: PollingServices): readonly Route[] {
  const now = () => services.now().toISOString()
  return [
    route({
      method: 'post',
      path: '/ws/handshake',
      summary: 'Begins a polling session; it ends after 45 s without a call',
      tag,
      right: 'any',
      body: z.object({
        client_type: clientTypeSchema,
        protocol_version: z
          .union([z.string().max(32), z.number()])
          .optional()
          .meta({ description: 'taken as it is; the answer says what the server speaks' }),
      }),
      status: 200,
      answer: z.object({
        success,
        client_id: z.string(),
        protocol_version: z.literal(PROTOCOL_VERSION),
        server_time: timestamp,
      }),
      refuses: ['too_many_connections'],
      act: {
        give({ body, ...caller }) {
          const client_id = services.handshake(body.client_type, caller)
          return { ...done, client_id, protocol_version: PROTOCOL_VERSION, server_time: now() }
        },
      },
    }),
    route({
      method: 'get',
      path: '/ws/poll',
      summary:
        'Messages since the last poll, at once or within a second; an unknown session gets a fresh one',
      tag,
      right: 'any',
      query: z.strictObject({ client_id: clientId }),
      status: 200,
      answer: z.object({ success, messages: z.array(message), timestamp }),
      refuses: ['too_many_connections'],
      whileDraining: true,
      act: {
        async give({ query, signal, ...caller }) {
          const messages = await services.poll(query.client_id, caller, signal)
          return { ...done, messages, timestamp: now() }
        },
      },
    }),
    route({
      method: 'post',
      path: '/ws/send',
      summary: 'A message as over a socket; the answer holds its reply',
      tag,
      right: 'any',
      body: z.object({ client_id: clientId, message }),
      status: 200,
      answer: z.object({ success, response: message.nullable(), timestamp }),
      refuses: ['not_found'],
      act: {
        async give({ body, ...caller }) {
          const response = await services.send(body.client_id, body.message, caller)
          return { ...done, response, timestamp: now() }
        },
      },
    }),
    route({
      method: 'post',
      path: '/ws/disconnect',
      summary: 'Ends a polling session',
      tag,
      right: 'any',
      body: z.object({ client_id: clientId }),
      status: 200,
      answer: z.object({ success, message: z.string() }),
      refuses: ['not_found'],
      act: {
        give({ body, ...caller }) {
          services.disconnect(body.client_id, caller)
          return { ...done, message: 'the session has ended' }
        },
      },
    }),
  ]
}
