/** What a channel is subscribed with, as something to compare. */
import type { SubscribeOptions } from './types.ts'

/** The same text for what means the same to the server. */
export const keyOf = ({ where, batchMs, conflate }: SubscribeOptions): string =>
  JSON.stringify([where, batchMs, conflate || undefined])

/** Events come bare. */
export const isPlain = (options: SubscribeOptions): boolean => keyOf(options) === keyOf({})

export const unique = <T>(all: readonly T[]): T[] => [...new Set(all)]
