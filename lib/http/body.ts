/** Request bodies: JSON within its bounds, checked by the route's schema. */
import type { HonoRequest } from 'hono'
import type * as z from 'zod'
import { decodeJson } from '../protocol/codec.ts'
import { Refusal, refuseInput } from '../protocol/refusals.ts'
import type { Route } from './route.ts'

/** Bytes that a request's body will take, at most; of a chunked one nobody knows more than the bound. */
export function announcedBytes(
  request: HonoRequest,
  { body: schema }: Pick<Route, 'body'>,
  bytesMax: number,
): number {
  if (!schema) return 0
  const length = request.header('content-length')
  if (length === undefined) return request.header('transfer-encoding') === undefined ? 0 : bytesMax
  return Math.min(Number(length), bytesMax)
}

/** The JSON body as it was sent, and checked, and its bytes. @throws {Refusal} `unsupported_media_type`, `too_large`, `invalid_message` */
export async function bodyOf(
  request: HonoRequest,
  { body: schema, bodyOptional = false }: Pick<Route, 'body' | 'bodyOptional'>,
  bytesMax: number,
): Promise<{ sent: unknown; body: unknown; size: number }> {
  if (!schema) return { sent: undefined, body: undefined, size: 0 }
  const [type, ...parameters] = (request.header('content-type') ?? '')
    .split(';')
    .map((part) => part.trim().toLowerCase())
  const wrongType = (sentence = 'the body must be Content-Type: application/json') =>
    new Refusal('unsupported_media_type', sentence)
  // A body that may be absent and has no type is perhaps there and empty.
  if (type !== 'application/json' && !(bodyOptional && type === '')) throw wrongType()
  const charset = parameters
    .find((parameter) => parameter.startsWith('charset='))
    ?.slice(8)
    .replaceAll('"', '')
  if (charset !== undefined && charset !== 'utf-8' && charset !== 'utf8') throw wrongType('JSON is in UTF-8')
  if ((request.header('content-encoding') ?? 'identity') !== 'identity')
    throw wrongType('the body must come without Content-Encoding')
  const tooLarge = () => new Refusal('too_large', `the body is larger than ${bytesMax} bytes`)
  if (Number(request.header('content-length') ?? 0) > bytesMax) throw tooLarge()
  const bytes = await request.arrayBuffer().catch((error: unknown) => {
    // Nobody waits for this answer; the log does, where it must not look like a fault of ours.
    if (request.raw.signal.aborted)
      throw new Refusal('invalid_message', 'the body broke off: its client went away')
    // Bun's own bound, a little above ours, met by a chunked body.
    throw String(error).includes('maxRequestBodySize') ? tooLarge() : error
  })
  const size = bytes.byteLength
  if (size > bytesMax) throw tooLarge()
  if (bodyOptional && size === 0) return { sent: {}, body: checked(schema, {}), size }
  if (type === '') throw wrongType()
  const sent = decodeJson(utf8(bytes), 'the body')
  return { sent, body: checked(schema, sent), size }
}

function checked(schema: z.ZodType, value: unknown): unknown {
  const parsed = schema.safeParse(value, { reportInput: true })
  if (parsed.success) return parsed.data
  // A Lua client writes an empty object as `[]`.
  const meant = Array.isArray(value) && value.length === 0 ? schema.safeParse({}) : parsed
  if (!meant.success) throw refuseInput(parsed.error.issues)
  return meant.data
}

function utf8(bytes: ArrayBuffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new Refusal('invalid_message', 'the body is not valid UTF-8')
  }
}
