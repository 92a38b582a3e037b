/** What a writer works with: its calls, what it made so far, and the acts it draws from. */
import type { Random } from '../random.ts'
import type { Calls } from './calls.ts'
import type { Passes } from './passes.ts'
import type { History } from './record.ts'

/** One thing that a writer can do; a higher weight is drawn more often. */
export interface Act {
  readonly weight: number
  /** Undefined when there is nothing to do it to. */
  readonly run: () => Promise<unknown> | undefined
}

export interface Work {
  readonly name: string
  readonly calls: Calls
  readonly random: Random
  readonly history: History
  readonly passes: Passes
  readonly state: WriterState
  /** Never the same number twice in a run. */
  readonly serial: () => number
}

export interface OwnSession {
  readonly id: number
  /** Undefined while an answer is missing that would tell. */
  status: string | undefined
}

export interface OwnPhoto {
  readonly id: number
  readonly session: number | null
  analyzed: boolean
  selected: boolean
  /** A job was asked for: from then on its analysis alone does not decide its status. */
  worked: boolean
}

export interface WriterState {
  /** Sessions that are there for certain. */
  sessions: OwnSession[]
  photos: OwnPhoto[]
  /** Photos without an open job. */
  idle: OwnPhoto[]
  /** Jobs it created and did not see claimed. */
  pending: { readonly id: string; readonly photo: OwnPhoto }[]
  claims: { readonly id: string; readonly attempt: number }[]
  /** Photos that may wait for approval. */
  awaiting: number[]
  /** Exports that run. */
  exports: { readonly id: number; readonly photo: number; readonly preset: string }[]
}

/** An act upon one of some things, whichever. */
export function withAny<T>(
  random: Random,
  items: () => readonly T[],
  act: (item: T) => Promise<unknown>,
): Act['run'] {
  return () => (items().length === 0 ? undefined : act(random.pick(items())))
}
