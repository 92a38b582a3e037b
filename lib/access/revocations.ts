/** Revoked tokens: one by its jti, or all of a subject that were issued before a moment (PROTOCOL §7). */

export interface Revocation {
  readonly kind: 'jti' | 'subject'
  readonly value: string
  /** Milliseconds since the epoch. */
  readonly revokedAtMs: number
}

/** What of a token decides whether a revocation covers it. */
interface Revocable {
  readonly subject: string
  readonly jti?: string
  readonly issuedAtMs?: number
  /** Absent where no token is needed: then there is none to revoke, whatever the subject. */
  readonly expiresAtMs?: number
}

/** Whether a revocation covers a token. One that does not say when it was issued counts as issued before. */
export function isCovered(
  { kind, value, revokedAtMs }: Revocation,
  { subject, jti, issuedAtMs = 0, expiresAtMs }: Revocable,
): boolean {
  if (expiresAtMs === undefined) return false
  return kind === 'jti' ? jti === value : subject === value && issuedAtMs <= revokedAtMs
}

export type Revocations = ReturnType<typeof createRevocations>

export function createRevocations() {
  const tokens = new Set<string>()
  /** By subject: the last moment up to which its tokens are void. */
  const subjects = new Map<string, number>()

  return {
    add({ kind, value, revokedAtMs }: Revocation): void {
      if (kind === 'jti') tokens.add(value)
      else subjects.set(value, Math.max(subjects.get(value) ?? 0, revokedAtMs))
    },

    /** As `isCovered` by any of them. */
    covers({ subject, jti, issuedAtMs = 0, expiresAtMs }: Revocable): boolean {
      if (expiresAtMs === undefined) return false
      if (jti !== undefined && tokens.has(jti)) return true
      return issuedAtMs <= (subjects.get(subject) ?? -1)
    },
  }
}

/**
 * A clock that remembers the latest time it showed. Set back, it would put a revocation before tokens that were issued,
 * and taken, before it.
 */
export function createLatest(now: () => Date) {
  let latestMs = 0
  const look = () => {
    const date = now()
    latestMs = Math.max(latestMs, date.getTime())
    return date
  }
  return {
    now: look,
    latest(): Date {
      look()
      return new Date(latestMs)
    },
  }
}
