/** What operators did in a run: tokens issued and revoked, words said, clients sent away. */
import type { Channel } from '../../../lib/protocol/events.ts'
import type { Right } from './rights.ts'

/** A token of a subscriber. All times are on the wall clock, which server and subscribers share. */
export interface Pass {
  readonly token: string
  readonly jti: string
  readonly subject: string
  readonly right: Right
  readonly issuedAtMs: number
  readonly expiresAtMs: number
}

export interface RevocationRecord {
  readonly kind: 'jti' | 'subject'
  readonly value: string
  /** What the answer said; undefined while none came. */
  revokedAtMs: number | undefined
  /** When that answer was there. */
  answeredMs: number | undefined
  /** It was in force by then, if it ever was; unknown while it is under way. */
  untilMs: number | undefined
}

/** An ephemeral message. */
export interface WordRecord {
  readonly channel: Channel | undefined
  readonly clientType: string | undefined
  /** What the answer said; undefined when none came. */
  recipients: number | undefined
}

/** An operator sent a client away, perhaps. */
export interface DisconnectRecord {
  readonly clientId: string
  readonly reconnect: boolean
}

/** Whether a revocation voids a pass; of one whose answer is missing: whether it may. */
export function covers({ kind, value, revokedAtMs, untilMs }: RevocationRecord, pass: Pass): boolean {
  if (kind === 'jti') return pass.jti === value
  return pass.subject === value && pass.issuedAtMs <= (revokedAtMs ?? untilMs ?? Infinity)
}
