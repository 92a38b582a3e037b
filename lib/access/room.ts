/** Room: how many clients may hold on at once, in all, of one subject, from one address, and without a token yet. */
import { Refusal } from '../protocol/refusals.ts'

/** How soon whoever found no room may ask again. */
const RETRY_MS = 5000

export interface RoomLimits {
  readonly connectionsMax: number
  /** 0 is no limit, here and for addresses. */
  readonly perSubjectMax: number
  readonly perAddressMax: number
  readonly unauthenticatedMax: number
}

/** Who takes a place; without a subject yet it counts as unauthenticated. */
export interface Occupant {
  readonly address: string
  readonly subject?: string | undefined
}

/** A place taken, from the upgrade on; given back when it is disposed, once however often. */
export interface Place extends Disposable {
  readonly address: string
  /** Its holder has shown who it is; the second time changes nothing. @throws {Refusal} `too_many_connections` */
  identify(subject: string): void
}

export type Room = ReturnType<typeof createRoom>

export function createRoom({ connectionsMax, perSubjectMax, perAddressMax, unauthenticatedMax }: RoomLimits) {
  const subjects = new Map<string, number>()
  const addresses = new Map<string, number>()
  let taken = 0
  let unauthenticated = 0

  function count(counts: Map<string, number>, key: string, by: 1 | -1): void {
    const next = (counts.get(key) ?? 0) + by
    if (next > 0) counts.set(key, next)
    else counts.delete(key)
  }

  function require(held: number, max: number, sentence: string): void {
    if (held < max) return
    throw new Refusal('too_many_connections', sentence, { retryAfterMs: RETRY_MS })
  }

  function requireForSubject(subject: string): void {
    const max = perSubjectMax || Infinity
    require(subjects.get(subject) ?? 0, max, `${max} clients of this subject are connected`)
  }

  return {
    /** Takes a place for a client, or for a request that waits. @throws {Refusal} `too_many_connections` */
    take({ address, subject }: Occupant): Place {
      const max = perAddressMax || Infinity
      require(taken, connectionsMax, `${connectionsMax} clients are connected`)
      require(addresses.get(address) ?? 0, max, `${max} clients are connected from this address`)
      if (subject === undefined) {
        const sentence = `${unauthenticatedMax} clients without a token are connected`
        require(unauthenticated, unauthenticatedMax, sentence)
        unauthenticated += 1
      } else {
        requireForSubject(subject)
        count(subjects, subject, 1)
      }
      taken += 1
      count(addresses, address, 1)
      let known = subject
      let held = true
      return {
        address,
        identify(name) {
          if (known !== undefined || !held) return
          requireForSubject(name)
          unauthenticated -= 1
          count(subjects, name, 1)
          known = name
        },
        [Symbol.dispose]() {
          if (!held) return
          held = false
          taken -= 1
          count(addresses, address, -1)
          if (known === undefined) unauthenticated -= 1
          else count(subjects, known, -1)
        },
      }
    },

    /** What is taken now. */
    census: () => ({ taken, unauthenticated, subjects: subjects.size, addresses: addresses.size }),
  }
}
