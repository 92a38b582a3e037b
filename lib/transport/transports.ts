/** The transports: four ways in which the same stream reaches a client, over one hub. */
import type { Positions } from '../protocol/cursor.ts'
import type { Hub } from '../realtime/hub.ts'
import { createPollSessions, type PollOptions } from './poll-session.ts'
import { createPull, type PullOptions } from './pull.ts'
import { createStreams, type StreamOptions } from './sse.ts'
import { createWebSocketTransport, type WebSocketOptions } from './websocket.ts'

export interface TransportsOptions
  extends
    WebSocketOptions,
    PollOptions,
    Omit<StreamOptions, 'epoch'>,
    Omit<PullOptions, 'pages' | 'heads' | 'epoch'> {
  readonly hub: () => Hub
  readonly lineage: { readonly epoch: string }
  /** Heads of what is durable. */
  readonly durableHeads: () => Positions
}

export function createTransports({ lineage: { epoch }, ...options }: TransportsOptions) {
  const { hub, flush, durableHeads } = options
  const heads = () => {
    // What is durable is then in memory too.
    flush()
    return durableHeads()
  }
  return {
    websocket: createWebSocketTransport(options),
    openStream: createStreams({ ...options, epoch }),
    polling: createPollSessions(options),
    pull: createPull({ ...options, epoch, heads, pages: () => hub().pages }),
  }
}
