/** Idempotency: the first answer to a keyed request is stored in the transaction of its effect, and given again. */
import { createHash } from 'node:crypto'
import { Refusal } from '../protocol/refusals.ts'
import type { Queries } from './schema.ts'
import type { Committed, Numbered, RunWrite, Write } from './write.ts'

/** How long an answer is kept. */
const KEPT_MS = 24 * 3_600_000
/** Answers that one step of the chore removes; an import's may have hundreds of kilobytes. */
const EXPIRY_STEP = 100

/** What a key belongs to, and what was asked under it. */
export interface KeyedRequest {
  readonly subject: string
  readonly method: string
  readonly path: string
  readonly key: string
  /** A JSON value: equal in another order of fields, in another framing. */
  readonly body: unknown
}

/** What is given again. */
export interface Answer {
  /** 2xx: refusals are not stored. */
  readonly status: number
  readonly body: string
  readonly cursor: string
}

export interface Outcome<V> {
  readonly answer: Answer
  /** Whether it is an earlier request's. */
  readonly replayed: boolean
  /** The write that this request made, if it made one. */
  readonly committed: Committed<V> | undefined
}

/** A write and the answer that follows from it. */
export interface AnsweringWrite<V> {
  readonly run: (write: Write) => Promise<V>
  /** Called between the numbering of the events and the commit. */
  readonly answer: (committed: Committed<V>) => Answer
  /** False where nothing happened: the same key may then still make it happen. */
  readonly keep: (value: V) => boolean
}

/**
 * Writes once per key: while the answer is kept, an equal request gets it and writes nothing. Equal requests at once
 * wait for each other in the writer. @throws {Refusal} what the write refuses; `idempotency_mismatch`
 */
export async function answerOnce<V>(
  runWrite: RunWrite,
  request: KeyedRequest,
  { run, answer, keep }: AnsweringWrite<V>,
): Promise<Outcome<V>> {
  const { subject, method, path, key, body } = request
  const id = digest([subject, method, path, key])
  const fingerprint = digest(body)

  const { value: outcome, ...numbered } = await runWrite(async (write) => {
    if (await reserve(write, id, fingerprint)) return await makeFirst(write)
    await requireEqual(write.queries, id, fingerprint)
    const earlier: { answer?: Answer | undefined } = {}
    // Not before: the first may be a write of this very transaction.
    write.beforeCommit(async () => void (earlier.answer = await read(write.queries, id)))
    return { first: false as const, earlier }
  })
  if (outcome.first) {
    const committed = { value: outcome.value, ...numbered }
    return { answer: outcome.made.answer ?? answer(committed), replayed: false, committed }
  }
  if (!outcome.earlier.answer) throw new Error('the first of two equal requests was left without an answer')
  return { answer: outcome.earlier.answer, replayed: true, committed: undefined }

  async function makeFirst(write: Write) {
    const value = await run(write)
    const made: { answer?: Answer } = {}
    if (!keep(value)) await forget(write.queries, id)
    else write.beforeCommit(async (events) => void (await store(write.queries, value, events, made)))
    return { first: true as const, value, made }
  }

  async function store(queries: Queries, value: V, events: Numbered, made: { answer?: Answer }) {
    try {
      made.answer = answer({ value, ...events })
    } catch {
      // A bug of this request's answer, which it meets once more above: the writes beside it shall not fail with it.
      return await forget(queries, id)
    }
    await queries.updateTable('idempotency').set(made.answer).where('id', '=', id).execute()
  }
}

/** Takes the key, unless an answer is kept under it. Lookup and insertion are one statement. */
async function reserve({ queries, now }: Write, id: string, fingerprint: string): Promise<boolean> {
  const expires_at = new Date(Date.parse(now) + KEPT_MS).toISOString()
  const fresh = { fingerprint, status: 0, body: '', cursor: '', expires_at }
  const taken = await queries
    .insertInto('idempotency')
    .values({ id, ...fresh })
    .onConflict((conflict) =>
      // What has expired is as if it were gone; the chore may come later.
      conflict.column('id').doUpdateSet(fresh).where('idempotency.expires_at', '<=', now),
    )
    .returning('id')
    .executeTakeFirst()
  return taken !== undefined
}

async function requireEqual(queries: Queries, id: string, fingerprint: string): Promise<void> {
  const row = await queries
    .selectFrom('idempotency')
    .select('fingerprint')
    .where('id', '=', id)
    .executeTakeFirst()
  if (row?.fingerprint === fingerprint) return
  throw new Refusal('idempotency_mismatch', 'this key came with another body before; take a new key for it')
}

async function read(queries: Queries, id: string): Promise<Answer | undefined> {
  return await queries
    .selectFrom('idempotency')
    .select(['status', 'body', 'cursor'])
    .where('id', '=', id)
    .executeTakeFirst()
}

async function forget(queries: Queries, id: string): Promise<void> {
  await queries.deleteFrom('idempotency').where('id', '=', id).execute()
}

/** Removes one step of what has expired; whether more may be left. */
export async function expireAnswers(runWrite: RunWrite): Promise<boolean> {
  const { value: removed } = await runWrite(async ({ queries, now }) => {
    const expired = queries
      .selectFrom('idempotency')
      .select('id')
      .where('expires_at', '<=', now)
      .orderBy('expires_at')
      .limit(EXPIRY_STEP)
    const { numDeletedRows } = await queries
      .deleteFrom('idempotency')
      .where('id', 'in', expired)
      .executeTakeFirst()
    return Number(numDeletedRows)
  })
  return removed >= EXPIRY_STEP
}

/** SHA-256 of a JSON value, its fields in the order of their names (RFC 8785). */
function digest(value: unknown): string {
  const text = JSON.stringify(value ?? null, (_, part: unknown) => (isObject(part) ? sorted(part) : part))
  return createHash('sha256').update(text).digest('hex')
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function sorted(object: object): object {
  return Object.fromEntries(Object.entries(object).toSorted(([a], [b]) => (a < b ? -1 : 1)))
}
