/** Clients as lists show them: what each is, what it follows, and how far behind it is. */
import { subprotocolOf } from '../protocol/codec.ts'
import type { Positions } from '../protocol/cursor.ts'
import type { Channel } from '../protocol/events.ts'
import type { Connection } from './connection.ts'
import { positionOf } from './following.ts'
import type { Medium } from './medium.ts'

/** A client as lists show it. */
export interface ClientInfo {
  readonly id: string
  readonly client_type: string | null
  readonly client_name: string | null
  readonly subject: string | null
  readonly connected_at: string
  readonly last_seen: string
  readonly protocol: string
  readonly transport: Medium['transport']
  readonly channels: Channel[]
  /** Events of its channels that are durable and not yet handed to it. */
  readonly cursor_lag: number
  /** Unsent bytes. */
  readonly queued_bytes: number
  readonly node: string
}

interface DescribeOptions {
  readonly now: () => Date
  readonly monotonicMs: () => number
  /** Per channel the newest durable seq. */
  readonly durableHeads: () => Positions
  /** Name of this process in lists. */
  readonly node: string
}

export function describe(
  connection: Connection,
  { now, monotonicMs, durableHeads, node }: DescribeOptions,
): ClientInfo {
  const heads = durableHeads()
  const lag = [...connection.subscriptions].reduce(
    (sum, [channel, subscription]) => sum + Math.max(0, (heads[channel] ?? 0) - positionOf(subscription)),
    0,
  )
  const silentMs = monotonicMs() - connection.lastHeardMs
  return {
    id: connection.id,
    client_type: connection.clientType,
    client_name: connection.clientName,
    subject: connection.principal?.subject ?? null,
    connected_at: connection.connectedAt.toISOString(),
    last_seen: new Date(now().getTime() - silentMs).toISOString(),
    protocol: subprotocolOf(connection.framing),
    transport: connection.medium.transport,
    channels: connection.channels,
    cursor_lag: lag,
    queued_bytes: connection.unsentBytes(),
    node,
  }
}
