/** `RateLimit` and `RateLimit-Policy`: where the caller stands (draft-ietf-httpapi-ratelimit-headers-11). */
import type { Quota } from '../access/admission.ts'

/** Name of the one policy that answers tell of. */
const POLICY = '"requests"'

export const RATE_HEADER = 'RateLimit'
export const RATE_POLICY_HEADER = 'RateLimit-Policy'

/**
 * `r` more requests are admitted within the next `t` seconds: the whole window, for in a sliding one that always holds;
 * where none is left, until there is one.
 */
export function quotaHeaders({ rate, remaining, waitMs }: Quota): readonly (readonly [string, string])[] {
  const seconds = (ms: number) => Math.ceil(ms / 1000)
  return [
    [RATE_POLICY_HEADER, `${POLICY};q=${rate.limit};w=${seconds(rate.windowMs)}`],
    [RATE_HEADER, `${POLICY};r=${remaining};t=${seconds(remaining > 0 ? rate.windowMs : waitMs)}`],
  ]
}
