/** Passes: tokens that operators issued to subscribers, and which of them may be void. */
import type { Random } from '../random.ts'
import { covers, type History, type Pass } from './record.ts'

export class Passes {
  readonly issued: Pass[] = []
  private readonly taken = new Set<Pass>()

  constructor(private readonly revocations: History['revocations']) {}

  /** A pass that nobody asked to revoke, if there is one. */
  take(random: Random): Pass | undefined {
    const good = this.issued.filter((pass) => !this.mayBeVoid(pass))
    if (good.length === 0) return undefined
    const pass = random.pick(good)
    this.taken.add(pass)
    return pass
  }

  /** A good one to revoke: rather one that a subscriber came with. */
  toRevoke(random: Random): Pass | undefined {
    const good = this.issued.filter((pass) => !this.mayBeVoid(pass))
    const inUse = good.filter((pass) => this.taken.has(pass))
    const some = inUse.length > 0 && random.chance(0.8) ? inUse : good
    return some.length === 0 ? undefined : random.pick(some)
  }

  /** Whether a revocation was sent that voids it. */
  mayBeVoid(pass: Pass): boolean {
    return this.revocations.some((revocation) => covers(revocation, pass))
  }
}
