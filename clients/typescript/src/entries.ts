/** What the client remembers of each subscription, and of each call for some. */
import type { Channel } from './events.ts'
import type { LightwireError, Recovery, Subscribed, SubscribeOptions } from './types.ts'

export interface Entry {
  readonly options: SubscribeOptions
  /** Counts the application's calls; what belongs to an earlier one is old. */
  readonly version: number
  /** What it was before, to go back to when the server refuses. */
  before: Entry | undefined
  /** On this line. */
  isConfirmed: boolean
  isRefused: boolean
  inBatches: boolean
  recovery: Recovery
}

export interface Call {
  readonly channels: readonly Channel[]
  readonly version: number
  readonly resolve: (subscribed: Subscribed) => void
  readonly reject: (error: LightwireError) => void
}
