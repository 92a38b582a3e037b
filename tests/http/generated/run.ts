/** Sends the generated requests of a document to a server and says of each answer where it leaves the document. */
import fc from 'fast-check'
import type { Contract, Operation } from './contract.ts'
import { createPool, CURSOR, type Pool } from './pool.ts'
import { drawPlan, settle, type Plan, type Sent } from './requests.ts'
import { filtersOfAll, jsonOf } from './rules.ts'
import { createDraw, type Words } from './values.ts'

const EVENT_STREAM = 'text/event-stream'

interface RunOptions {
  readonly contract: Contract
  readonly url: string
  readonly bodyBytesMax: number
  /** A token of every scope, and one that no operation takes. */
  readonly tokens: { readonly full: string; readonly weak: string }
  readonly seed: number
  /** Requests per operation. */
  readonly cases: number
  /** All of them unless named. */
  readonly operations?: readonly string[]
  /** Before each round, which is one request of each operation in the document's order. */
  readonly beforeRound?: (pool: Pool) => Promise<void>
}

export interface Tally {
  sent: number
  /** Answers of 2xx. */
  succeeded: number
  /** Answers by status. */
  readonly statuses: Record<number, number>
}

export interface Outcome {
  /** By operation id. */
  readonly tallies: ReadonlyMap<string, Tally>
  /** One sentence per answer that is not as documented, with the request that brought it. */
  readonly findings: readonly string[]
  /** How many refusals only a rule beside the document explains, by what the rule says. */
  readonly explained: ReadonlyMap<string, number>
}

export async function run(options: RunOptions): Promise<Outcome> {
  const { contract, seed, cases, operations: wanted } = options
  const operations = contract.operations.filter(({ id }) => wanted?.includes(id) ?? true)
  const draw = createDraw(contract, wordsOf(contract))
  const planned = operations.map((operation, index) => ({
    operation,
    plans: fc.sample(drawPlan(operation, draw), { seed: seed + index, numRuns: cases }),
  }))
  const pool = createPool()
  const tallies = new Map(operations.map(({ id }) => [id, { sent: 0, succeeded: 0, statuses: {} } as Tally]))
  const findings: string[] = []
  const explained = new Map<string, number>()
  for (let round = 0; round < cases; round += 1) {
    await options.beforeRound?.(pool)
    for (const { operation, plans } of planned) {
      const plan = plans[round]
      const tally = tallies.get(operation.id)
      if (!plan || !tally) throw new Error(`${operation.id} has too few requests`)
      const sent = settle(operation, plan, pool, contract, options.bodyBytesMax)
      const answer = await send(options, operation, sent)
      tally.sent += 1
      tally.statuses[answer.status] = (tally.statuses[answer.status] ?? 0) + 1
      if (answer.status < 300) tally.succeeded += 1
      const rule = sent.covered.find(({ status }) => status === answer.status)
      if (rule) explained.set(rule.says, (explained.get(rule.says) ?? 0) + 1)
      learn(pool, operation, answer)
      const faults = faultsOf(operation, sent, answer, contract)
      findings.push(...faults.map((fault) => told({ operation, plan, sent, answer, round, fault })))
    }
  }
  return { tallies, findings, explained }
}

/** Channels and filters; scopes of the document's operations; types of an event without a row and of a message of the protocol; a key. */
function wordsOf({ operations }: Contract): Words {
  return {
    channels: ['jobs', 'photos,jobs', 'system,queue,export,approval,sessions', 'nothing'],
    where: filtersOfAll,
    scope: [...new Set(operations.flatMap(({ scopes }) => scopes))],
    type: ['system_status', 'session_deleted', 'ping'],
    // Comes again and again, mostly with another body.
    'Idempotency-Key': ['again'],
  }
}

interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** The text itself where it is a stream's or an image's, undefined where it is neither that nor JSON. */
  readonly body: unknown
}

async function send({ url, tokens }: RunOptions, { method }: Operation, sent: Sent): Promise<Answer> {
  const { target, headers, token, contentType, bytes } = sent
  const bearer = token === 'garbage' ? 'garbage' : token === 'none' ? undefined : tokens[token]
  const response = await fetch(`${url}${target}`, {
    method,
    headers: {
      ...headers,
      ...(bearer === undefined ? {} : { Authorization: `Bearer ${bearer}` }),
      ...(bytes && contentType !== undefined ? { 'Content-Type': contentType } : {}),
    },
    ...(bytes ? { body: bytes } : {}),
  })
  const { status } = response
  const type = response.headers.get('content-type') ?? ''
  const isStream = type === EVENT_STREAM
  const text = await (isStream ? firstPart(response) : response.text())
  return {
    status,
    headers: response.headers,
    text,
    body: isStream || type === 'image/webp' ? text : jsonOf(text),
  }
}

/** What a stream begins with; it does not end by itself. */
async function firstPart({ body }: Response): Promise<string> {
  for await (const part of body ?? []) return new TextDecoder().decode(part)
  return ''
}

/** Where the journal is, and ids of what was changed or waits for a decision; other lists would bring in what is over. */
function learn(pool: Pool, { method, path }: Operation, { status, headers, body }: Answer): void {
  if (status >= 300) return
  if (method !== 'GET' || path === '/api/approval/queue' || path === '/ws/poll') pool.learn(path, body)
  pool.note(CURSOR, headers.get('lightwire-cursor'))
}

function faultsOf({ responses }: Operation, { allowed }: Sent, answer: Answer, contract: Contract): string[] {
  const { status, headers, body } = answer
  if (status >= 500) return [`the server failed: ${status}`]
  const documented = responses[String(status)]
  if (!documented) return [`status ${status} is not documented`]
  const type = headers.get('content-type') ?? ''
  const content = documented.content[type]
  const expected = Object.keys(documented.content).join(' or ')
  const fault = content && contract.fault(content.schema, body)
  const missing = Object.entries(documented.headers ?? {}).flatMap(([name, { required = false }]) =>
    required && !headers.get(name) ? [name] : [],
  )
  return [
    ...(allowed.has(status) ? [] : [`status ${status}, where ${[...allowed].join(', ')} would be right`]),
    ...(content ? [] : [`content type "${type}", documented ${expected}`]),
    ...(fault === undefined ? [] : [`the answer does not fit its schema: ${fault}`]),
    ...missing.map((name) => `there is no header ${name}`),
  ]
}

interface Finding {
  readonly operation: Operation
  readonly plan: Plan
  readonly sent: Sent
  readonly answer: Answer
  readonly round: number
  readonly fault: string
}

/** Enough to send it again by hand; long texts are cut. */
function told({ operation, plan, sent, answer, round, fault }: Finding): string {
  const body = sent.bytes ? ` ${cut(new TextDecoder().decode(sent.bytes))}` : ''
  const request = `${operation.method} ${cut(sent.target)}${body}`
  return `${operation.id} #${round} (${plan.fault.kind}): ${fault}\n  ${request}\n  ${answer.status} ${cut(answer.text)}`
}

function cut(text: string): string {
  return text.length > 500 ? `${text.slice(0, 500)}… (${text.length} characters)` : text
}
