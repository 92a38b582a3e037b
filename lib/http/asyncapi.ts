/** The AsyncAPI document: the server's side of the WebSocket, made from the very schemas of its messages and events. */
import * as z from 'zod'
import { publishable } from '../domain/publishing.ts'
import { framings, type Framing } from '../protocol/codec.ts'
import { catalogue, channels, eventTypes, type Channel, type EventType } from '../protocol/events.ts'
import { clientMessages, messageId, type ClientMessageType } from '../protocol/messages.ts'
import {
  channelName,
  cursor,
  recovery,
  replyTypes,
  serverMessages,
  subprotocols,
  timestamp,
  type ServerMessageType,
} from '../protocol/server-messages.ts'
import { eventSchemas } from '../protocol/wire-schemas.ts'

/** The channel of the protocol's own messages, beside those that a client subscribes to. */
const CONTROL = 'control'

const clientTypes = Object.keys(clientMessages) as ClientMessageType[]
const serverTypes = Object.keys(serverMessages) as ServerMessageType[]
const controlTypes = [...clientTypes, ...serverTypes]

const framingTexts: Readonly<Record<Framing, string>> = {
  json: 'JSON as text',
  msgpack: 'MessagePack as binary',
  deflate: 'binary, a byte 0 and MessagePack, or a byte 1 and MessagePack in raw DEFLATE (RFC 1951)',
}
const subprotocolTexts = framings.map((framing, index) => `${subprotocols[index]}: ${framingTexts[framing]}`)

/** AsyncAPI 3.0: the application is the server, so `send` is what it says and `receive` what it hears. */
export function asyncApiDocument(version: string): object {
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Lightwire',
      version,
      description:
        'Changes of a photo workflow, each the moment it is durable. One socket carries every channel. Both sides ignore fields they do not know; a message whose type is not here is one of a custom handler or an ephemeral one of an operator.',
    },
    defaultContentType: 'application/json',
    servers: {
      local: {
        host: '127.0.0.1:5100',
        pathname: '/ws',
        protocol: 'ws',
        description: `Sec-WebSocket-Protocol chooses the framing; the payloads are the same in each. ${subprotocolTexts.join('; ')}. Without a subprotocol ?format= chooses among ${framings.join(', ')}; without that it is json.`,
        security: [ref('components', 'securitySchemes', 'bearer')],
      },
    },
    channels: Object.fromEntries([
      [CONTROL, controlChannel()],
      ...channels.map((channel) => [channel, eventChannel(channel)]),
    ]),
    operations: Object.fromEntries([
      ...clientTypes.map((type) => [`receive_${type}`, request(type)]),
      ...serverTypes.filter(isUnasked).map((type) => [`send_${type}`, sending(CONTROL, [type])]),
      ...channels.map((channel) => [`send_${channel}`, sending(channel, typesOf(channel))]),
    ]),
    components: {
      messages: Object.fromEntries([
        ...controlTypes.map((type) => [type, controlMessage(type)]),
        ...eventTypes.map((type) => [type, eventMessage(type)]),
      ]),
      schemas: { ...clientSchemas(), ...serverSchemas() },
      correlationIds: {
        id: { description: 'chosen by the client, carried by each reply', location: '$message.payload#/id' },
      },
      securitySchemes: {
        bearer: {
          type: 'http',
          scheme: 'bearer',
          bearerFormat: 'JWT',
          description:
            'Authorization: Bearer <token>; or, where no header can be set, a second subprotocol bearer.<token>, or the first message auth',
        },
      },
    },
  }
}

function controlChannel() {
  return {
    title: 'The protocol itself',
    description: 'What client and server say about the connection; nothing has to be subscribed for it.',
    messages: messagesOf(controlTypes),
    bindings: {
      ws: {
        method: 'GET',
        query: { type: 'object', properties: { format: { type: 'string', enum: [...framings] } } },
        headers: {
          type: 'object',
          properties: {
            Authorization: { type: 'string', description: 'Bearer <token>' },
            'Sec-WebSocket-Protocol': {
              type: 'string',
              description: `${subprotocols.join(', ')}; bearer.<token> beside one of them`,
            },
          },
        },
        bindingVersion: '0.1.0',
      },
    },
  }
}

