/** A medium: what a connection travels over, and how messages, events and batches become its frames. */
import { encodeMessage, framings, type Frame, type Framing } from '../protocol/codec.ts'
import type { EncodedEvent } from './tail.ts'
import type { Batch } from './window.ts'

export const transports = ['websocket', 'sse', 'poll'] as const

export interface Medium {
  readonly transport: (typeof transports)[number]
  readonly framing: Framing
  /** Whether its sockets take part in native publish; else the connection reads the journal for ever. */
  readonly joins: boolean
  message(message: object): Frame
  event(event: EncodedEvent): Frame
  /** @param cursorAt the holder's cursor when its position in the batch's channel is this one */
  batch(batch: Batch, cursorAt: (seq: number) => string): Frame
}

const webSockets: ReadonlyMap<Framing, Medium> = new Map(
  framings.map((framing) => [framing, { ...framed(framing), transport: 'websocket', joins: true }]),
)

/** One object for all sockets of a framing. */
export function webSocketMedium(framing: Framing): Medium {
  return webSockets.get(framing) ?? { ...framed(framing), transport: 'websocket', joins: true }
}

/** A mailbox that its client empties now and then. */
export const pollMedium: Medium = { ...framed('json'), transport: 'poll', joins: false }

function framed(framing: Framing) {
  return {
    framing,
    message: (message: object) => encodeMessage(framing, message),
    event: (event: EncodedEvent) => event.frame(framing),
    batch: (batch: Batch) => batch.frame(framing),
  }
}
