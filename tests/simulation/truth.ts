/** What really was committed, and what is durable: read from the disk itself, and held against all that is told. */
import { catalogue, type Channel, type EventType } from '../../lib/protocol/events.ts'
import type { Positions } from '../../lib/protocol/cursor.ts'

/** A row of `events`, and its fields as a client sees them. */
export interface TrueEvent {
  readonly channel: Channel
  readonly seq: number
  readonly type: EventType
  /** The event as one JSON text, as a client gets it. */
  readonly text: string
  readonly fields: Readonly<Record<string, unknown>>
  /** Over this event and all before it in its channel: two clients with the same have seen the same. */
  readonly chain: number
}

export interface EventRow {
  readonly channel: Channel
  readonly seq: number
  readonly type: EventType
  readonly timestamp: string
  readonly data: string
}

interface JobRow {
  readonly id: string
  readonly attempts: number
  readonly lease_expires_at: string | null
}

/** What the truth reads the database by. */
export interface Seen {
  heads(): readonly { channel: Channel; seq: number; trimmed: number }[]
  events(channel: Channel, after: number): readonly EventRow[]
  job(id: string): JobRow | undefined
}

interface Held {
  readonly attempt: number
  readonly until: string | undefined
}

export class Violation extends Error {
  override readonly name = 'Violation'
}

const START_CHAIN = 17

export type Truth = ReturnType<typeof createTruth>