function eventChannel(channel: Channel) {
  return {
    address: channel,
    title: `Events of ${channel}`,
    description: `Subscribe with {"type":"subscribe","channels":["${channel}"]}; the token needs events:read or events:read:${channel}. seq counts the events of the channel from 1 without a gap.`,
    messages: messagesOf(typesOf(channel)),
  }
}

function request(type: ClientMessageType) {
  return {
    action: 'receive',
    channel: ref('channels', CONTROL),
    messages: [ref('channels', CONTROL, 'messages', type)],
    reply: {
      channel: ref('channels', CONTROL),
      messages: [replyTypes[type], 'error'].map((answer) => ref('channels', CONTROL, 'messages', answer)),
    },
  }
}

function sending(channel: string, types: readonly string[]) {
  return {
    action: 'send',
    channel: ref('channels', channel),
    messages: types.map((type) => ref('channels', channel, 'messages', type)),
  }
}

function controlMessage(type: ClientMessageType | ServerMessageType) {
  const correlated = isUnasked(type) ? {} : { correlationId: ref('components', 'correlationIds', 'id') }
  return { name: type, payload: ref('components', 'schemas', type), ...correlated }
}

function eventMessage(type: EventType) {
  const { class: kind, key } = catalogue[type]
  const says =
    kind === 'fact'
      ? 'A fact: never dropped.'
      : `State: the newest value${key.length === 0 ? '' : ` per ${key.join(', ')}`}.`
  return {
    name: type,
    summary: says,
    payload: ref('components', 'schemas', type),
    'x-class': kind,
    ...(kind === 'state' ? { 'x-key': [...key] } : {}),
  }
}

/** Whether the server says it by itself: no message of a client is answered by it. */
function isUnasked(type: string): boolean {
  return type in serverMessages && !('id' in serverMessages[type as ServerMessageType].shape)
}

function typesOf(channel: Channel): EventType[] {
  return eventTypes.filter((type) => catalogue[type].channel === channel)
}

function messagesOf(types: readonly string[]) {
  return Object.fromEntries(types.map((type) => [type, ref('components', 'messages', type)]))
}

/** What the client says: fields with a default may be left out. */
function clientSchemas() {
  return jsonSchemas('input', {
    ...Object.fromEntries(
      clientTypes.map((type) => {
        const { shape } = clientMessages[type]
        const event = type === 'publish' ? { event: publishable } : {}
        return [type, z.object({ type: z.literal(type), ...shape, ...event, id: messageId.optional() })]
      }),
    ),
    message_id: messageId,
    publishable,
    ...Object.fromEntries(
      publishable.options.map((option) => [`publishable.${option.shape.type.value}`, option]),
    ),
  })
}

/** What the server says: every field is there. */
function serverSchemas() {
  return jsonSchemas('output', {
    ...serverMessages,
    ...eventSchemas,
    timestamp,
    cursor,
    recovery,
    channel: channelName,
    message_id: messageId,
  })
}

/** Each by its name, referring to one another by it. Draft 7 is what AsyncAPI's own schemas extend. */
function jsonSchemas(io: 'input' | 'output', named: Readonly<Record<string, z.ZodType>>) {
  const registry = z.registry<{ id: string }>()
  for (const [id, schema] of Object.entries(named)) registry.add(schema, { id })
  const { schemas } = z.toJSONSchema(registry, {
    io,
    target: 'draft-07',
    uri: (id) => ref('components', 'schemas', id).$ref,
    // A field that is not taken yet.
    unrepresentable: ({ zodSchema }) => (zodSchema instanceof z.ZodUndefined ? { not: {} } : 'throw'),
  })
  // Where they stand says what they are and in which dialect.
  for (const schema of Object.values(schemas)) {
    delete schema.$schema
    delete schema.$id
  }
  return schemas
}

function ref(...steps: readonly string[]) {
  return { $ref: `#/${steps.join('/')}` }
}
