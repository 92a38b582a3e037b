/** What the client remembers of each subscription, and of each call for some; and what that needs. */
import type { Environment } from './environment.ts'
import type { Channel } from './events.ts'
import type { Positions } from './positions.ts'
import type { Replies } from './replies.ts'
import type { LightwireError, Recovery, Subscribed, SubscribeOptions } from './types.ts'

export interface Entry {
  readonly options: SubscribeOptions
  /** For how many channels together. */
  readonly among: number
  /** Counts the application's calls; what belongs to an earlier one is old. */
  readonly version: number
  /** What it was before, to go back to when the server refuses. */
  before: Entry | undefined
  /** On this line. */
  isConfirmed: boolean
  isRefused: boolean
  /** The server filters none of it. */
  isWide: boolean
  inBatches: boolean
  recovery: Recovery
}

export interface Call {
  readonly channels: readonly Channel[]
  readonly version: number
  readonly resolve: (subscribed: Subscribed) => void
  readonly reject: (error: LightwireError) => void
}

export interface SubscriptionsOptions {
  readonly environment: Environment
  readonly positions: Positions
  readonly replies: Replies
  readonly isUp: () => boolean
  /** The cursor says something new. */
  readonly onMoved: () => void
  readonly onLost: (channels: readonly Channel[]) => void
  readonly onError: (error: unknown) => void
  /** Ends the line: it does not do what it should. */
  readonly dropLine: (reason: string) => void
}
