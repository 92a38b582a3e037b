/** Passes: tokens of subscribers, issued by operators or minted here, and which of them may be void. */
import type { Channel } from '../../../lib/protocol/events.ts'
import type { Tokens } from '../../../lib/access/tokens.ts'
import type { Random } from '../random.ts'
import { covers, type Pass } from './operator-record.ts'
import type { History } from './record.ts'
import { drawRight, opened, type Right } from './rights.ts'

/** PROTOCOL §7: a token is good for this long after its `exp`. */
export const LEEWAY_MS = 5000
const LASTING_MS = 3_600_000
/** Few subjects, so that revoking one ends several connections. */
const SUBJECTS = 4
/** Sessions that there will be, while none was read yet. */
const EARLY_SESSIONS = [1, 2, 3, 4]

interface Claims {
  readonly sub: string
  readonly jti: string
  /** Seconds since the epoch. */
  readonly iat: number
  readonly exp: number
}

export interface Wanted {
  readonly channels: readonly Channel[]
  /** Whose pass it has to be; a live connection keeps its subject. */
  readonly subject?: string
  /** Neither about to expire nor expired. */
  readonly lasting: boolean
}

export class Passes {
  readonly issued: Pass[] = []
  /** With the number of their holders. */
  private readonly inUse = new Map<Pass, number>()

  constructor(
    private readonly history: Pick<History, 'revocations' | 'reads'>,
    private readonly tokens: Tokens,
  ) {}

  /** What a pass could open. */
  drawRight(random: Random, channels: readonly Channel[]): Right {
    const read = this.history.reads.findLast(
      ({ kind, rows, seen }) => kind === 'sessions' && rows.length > 1 && seen === undefined,
    )
    const sessions = read?.rows.map(({ id }) => Number(id)) ?? EARLY_SESSIONS
    return drawRight(random, channels, sessions)
  }

  drawSubject(random: Random): string {
    return `reader-${random.int(1, SUBJECTS)}`
  }

  /** A pass that opens something of what is wanted: an operator's that nobody asked to revoke, or a new one. */
  async take(random: Random, wanted: Wanted): Promise<Pass> {
    const pass = this.find(random, wanted) ?? (await this.mint(random, wanted))
    this.inUse.set(pass, (this.inUse.get(pass) ?? 0) + 1)
    return pass
  }

  private find(random: Random, wanted: Wanted): Pass | undefined {
    const kind = random.next()
    if (kind > 0.35) return undefined
    // Some come with what was revoked long ago, in another life of the server perhaps.
    const isLate = kind < 0.06 && !wanted.lasting
    const found = this.issued.filter((pass) =>
      isLate ? isOf(pass, wanted) && this.mayBeVoid(pass) : this.isFit(pass, wanted),
    )
    return found.length > 0 ? random.pick(found) : undefined
  }

  /** Its holder has no use for it any more. */
  letGo(pass: Pass): void {
    const holders = (this.inUse.get(pass) ?? 0) - 1
    if (holders > 0) this.inUse.set(pass, holders)
    else this.inUse.delete(pass)
  }

  /** An operator issued a token. */
  add(token: string, right: Right): Pass {
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Claims
    const { jti, sub: subject, iat, exp } = claims
    const pass = { token, jti, subject, right, issuedAtMs: iat * 1000, expiresAtMs: exp * 1000 }
    this.issued.push(pass)
    return pass
  }

  private isFit(pass: Pass, wanted: Wanted): boolean {
    const isGood = wanted.lasting ? isLasting(pass) : !hasExpired(pass)
    return isGood && isOf(pass, wanted) && !this.mayBeVoid(pass)
  }

  /** Lives are short here, so tokens come near their end, within their leeway; a few come too late for it. */
  private async mint(random: Random, { channels, subject, lasting }: Wanted): Promise<Pass> {
    const right = this.drawRight(random, channels)
    const own = subject ?? this.drawSubject(random)
    const leftMs = random.pick([LASTING_MS, LASTING_MS, random.int(-1, 4) * 1000 - LEEWAY_MS])
    const expiresInMs = lasting ? LASTING_MS : leftMs
    const { token } = await this.tokens.issue({ subject: own, ...right, expiresInMs })
    return this.add(token, right)
  }

  /** A good one to revoke: rather one that a subscriber came with. */
  toRevoke(random: Random): Pass | undefined {
    const good = this.issued.filter((pass) => !this.mayBeVoid(pass) && Date.now() < pass.expiresAtMs)
    const used = good.filter((pass) => this.inUse.has(pass))
    const some = used.length > 0 && random.chance(0.85) ? used : good
    return some.length === 0 ? undefined : random.pick(some)
  }

  /** Whether a revocation was sent that voids it. */
  mayBeVoid(pass: Pass): boolean {
    return this.history.revocations.some((revocation) => covers(revocation, pass))
  }
}

/** Whether it is the subject's, and opens something of what is wanted. */
function isOf({ subject: own, right }: Pass, { channels, subject = own }: Wanted): boolean {
  return own === subject && channels.some((channel) => opened(right, channel) !== 'none')
}

/** By its `exp` alone, without the leeway. */
export function hasExpired({ expiresAtMs }: Pass): boolean {
  return expiresAtMs <= Date.now()
}

/** Whether it is good to the end of the run. */
export function isLasting({ expiresAtMs }: Pass): boolean {
  return expiresAtMs > Date.now() + LASTING_MS / 2
}