/** `onViolation` gets what a commit breaks: it is looked at inside of the program, whose guards would swallow a throw. */
export function createTruth(onViolation: (violation: unknown) => void) {
  const journal = new Map<Channel, TrueEvent[]>()
  const trimmed = new Map<Channel, number>()
  let durable: Positions = {}
  /** Heads after each commit, in commit order. */
  let commits: Positions[] = []
  /** Marks that writers put into facts: each is in the journal at most once. */
  const marks = new Map<string, string>()
  const jobs = new Map<string, Held>()
  let claims = 0
  let expired = 0

  const list = (channel: Channel) => {
    let events = journal.get(channel)
    if (!events) journal.set(channel, (events = []))
    return events
  }
  const headsNow = () => {
    const heads: Positions = {}
    for (const [channel, events] of journal) heads[channel] = events.length
    return heads
  }

  function add(row: EventRow, seen: Seen): void {
    const events = list(row.channel)
    const expected = events.length + 1
    if (row.seq !== expected)
      throw new Violation(`the journal of ${row.channel} goes on with ${row.seq}, not ${expected}`)
    const fields = JSON.parse(row.data) as Record<string, unknown>
    const { type, timestamp, channel, seq } = row
    const whole = { type, timestamp, channel, seq, ...fields }
    const text = JSON.stringify(whole)
    const chain = chained(events.at(-1)?.chain ?? START_CHAIN, text)
    events.push({ channel, seq, type, text, fields: whole, chain })
    const mark = markOf(type, fields)
    if (mark !== undefined) {
      if (marks.has(mark)) throw new Violation(`${mark} is in the journal twice`)
      marks.set(mark, `${channel}=${seq}`)
    }
    if (channel === 'jobs') followJob(type, timestamp, fields, seen)
  }

  /** A job is held by one claim at a time, and by nobody when its lease has run out. */
  function followJob(type: EventType, at: string, fields: Record<string, unknown>, seen: Seen): void {
    const id = String(fields['job_id'])
    const row = seen.job(id)
    if (!row) return
    const held = jobs.get(id)
    const byLease =
      fields['reason'] === 'lease_expired' ||
      (type === 'job_failed' && String(fields['error_message']).startsWith('the lease of'))
    if (type === 'job_started') {
      claims += 1
      if (held) throw new Violation(`job ${id} was claimed while attempt ${held.attempt} held it`)
    } else if (['job_progress', 'job_completed', 'job_failed', 'job_requeued'].includes(type)) {
      if (!held) throw new Violation(`${type} of job ${id}, which nobody holds`)
      const over = held.until !== undefined && at >= held.until
      if (byLease) expired += 1
      if (byLease && !over) throw new Violation(`the lease of job ${id} ended at ${at}, before ${held.until}`)
      if (!byLease && over)
        throw new Violation(`${type} of job ${id} at ${at}: its lease ended ${held.until}`)
      const told = attemptOf(fields)
      if (told !== undefined && told !== held.attempt)
        throw new Violation(`attempt ${told} of job ${id} acted while ${held.attempt} held it`)
    }
    if (type === 'job_started' || type === 'job_progress') {
      const attempt = type === 'job_started' ? Number(fields['attempt']) : (held?.attempt ?? 0)
      // A later write of the same commit may have taken the lease on or away.
      const until = row.attempts === attempt ? (row.lease_expires_at ?? undefined) : undefined
      jobs.set(id, { attempt, until })
    } else if (type !== 'job_created') jobs.delete(id)
  }

  function follow(seen: Seen): void {
    for (const { channel, seq, trimmed: gone } of seen.heads()) {
      const known = list(channel).length
      if (seq < known) throw new Violation(`the head of ${channel} went back from ${known} to ${seq}`)
      if (seq > known) for (const row of seen.events(channel, known)) add(row, seen)
      if (list(channel).length !== seq) throw new Violation(`the head of ${channel} is not its last event`)
      if (gone < (trimmed.get(channel) ?? 0))
        throw new Violation(`what is trimmed of ${channel} went back to ${gone}`)
      trimmed.set(channel, gone)
    }
  }

  return {
    /** Reads what a commit added. */
    commit(seen: Seen): void {
      try {
        follow(seen)
      } catch (error) {
        onViolation(error)
      }
      commits.push(headsNow())
    },
    /** The first `count` commits are durable. */
    settle(count: number): void {
      durable = commits[count - 1] ?? durable
    },
    commits: () => commits.length,
    /** Forgets what came after `count` commits. A lost tail must not have been durable; a restored backup may. */
    rewind(count: number, { restored }: { restored: boolean }): void {
      const heads = commits[count - 1] ?? {}
      for (const [channel, events] of journal) {
        const head = heads[channel] ?? 0
        if (!restored && head < (durable[channel] ?? 0))
          throw new Error(`the disk lost what it had promised: ${channel}`)
        for (const { type, fields } of events.splice(head)) {
          const mark = markOf(type, fields)
          if (mark !== undefined) marks.delete(mark)
        }
      }
      commits = commits.slice(0, count)
      if (restored) durable = heads
    },
    /** Claims are read anew after a rewind. */
    restoreJobs(
      rows: readonly (JobRow & { status: string })[],
      trimmedNow: readonly { channel: Channel; trimmed: number }[],
    ): void {
      jobs.clear()
      for (const { id, attempts, lease_expires_at, status } of rows) {
        if (status === 'processing') jobs.set(id, { attempt: attempts, until: lease_expires_at ?? undefined })
      }
      for (const { channel, trimmed: gone } of trimmedNow) trimmed.set(channel, gone)
    },

    head: (channel: Channel) => journal.get(channel)?.length ?? 0,
    durable: (channel: Channel) => durable[channel] ?? 0,
    trimmed: (channel: Channel) => trimmed.get(channel) ?? 0,
    heads: headsNow,
    event: (channel: Channel, seq: number) => journal.get(channel)?.[seq - 1],
    after: (channel: Channel, after: number, upto: number) => journal.get(channel)?.slice(after, upto) ?? [],
    chainAt: (channel: Channel, seq: number) =>
      seq === 0 ? START_CHAIN : journal.get(channel)?.[seq - 1]?.chain,
    /** Where the fact with this mark is. */
    placeOf: (mark: string) => marks.get(mark),

    /** Claims so far, and those that ended because their lease ran out. */
    leases: () => ({ leases: claims, leasesExpired: expired }),

    /** Whatever says that it happened must be durable. */
    requireDurable(positions: Positions, what: string): void {
      for (const [channel, seq] of Object.entries(positions) as [Channel, number][]) {
        const known = durable[channel] ?? 0
        if (seq > known) throw new Violation(`${what} shows ${channel}=${seq}, durable is ${known}`)
      }
    },
  }
}

export function chained(chain: number, text: string): number {
  let hash = chain
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return hash >>> 0
}

/** The mark of the write that made a fact. */
function markOf(type: EventType, fields: Readonly<Record<string, unknown>>): string | undefined {
  if (catalogue[type].class !== 'fact') return undefined
  const text =
    type === 'session_created'
      ? fields['session_name']
      : type === 'photo_imported'
        ? fields['file_path']
        : type === 'error_occurred'
          ? fields['error_type']
          : undefined
  return typeof text === 'string' && text.startsWith('mark-') ? text : undefined
}

/** The claim that a worker of the simulation says it acts under. */
function attemptOf({ message, result }: Readonly<Record<string, unknown>>): number | undefined {
  const told = /^attempt (\d+)$/.exec(String(message))?.[1]
  if (told !== undefined) return Number(told)
  const { attempt } = (result ?? {}) as { attempt?: unknown }
  return typeof attempt === 'number' ? attempt : undefined
}
