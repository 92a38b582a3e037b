/** The closed table of refusals: every expected "no" has one code, one HTTP status, at most one close code. */

interface RefusalRow {
  /** HTTP status where the refusal can answer a request. */
  readonly status?: number
  /** WebSocket close code (RFC 6455 §7.4, private range) where it can end a connection. */
  readonly close?: number
}

/** PROTOCOL §2. The close code's range carries the advice: 4000–4499 come back, 4500–4999 stay away. */
export const refusals = {
  invalid_message: { status: 400, close: 4500 },
  unknown_type: { status: 400 },
  unknown_channel: { status: 404 },
  unauthenticated: { status: 401, close: 4401 },
  invalid_token: { status: 401, close: 4501 },
  auth_timeout: { close: 4502 },
  forbidden: { status: 403 },
  origin_refused: { status: 403 },
  host_refused: { status: 403 },
  unsupported_protocol: { status: 400, close: 4507 },
  not_found: { status: 404 },
  no_preview: { status: 404 },
  method_not_allowed: { status: 405 },
  conflict: { status: 409 },
  cursor_gone: { status: 410, close: 4409 },
  unsupported_media_type: { status: 415 },
  too_large: { status: 413, close: 1009 },
  idempotency_mismatch: { status: 422 },
  rate_limited: { status: 429, close: 4429 },
  too_many_subscriptions: { status: 429 },
  too_many_connections: { status: 503, close: 4430 },
  slow_consumer: { close: 4400 },
  no_pong: { close: 4408 },
  disconnected: { close: 4503 },
  storage_unavailable: { status: 503 },
  draining: { status: 503, close: 1012 },
  internal: { status: 500, close: 1011 },
} as const satisfies Record<string, RefusalRow>

export type RefusalCode = keyof typeof refusals

/** One fault of an input, named by its path (`photos.0.file_path`). */
export interface InputFault {
  readonly path: string
  readonly message: string
}

interface RefusalDetail {
  readonly faults?: readonly InputFault[]
  /** Milliseconds after which the same request may succeed. */
  readonly retryAfterMs?: number
  /** Where a transition was refused: the state that it met. */
  readonly currentStatus?: string
  /** Fields of its own beside those that every refusal has (RFC 9457 §3.2). */
  readonly members?: Readonly<Record<string, unknown>>
  readonly cause?: unknown
}

/** An expected no. The edge that meets the client turns it into a status, an `error` message or a close. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly code: RefusalCode
  readonly faults: readonly InputFault[]
  readonly retryAfterMs: number | undefined
  readonly currentStatus: string | undefined
  readonly members: Readonly<Record<string, unknown>>

  constructor(code: RefusalCode, sentence: string, detail: RefusalDetail = {}) {
    const { faults = [], retryAfterMs, currentStatus, members = {}, cause } = detail
    super(sentence, cause === undefined ? undefined : { cause })
    this.code = code
    this.faults = faults
    this.retryAfterMs = retryAfterMs
    this.currentStatus = currentStatus
    this.members = members
  }
}

/** The beginning of what a client sent, for a sentence; a pair of surrogates is not cut in half. */
export function excerpt(text: string, max = 64): string {
  return text.slice(0, max).replace(/[\uD800-\uDBFF]$/, '')
}

/** HTTP statuses that refusals have. */
export type RefusalStatus = Extract<(typeof refusals)[RefusalCode], { status: number }>['status']

/** HTTP status of a refusal; codes that only ever close a socket count as 400. */
export function statusOf(code: RefusalCode): RefusalStatus {
  const row = refusals[code]
  return 'status' in row ? row.status : 400
}

/** Close code of a refusal; codes that never end a connection count as 1008 (policy violation). */
export function closeCodeOf(code: RefusalCode): number {
  const row: RefusalRow = refusals[code]
  return row.close ?? 1008
}

/** Whether a client may come back after this close code (PROTOCOL §2). */
export function mayReconnect(closeCode: number): boolean {
  return [1001, 1006, 1011, 1012, 1013].includes(closeCode) || (closeCode >= 4000 && closeCode <= 4499)
}

/** Stands in an issue for a discriminator that no branch has. */
const UNKNOWN_TYPE = 'unknown_type'

interface SchemaIssue {
  readonly code?: string | undefined
  readonly path: readonly PropertyKey[]
  readonly message: string
  /** What did not fit, where the parser was asked to report it. */
  readonly input?: unknown
  /** Names that a strict schema does not know. */
  readonly keys?: readonly string[]
  /** Of a union: what each of its branches says; empty where none fits the discriminator. */
  readonly errors?: readonly (readonly SchemaIssue[])[]
}

/**
 * Turns a zod error into an `invalid_message` that names every fault by its path, or into `unknown_type` where all
 * that is wrong is a `type` that a list of types does not have.
 */
export function refuseInput(issues: readonly SchemaIssue[], prefix = ''): Refusal {
  const flat = issues.flatMap(innermost)
  const faults = flat.flatMap(({ path, message, keys }) =>
    keys
      ? keys.map((key) => ({ path: pathOf(prefix, [...path, key]), message: 'not known here' }))
      : [{ path: pathOf(prefix, path), message }],
  )
  const sentence = faults.map(({ path, message }) => (path ? `${path}: ${message}` : message)).join('; ')
  const code = flat.every((issue) => issue.code === UNKNOWN_TYPE) ? 'unknown_type' : 'invalid_message'
  return new Refusal(code, excerpt(sentence, 1000), { faults: faults.slice(0, 100) })
}

/** A union's own message says nothing; the branch that comes closest names what was expected. */
function innermost(issue: SchemaIssue): SchemaIssue[] {
  if (issue.code !== 'invalid_union') return [issue]
  if (issue.errors?.length === 0) {
    const named = typeof (issue.input as { type?: unknown } | undefined)?.type === 'string'
    const message = named ? 'not one of the types there are' : 'expected a string'
    return [{ ...issue, code: named ? UNKNOWN_TYPE : 'invalid_type', message }]
  }
  // A branch that expected another kind of value altogether is not the one that was meant.
  const otherKind = ({ code, path }: SchemaIssue) => code === 'invalid_type' && path.length === 0
  const close = issue.errors?.find((branch) => !branch.some(otherKind)) ?? issue.errors?.[0] ?? []
  return close.flatMap((inner) => innermost({ ...inner, path: [...issue.path, ...inner.path] }))
}

function pathOf(prefix: string, path: readonly PropertyKey[]): string {
  return `${prefix}${path.map(String).join('.')}`
}
