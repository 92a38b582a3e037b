/** Ephemeral messages: an operator's or the program's own words, outside the journal, unlike anything of the protocol. */
import { encodeMessage, framings, type Frame, type Framing } from '../protocol/codec.ts'
import { isEventType, NO_CONTROL } from '../protocol/events.ts'
import { protocolTypes } from '../protocol/server-messages.ts'
import { Refusal } from '../protocol/refusals.ts'
import { frameBytes } from './topic.ts'

/** An ephemeral message may be no larger than an event. */
const EPHEMERAL_BYTES_MAX = 65_536

export type Ephemeral = { readonly type: string } & Readonly<Record<string, unknown>>

/** A message in every framing: an operator's are few. @throws {Refusal} `too_large` */
export function encodeForAll(message: object): Map<Framing, Frame> {
  const frames = new Map(framings.map((framing) => [framing, encodeMessage(framing, message)]))
  if (frames.values().some((frame) => frameBytes(frame) > EPHEMERAL_BYTES_MAX)) {
    throw new Refusal('too_large', `the message is larger than ${EPHEMERAL_BYTES_MAX} bytes`)
  }
  return frames
}

/** Ephemeral messages may not be mistaken for the protocol's own or for events of the journal. */
export function refuseReserved(message: Ephemeral): void {
  const reserved = protocolTypes.has(message.type) || isEventType(message.type)
  if (reserved) throw new Refusal('invalid_message', `type: "${message.type}" is reserved`)
  if (!NO_CONTROL.test(message.type))
    throw new Refusal('invalid_message', 'type: control characters are not allowed')
  const field = ['seq', 'channel', 'id'].find((name) => Object.hasOwn(message, name))
  if (field !== undefined)
    throw new Refusal('invalid_message', `${field}: not allowed in an ephemeral message`)
}
