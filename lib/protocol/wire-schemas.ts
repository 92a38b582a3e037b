/** The schemas of whole frames of the server: what an event looks like on the wire, and whether a frame conforms. */
import * as z from 'zod'
import { catalogue, eventTypes, type EventType } from './events.ts'
import { serverMessages, timestamp } from './server-messages.ts'

/** Every event as it is sent (PROTOCOL §3): its envelope and all its fields, those with a default included. */
export const eventSchemas = Object.fromEntries(
  eventTypes.map((type) => [type, eventSchema(type)]),
) as Readonly<Record<EventType, z.ZodObject>>

const frameSchemas: ReadonlyMap<string, z.ZodObject> = new Map(
  Object.entries<z.ZodObject>({ ...eventSchemas, ...serverMessages }),
)

/**
 * Why a frame of the server does not conform, undefined when it does. Types that neither the catalogue nor the
 * protocol has are custom or ephemeral: of them only the type is asked.
 */
export function frameFault(frame: unknown): string | undefined {
  const type = (frame as { type?: unknown } | null)?.type
  if (typeof type !== 'string') return 'a frame is a map with a string "type"'
  const result = frameSchemas.get(type)?.safeParse(frame)
  if (type === 'batch' && result?.success) return batchFault(result.data)
  if (!result?.error) return undefined
  const faults = result.error.issues.map(({ path, message }) => `${path.map(String).join('.')}: ${message}`)
  return `${type}: ${faults.join('; ')}`
}

/** Its events conform, are of its channel and lie, in order, in what it covers. */
function batchFault({ channel, after, upto, events }: Record<string, unknown>): string | undefined {
  let last = Number(after)
  if (last > Number(upto)) return `batch: covers ${last} to ${String(upto)}`
  for (const event of events as { channel?: unknown; seq: number }[]) {
    const fault = frameFault(event)
    if (fault !== undefined) return `batch: ${fault}`
    if (event.channel !== channel || event.seq <= last || event.seq > Number(upto))
      return `batch: ${String(channel)} ${String(after)}–${String(upto)} holds ${String(event.channel)}/${event.seq}`
    last = event.seq
  }
  return undefined
}

function eventSchema(type: EventType): z.ZodObject {
  const { channel, data } = catalogue[type]
  const fields = Object.entries<z.core.$ZodType>(data.shape).map(([name, field]) => [name, sent(field)])
  return z.strictObject({
    type: z.literal(type),
    timestamp,
    channel: z.literal(channel),
    seq: z.int().min(1),
    ...(Object.fromEntries(fields) as Record<string, z.core.$ZodType>),
  })
}

/** What is left of a field's schema once defaults are filled in and inputs brought into shape. */
function sent(field: z.core.$ZodType): z.core.$ZodType {
  if (field instanceof z.ZodDefault) return sent(field.def.innerType)
  if (field instanceof z.ZodPipe) return sent(field.def.out)
  return field
}
