/** A cursor: a place in the journal, `<epoch>:<channel>=<seq>,…`, one position per channel. */
import { channels, isChannel, type Channel } from './events.ts'
import { Refusal } from './refusals.ts'

/** Per channel the seq of the last event that is behind the holder; a channel left out has no position. */
export type Positions = Partial<Record<Channel, number>>

export interface Cursor {
  readonly epoch: string
  readonly positions: Positions
}

export const CURSOR_LENGTH_MAX = 512
const POSITION = `(?:${channels.join('|')})=(?:0|[1-9]\\d{0,15})`
/** Its text; that a channel comes once, and that a position is an integer of JSON, is checked apart. */
export const CURSOR_TEXT = new RegExp(`^[a-z0-9]{1,32}:(?:${POSITION}(?:,${POSITION})*)?$`)

/** Writes a cursor, channels in alphabetic order: `k3v9q2:jobs=120,photos=88`. */
export function formatCursor({ epoch, positions }: Cursor): string {
  const parts = channels.flatMap((channel) => {
    const seq = positions[channel]
    return seq === undefined ? [] : [`${channel}=${seq}`]
  })
  return `${epoch}:${parts.join(',')}`
}

/** Reads a cursor. @throws {Refusal} `invalid_message` when it is not one. */
export function parseCursor(text: string): Cursor {
  if (text.length > CURSOR_LENGTH_MAX || !CURSOR_TEXT.test(text)) throw malformed()
  const [epoch = '', list = ''] = text.split(':')
  const positions: Positions = {}
  for (const part of list === '' ? [] : list.split(',')) {
    const [channel = '', digits] = part.split('=')
    const seq = Number(digits)
    if (!isChannel(channel) || positions[channel] !== undefined || !Number.isSafeInteger(seq))
      throw malformed()
    positions[channel] = seq
  }
  return { epoch, positions }
}

function malformed(): Refusal {
  return new Refusal('invalid_message', 'since: expected a cursor such as "k3v9q2:jobs=120,photos=88"')
}
