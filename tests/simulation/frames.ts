/** Frames as messages, and what no frame may say before it is durable. */
import { decodeFrame, type Frame, type Framing } from '../../lib/protocol/codec.ts'
import { parseCursor } from '../../lib/protocol/cursor.ts'
import type { Channel } from '../../lib/protocol/events.ts'
import type { Truth } from './truth.ts'

const INFLATED_MAX = 1_048_576

export type Fields = Readonly<Record<string, unknown>>

const newest: { frame?: Frame; message?: Fields } = {}

/** A frame goes to many clients; where they come together it is decoded once. */
export function decoded(frame: Frame, framing: Framing): Fields {
  if (newest.frame === frame && newest.message) return newest.message
  const message = (
    typeof frame === 'string' ? JSON.parse(frame) : decodeFrame(framing, frame, INFLATED_MAX)
  ) as Fields
  Object.assign(newest, { frame, message })
  return message
}

/** To be called with every frame when the server hands it out. @throws {Violation} */
export function requireDurableFrame(message: Fields, truth: Truth): void {
  const { type, channel, seq, upto, cursor } = message
  if (typeof seq === 'number')
    truth.requireDurable({ [channel as Channel]: seq }, `a frame of ${String(type)}`)
  if (typeof upto === 'number') truth.requireDurable({ [channel as Channel]: upto }, 'a batch')
  if (typeof cursor === 'string')
    truth.requireDurable(parseCursor(cursor).positions, `the cursor of a ${String(type)}`)
}
