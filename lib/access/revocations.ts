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

    /** A token that does not say when it was issued counts as issued before. */
    covers({ subject, jti, issuedAtMs = 0 }: Revocable): boolean {
      if (jti !== undefined && tokens.has(jti)) return true
      return issuedAtMs <= (subjects.get(subject) ?? -1)
    },
  }
}
