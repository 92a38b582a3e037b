/** What a command is before it is sent: a few small numbers choose the row, the values, the sender and the way. */
import type { ExportRow, Fields, Model, Prediction } from './model.ts'
import type { State } from './state.ts'

export const subjects = ['anna', 'bert'] as const
export type Subject = (typeof subjects)[number]

export type SentEvent = Fields & { readonly type: string }

/** A request, or an event over the socket; and what it must bring about. */
export interface Operation {
  readonly rest?: readonly [method: string, path: string, body?: unknown]
  readonly publish?: { readonly event: SentEvent; readonly command: boolean }
  readonly predict: (model: Model) => Prediction
}

export type ListedExport = Pick<ExportRow, 'id' | 'photo_id' | 'preset_name' | 'status'>

/** The rows that a command may choose from. */
export interface View {
  readonly state: State
  readonly exports: readonly ListedExport[]
}

/** What a command reads as it needs; all of it shrinks to the plainest. */
export interface Choices {
  readonly row: number
  readonly a: number
  readonly b: number
  readonly subject: Subject
  readonly socket: boolean
}

/** undefined when there is nothing to act on. */
export type Build = (view: View, choices: Choices) => Operation | undefined

export const CHOICE_MAX = 999
/** An id that is never given. */
export const MISSING_ID = 999_999
export const MISSING_JOB = 'f'.repeat(32)

export const of = <T>(items: readonly [T, ...T[]], choice: number): T =>
  items[choice % items.length] ?? items[0]

/** A row that suits, and one time in five any: refusals are part of the contract. */
export function pick<T>(rows: Iterable<T>, { row }: Choices, suits: (row: T) => boolean): T | undefined {
  const all = [...rows]
  const from = row % 5 === 4 ? all : all.filter(suits)
  return from[Math.floor(row / 5) % from.length]
}

interface Ways<R> {
  readonly row: R | undefined
  /** Some commands are about a row that is not there. */
  readonly missing: R
  readonly rest?: (row: R) => Operation['rest']
  /** The event that as a command does the same. */
  readonly event?: (row: R) => SentEvent | undefined
  readonly predict: (model: Model, row: R) => Prediction
  /** Where the event cannot say the same. */
  readonly predictEvent?: (model: Model, row: R) => Prediction
}

/** A command on one row: over REST, or over the socket as an event that is a command. */
export function onRow<R>(
  choices: Choices,
  { row: held, missing, rest, event, predict, predictEvent = predict }: Ways<R>,
): Operation | undefined {
  if (held === undefined) return undefined
  const isMissing = rest !== undefined && choices.row > CHOICE_MAX - 20
  const row = isMissing ? missing : held
  // An event about a row that is not held here is no command: it is passed on.
  const sent = !isMissing && (choices.socket || !rest) ? event?.(row) : undefined
  if (sent) return { publish: { event: sent, command: true }, predict: (model) => predictEvent(model, row) }
  const request = rest?.(row)
  return request && { rest: request, predict: (model) => predict(model, row) }
}
