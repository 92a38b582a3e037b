/** The chain: a hash with each event over all events of its channel before it, so that no bit of them turns unseen. */
import { hash } from 'node:crypto'
import type { StoredEvent } from '../protocol/events.ts'

/** 96 bits of SHA-256: against flipped bits and lost rows, not against somebody who rewrites the whole chain. */
const HASH_CHARACTERS = 16

/** In place of an epoch's hash: nothing before it is vouched for. No digest has this length. */
export const CUT = 'cut'

/** Hash of an event; `before` is the hash of the one before it on its channel, `''` for the first. */
export function chainHash(before: string, { channel, seq, type, timestamp, data }: StoredEvent): string {
  return digest(`${before}\n${channel}\n${seq}\n${type}\n${timestamp}\n${data}`)
}

/** Hash of an epoch's row; `before` is the hash of the epoch before it, `''` for the first. */
export function epochHash(
  before: string,
  row: {
    readonly epoch: string
    readonly started_at: string
    readonly heads: string
    readonly origin: string | null
  },
): string {
  return digest(`${before}\n${row.epoch}\n${row.started_at}\n${row.heads}\n${row.origin ?? ''}`)
}

function digest(text: string): string {
  return hash('sha256', text, 'base64').slice(0, HASH_CHARACTERS)
}
