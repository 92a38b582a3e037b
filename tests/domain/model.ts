/** The model: rows as API.md says commands leave them; it knows nothing of how the server does it. */
import type { Draft } from '../../lib/protocol/events.ts'
import { isDecided, State, type Photo } from './state.ts'

export type Fields = Readonly<Record<string, unknown>>

/** What one command must bring about. */
export interface Prediction {
  readonly status: number
  /** Facts that it commits; new ids are in the answer. */
  readonly facts?: (answer: Fields) => readonly Draft[]
  /** Keeps what the rows carry and no event tells. */
  readonly keep?: () => void
}

export interface Lease {
  readonly subject: string
  readonly seconds: number
  readonly untilMs: number
}

export interface ExportRow {
  /** 0 until a list has told it. */
  id: number
  readonly photo_id: number
  readonly session_id: number | null
  readonly preset_name: string
  readonly destination: string
  status: string
  output_path: string
  file_size: number | null
  error_message: string
}

export interface SessionSettings {
  name: string
  status: string
  total: number | null
  processed: number | null
}

export interface SessionPatch {
  readonly name?: string
  readonly status?: string
  readonly total_photos?: number | null
  readonly processed_photos?: number | null
}

export interface PhotoPatch {
  readonly ai_score?: number | null
  readonly analysis_results?: Fields
  readonly context_tag?: string
  readonly selected_preset?: string
}

export interface Claimant {
  readonly subject: string
  readonly attempt?: number | undefined
}

export interface Target {
  readonly preset_name: string
  readonly destination: string
}

export const missing: Prediction = { status: 404 }
export const conflict: Prediction = { status: 409 }

export class Model {
  readonly state = new State()
  readonly leases = new Map<string, Lease>()
  /** In the order of their ids. */
  exports: ExportRow[] = []
  /** Columns of jobs and photos that no event tells. */
  readonly columns = new Map<string | number, Fields>()
  readonly settings = new Map<number, SessionSettings>()

  constructor(readonly nowMs: () => number) {}

  /** Takes the facts of one commit; answers all its events, the derived ones too. */
  accept(facts: readonly Draft[]): Draft[] {
    const queueBefore = JSON.stringify(this.state.counts())
    const waitingBefore = this.state.waiting()
    for (const fact of facts) this.state.apply(fact)
    const derived: Draft[] = [...this.sessionUpdates()]
    const counts = this.state.counts()
    if (JSON.stringify(counts) !== queueBefore) derived.push({ type: 'queue_status', data: counts })
    derived.push(...approvalUpdate(waitingBefore, this.state.waiting()))
    for (const event of derived) this.state.apply(event)
    return [...facts, ...derived]
  }

  renew(id: string, { subject, seconds }: Pick<Lease, 'subject' | 'seconds'>): void {
    const untilMs = this.nowMs() + seconds * 1000
    this.leases.set(id, { subject, seconds, untilMs })
    this.say(id, { lease_expires_at: new Date(untilMs).toISOString() })
  }

  release(id: string, columns: Fields): void {
    this.leases.delete(id)
    this.say(id, { ...columns, lease_expires_at: null })
  }

  say(id: string | number, columns: Fields): void {
    this.columns.set(id, { ...this.columns.get(id), ...columns })
  }

  /** From here on API.md is silent about these. */
  unsay(id: string, ...names: string[]): void {
    const kept = Object.entries(this.columns.get(id) ?? {}).filter(([name]) => !names.includes(name))
    this.columns.set(id, Object.fromEntries(kept))
  }

  totals(id: number, { total, processed }: SessionSettings) {
    const photos = this.state.photosOf(id)
    const done = photos.filter(({ status }) => status === 'completed' || isDecided(status)).length
    const total_photos = total ?? photos.length
    const processed_photos = processed ?? done
    return { total_photos, processed_photos, progress_percent: percent(processed_photos, total_photos) }
  }

  private sessionUpdates(): Draft[] {
    return [...this.settings].flatMap(([id, settings]): Draft[] => {
      const { name, status } = settings
      const now = { name, status, ...this.totals(id, settings) }
      const shown = this.state.sessions.get(id) as Fields | undefined
      if (Object.entries(now).every(([field, value]) => shown?.[field] === value)) return []
      const { name: session_name, ...rest } = now
      return [{ type: 'session_updated', data: { session_id: id, session_name, ...rest } }]
    })
  }

  /** The oldest that runs. */
  runningExport(photoId: number, preset: string): ExportRow | undefined {
    return this.exports.find(
      (row) => row.photo_id === photoId && row.preset_name === preset && row.status === 'running',
    )
  }

  isTaken(name: string): boolean {
    return [...this.settings.values()].some((own) => own.name === name)
  }

  now(): string {
    return new Date(this.nowMs()).toISOString()
  }
}

/** It names the session only when the photos of a single one came or went. */
function approvalUpdate(before: readonly Photo[], after: readonly Photo[]): Draft[] {
  const ids = (photos: readonly Photo[]) => new Set(photos.map(({ id }) => id))
  const changed = [
    ...before.filter(({ id }) => !ids(after).has(id)),
    ...after.filter(({ id }) => !ids(before).has(id)),
  ]
  if (changed.length === 0) return []
  const [only, ...others] = new Set(changed.map(({ session_id }) => session_id))
  const named = only && others.length === 0 ? { session_id: only } : {}
  return [{ type: 'approval_queue_updated', data: { queue_count: after.length, ...named } }]
}

export function percent(part: number, total: number): number {
  return total === 0 ? 0 : Math.round((part / total) * 10_000) / 100
}
