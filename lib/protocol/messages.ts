/** The messages beside the events: what a client may say, and what the server answers (PROTOCOL §2). */
import * as z from 'zod'
import { channels, isChannel, jsonObject, type Channel } from './events.ts'
import { excerpt, Refusal, refuseInput } from './refusals.ts'

const CLIENT_NAME_LENGTH_MAX = 100

/** A label for targeting and lists, never a right. */
export const clientTypeSchema = z
  .string()
  .regex(/^[a-z0-9_-]{1,32}$/, 'expected 1 to 32 of a-z, 0-9, "_" and "-"')

/** Names are compared with the known channels apart, so that an unknown one is `unknown_channel`. */
const channelList = z.array(z.string(), { error: 'expected a list of channel names' }).min(1).max(50)

/** What `batch_ms` is rounded up to, so that clients who want about the same share one batch. */
const BATCH_MS = [0, 50, 100, 250, 500, 1000, 2000, 5000] as const
const BATCH_MS_MAX = 5000

/** Milliseconds that events are collected. */
export function roundBatchMs(ms: number): number {
  return BATCH_MS.find((step) => step >= ms) ?? BATCH_MS_MAX
}

/** Names one act, so that a repeat is told from a second one (PROTOCOL §6). Opaque, compared as it is. */
export const idempotencyKey = z
  .string()
  .regex(/^[\x21-\x7e]{1,255}$/, 'expected 1 to 255 visible ASCII characters')
  .meta({ description: 'a repeat with the same key gets the first answer and changes nothing, for 24 hours' })

/** The client's messages by type; their `id` is checked apart, so that a refusal can carry it. */
export const clientMessages = {
  auth: z.object({ token: z.string().min(1) }),
  register: z.object({
    client_type: clientTypeSchema,
    client_name: z.string().max(CLIENT_NAME_LENGTH_MAX).nullish(),
  }),
  subscribe: z.object({
    channels: channelList,
    since: z.string().optional(),
    where: jsonObject
      .optional()
      .meta({ description: 'conditions on fields of the events, all of which must hold' }),
    batch_ms: z
      .number()
      .min(0)
      .max(BATCH_MS_MAX)
      .optional()
      .meta({ description: `events are collected so long; rounded up to ${BATCH_MS.join(', ')}` }),
    conflate: z
      .boolean()
      .optional()
      .meta({ description: 'of the state events of one batch only the newest per key' }),
  }),
  unsubscribe: z.object({ channels: channelList }),
  ping: z.object({}),
  publish: z.object({
    event: z.looseObject({ type: z.string() }),
    command: z.boolean().default(false),
    key: idempotencyKey.optional(),
  }),
} as const

export type ClientMessageType = keyof typeof clientMessages
export type ClientMessage<T extends ClientMessageType> = z.output<(typeof clientMessages)[T]>

/** What every message of a client has: a type, and perhaps an id that replies carry. */
export interface Incoming {
  readonly type: string
  readonly id?: string | number
  readonly body: Record<string, unknown>
}

/** A message's own number, carried by every reply to it. */
export const messageId = z
  .union([z.string().max(64), z.int()])
  .meta({ description: 'chosen by the client; every reply to its message carries the same' })

/** The `id` of a decoded frame, if it has an acceptable one: a refusal of the rest still carries it. */
export function idOf(value: unknown): string | number | undefined {
  const id = messageId.safeParse((value as { id?: unknown } | null)?.id)
  return id.success ? id.data : undefined
}

/** Reads the frame's outer shape. @throws {Refusal} `invalid_message` */
export function parseIncoming(value: unknown): Incoming {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Refusal('invalid_message', 'a message is a map with a string "type"')
  }
  const body = value as Record<string, unknown>
  if (typeof body['type'] !== 'string') throw new Refusal('invalid_message', 'type: expected a string')
  const id = idOf(body)
  if (body['id'] !== undefined && id === undefined) {
    throw new Refusal('invalid_message', 'id: expected a string of at most 64 characters or an integer')
  }
  return { type: body['type'], body, ...(id === undefined ? {} : { id }) }
}

/** Checks a message's fields. @throws {Refusal} `invalid_message` that names each faulty field. */
export function parseBody<T extends ClientMessageType>(type: T, body: unknown): ClientMessage<T> {
  const parsed = clientMessages[type].safeParse(body)
  if (!parsed.success) throw refuseInput(parsed.error.issues)
  return parsed.data as ClientMessage<T>
}

/** @throws {Refusal} `unknown_channel` at the first name that is none. */
export function parseChannels(names: readonly string[]): Channel[] {
  const unknown = names.find((name) => !isChannel(name))
  if (unknown !== undefined) {
    throw new Refusal('unknown_channel', `no channel "${excerpt(unknown)}"; there are ${channels.join(', ')}`)
  }
  return channels.filter((channel) => names.includes(channel))
}

/** What became of one channel of a subscription with `since` (PROTOCOL §5). */
export type Recovery =
  | { readonly status: 'live' }
  | { readonly status: 'recovered' }
  | { readonly status: 'snapshot_required'; readonly reason: 'epoch' | 'trimmed' }

/** The `error` message of a refusal. */
export function errorMessage({ message, code, retryAfterMs }: Refusal, now: Date): object {
  const retry = retryAfterMs === undefined ? {} : { retry_after_ms: retryAfterMs }
  return { type: 'error', error: message, code, timestamp: now.toISOString(), ...retry }
}
