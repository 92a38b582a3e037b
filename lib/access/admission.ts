/** Admission: the limits that a client meets before anything is done for it, by subject or by address. */
import { Refusal } from '../protocol/refusals.ts'
import type { Rate } from '../setting-values.ts'
import type { Config } from '../settings.ts'
import { createAddresses } from './addresses.ts'
import { createLimiter, type Limiter, type Standing } from './limits.ts'
import { createPendingBytes } from './pending-bytes.ts'
import type { Principal } from './rights.ts'
import { createRoom } from './room.ts'

interface AdmissionOptions {
  readonly config: Config
  readonly monotonicMs: () => number
  readonly verify: (token: string) => Promise<Principal>
}

/** What a request was counted by, and where that stands now. */
export interface Quota extends Standing {
  readonly rate: Rate
}

export type Admission = ReturnType<typeof createAdmission>

export function createAdmission({ config, monotonicMs, verify }: AdmissionOptions) {
  const limiterOf = (rate: Rate | undefined) => rate && createLimiter({ rate, monotonicMs })
  const subjects = limiterOf(config.RATE_REQUESTS)
  const strangers = limiterOf(config.RATE_REQUESTS)
  const upgrades = limiterOf(config.RATE_CONNECTIONS)
  const failures = limiterOf(config.RATE_AUTH_FAILURES)
  const countBy = (limiter: Limiter | undefined, key: string): Quota | undefined =>
    limiter && { rate: limiter.rate, ...limiter.take(key) }

  /** Before a credential of that address is looked at. @throws {Refusal} `rate_limited` after too many bad ones */
  function requireTries(address: string): void {
    const standing = failures?.standing(address)
    if (standing?.remaining === 0) throw tooManyFailures(standing.waitMs)
  }

  return {
    requireTries,

    /** The address that limits count a request by. */
    addressOf: createAddresses(config.TRUSTED_PROXIES),

    /** Counts a request by its subject; undefined where there is no limit. */
    countRequest: (subject: string) => countBy(subjects, subject),

    /** As `countRequest`. @throws {Refusal} `rate_limited` */
    requireRequest(subject: string): void {
      const quota = countBy(subjects, subject)
      if (quota) requireAdmitted(quota, 'requests')
    },

    /** Counts a request that nobody has shown a good token for. */
    countStranger: (address: string) => countBy(strangers, address),

    /** Counts an upgrade without a good token. @throws {Refusal} `rate_limited` */
    requireUpgrade(address: string): void {
      const quota = countBy(upgrades, address)
      if (quota) requireAdmitted(quota, 'connections without a token from this address')
    },

    /**
     * Who the token speaks for. A bad one is counted by the address it came from (one that only expired is not: its
     * holder was good), and after too many none is looked at. @throws {Refusal} as the tokens do, and `rate_limited`
     */
    async verify(token: string, address: string): Promise<Principal> {
      if (!failures) return await verify(token)
      requireTries(address)
      try {
        return await verify(token)
      } catch (error) {
        const bad = error instanceof Refusal && error.code === 'invalid_token'
        if (!bad) throw error
        const counted = failures.take(address)
        // Of those that were looked at side by side, only as many learn the outcome.
        throw counted.admitted ? error : tooManyFailures(counted.waitMs)
      }
    },

    room: createRoom({
      connectionsMax: config.MAX_CONNECTIONS,
      perSubjectMax: config.MAX_CONNECTIONS_PER_SUBJECT,
      perAddressMax: config.MAX_CONNECTIONS_PER_ADDRESS,
      unauthenticatedMax: config.MAX_UNAUTHENTICATED,
    }),

    holdBytes: createPendingBytes(config.MAX_PENDING_BYTES),

    /** Of one connection. */
    messageRate: config.RATE_MESSAGES,

    /** Forgets whom nothing is counted of any more; for now and then. */
    forgetIdle(): void {
      for (const limiter of [subjects, strangers, upgrades, failures]) limiter?.forgetIdle()
    },
  }
}

/** @throws {Refusal} `rate_limited` when a quota is used up */
export function requireAdmitted({ admitted, waitMs, rate }: Quota, what: string): void {
  if (admitted) return
  const sentence = `more than ${rate.limit} ${what} within ${rate.windowMs / 1000} s`
  throw new Refusal('rate_limited', sentence, { retryAfterMs: Math.ceil(waitMs) })
}

function tooManyFailures(waitMs: number): Refusal {
  const sentence = 'too many bad tokens came from this address'
  return new Refusal('rate_limited', sentence, { retryAfterMs: Math.ceil(waitMs) })
}
