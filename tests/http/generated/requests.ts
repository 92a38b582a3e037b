/** Requests of one operation: drawn by the document, at most one fault each, and what the document says of the answer. */
import fc from 'fast-check'
import type { Contract, Operation, Parameter, Schema } from './contract.ts'
import { drawFault, withField, withoutField, withPart, type Fault } from './faults.ts'
import { kindOfPath, type Pool } from './pool.ts'
import { jsonOf, rules, withObjects, type Rule } from './rules.ts'
import type { Draw } from './values.ts'

/** A request before its ids are known. */
export interface Plan {
  readonly parameters: Readonly<Record<string, unknown>>
  /** Undefined where the request has none. */
  readonly body: unknown
  readonly fault: Fault
}

export interface Sent {
  readonly target: string
  readonly headers: Readonly<Record<string, string>>
  readonly token: 'full' | 'none' | 'garbage' | 'weak'
  readonly contentType: string | undefined
  readonly bytes: Uint8Array<ArrayBuffer> | undefined
  /** Statuses that the answer may have, as far as the document or a rule beside it says. */
  readonly allowed: ReadonlySet<number>
  /** Beside the document: rules that explain a refusal of this request. */
  readonly covered: readonly Rule[]
}

/** Refusals of a request as such; what is left says something about the state that it met. */
const aboutTheRequest = [400, 401, 403, 413, 415, 429, 503]
/** Statuses of a request that has this fault. */
const refusedWith: Partial<Record<Fault['kind'], number>> = {
  'not JSON': 400,
  'content type': 415,
  large: 413,
  twice: 400,
}

const encoder = new TextEncoder()

/** Seconds that a claim or a pull waits: the document allows 30, which nobody would see but the clock. */
const costly: Readonly<Record<string, Schema>> = { wait: { type: 'integer', minimum: 0, maximum: 0 } }

export function drawPlan(operation: Operation, draw: Draw): fc.Arbitrary<Plan> {
  const { parameters, body, path } = operation
  const model = Object.fromEntries(
    parameters.map(({ name, schema }) => [
      name,
      draw(costly[name] ?? schema, name === 'id' ? kindOfPath(path) : name),
    ]),
  )
  const inPath = parameters.filter((parameter) => parameter.in === 'path' || parameter.required === true)
  return fc.record({
    parameters: fc.record(model, { requiredKeys: inPath.map(({ name }) => name), noNullPrototype: true }),
    body: body ? drawBody(body, draw) : fc.constant(undefined),
    fault: drawFault(operation),
  })
}

function drawBody(
  { required, schema }: { required: boolean; schema: Schema },
  draw: Draw,
): fc.Arbitrary<unknown> {
  if (required) return draw(schema)
  return fc.oneof({ weight: 1, arbitrary: fc.constant(undefined) }, { weight: 3, arbitrary: draw(schema) })
}

/** The request itself. */
export function settle(
  operation: Operation,
  plan: Plan,
  pool: Pool,
  contract: Contract,
  bodyBytesMax: number,
): Sent {
  const { fault } = plan
  const texts = textsOf(operation, plan, pool)
  const body = bodyOf(pool.settle(plan.body), fault)
  const covered = rules.filter((rule) => rule.covers({ operation, texts, body }, contract))
  const bytes = body === undefined ? undefined : encoder.encode(JSON.stringify(body))
  const sent = {
    target: targetOf(operation, texts, fault),
    headers: headersOf(texts),
    token: fault.kind === 'token' ? fault.token : operation.guarded ? ('full' as const) : ('none' as const),
    contentType: fault.kind === 'content type' ? fault.contentType : 'application/json',
    bytes:
      fault.kind === 'not JSON'
        ? fault.bytes
        : fault.kind === 'large'
          ? encoder.encode(JSON.stringify('x'.repeat(bodyBytesMax)))
          : bytes,
    covered,
  }
  const allowed = new Set(covered.map(({ status }) => status))
  for (const status of statusesOf(operation, { fault, texts, body, bytes: sent.bytes }, contract))
    allowed.add(status)
  return { ...sent, allowed }
}

interface Text {
  readonly parameter: Parameter
  readonly text: string
  readonly schema: Schema
}

function textsOf({ parameters }: Operation, plan: Plan, pool: Pool): Text[] {
  const { fault } = plan
  const values = pool.settle(plan.parameters) as Record<string, unknown>
  return parameters.flatMap((parameter) => {
    const { name, schema } = parameter
    if (fault.kind === 'parameter' && fault.parameter === parameter) {
      return [{ parameter, text: sendable(parameter, fault.text), schema }]
    }
    const value = values[name] ?? (fault.kind === 'twice' && fault.parameter === parameter ? '1' : undefined)
    return value === undefined ? [] : [{ parameter, text: sendable(parameter, String(value)), schema }]
  })
}

/**
 * A part of a path that is empty or a dot leads elsewhere; that is not this operation any more. A header has no line
 * ends and no space around it (RFC 9110 §5.5), and only Latin-1.
 */
function sendable(parameter: Parameter, text: string): string {
  if (parameter.in === 'header') return text.replaceAll(/[^\x20-\x7e\xa0-\xff]/gu, 'é').trim()
  return parameter.in === 'path' && /^\.{0,2}$/.test(text) ? `-${text}` : text
}

function headersOf(texts: readonly Text[]): Record<string, string> {
  const own = texts.filter(({ parameter }) => parameter.in === 'header')
  return Object.fromEntries(own.map(({ parameter, text }) => [parameter.name, text]))
}

function targetOf({ path }: Operation, texts: readonly Text[], fault: Fault): string {
  const query: string[] = []
  let target = path
  for (const { parameter, text } of texts) {
    if (parameter.in === 'header') continue
    const encoded = encodeURIComponent(text)
    if (parameter.in === 'path') target = target.replace(`{${parameter.name}}`, () => encoded)
    else query.push(`${parameter.name}=${encoded}`)
    if (fault.kind === 'twice' && fault.parameter === parameter) query.push(`${parameter.name}=${encoded}`)
  }
  if (fault.kind === 'unknown query') query.push(`${encodeURIComponent(fault.name)}=1`)
  return query.length === 0 ? target : `${target}?${query.join('&')}`
}

function bodyOf(value: unknown, fault: Fault): unknown {
  if (value === undefined) return undefined
  if (fault.kind === 'field') return withPart(value, fault.at, fault.value)
  if (fault.kind === 'missing') return withoutField(value, fault.at)
  if (fault.kind === 'extra') return withField(value, fault.at, fault.name, fault.value)
  return value
}

interface Judged {
  readonly fault: Fault
  readonly texts: readonly Text[]
  readonly body: unknown
  readonly bytes: Uint8Array | undefined
}

/** Statuses of the answer, by the document alone. */
function statusesOf(
  operation: Operation,
  { fault, texts, body, bytes }: Judged,
  contract: Contract,
): number[] {
  const { guarded, scopes, responses } = operation
  if (fault.kind === 'token' && fault.token !== 'weak') return [401]
  if (fault.kind === 'token' && scopes.length > 0) return [403]
  if (fault.kind === 'unknown query' && guarded) return [400]
  const refused = refusedWith[fault.kind]
  if (refused !== undefined && (bytes !== undefined || fault.kind === 'twice')) return [refused]
  if (texts.some(({ text, schema }) => !fits(text, schema, contract))) return [400]
  const fitting = Object.keys(responses)
    .map(Number)
    .filter((status) => !aboutTheRequest.includes(status))
  if (!operation.body || body === undefined) return fitting
  const { schema } = operation.body
  if (contract.fault(schema, body) === undefined) return fitting
  return contract.fault(schema, withObjects(body)) === undefined ? [400, ...fitting] : [400]
}

function fits(text: string, schema: Schema, contract: Contract): boolean {
  if (contract.fault(schema, meant(text, schema)) !== undefined) return false
  const { contentSchema } = schema
  if (!contentSchema) return true
  const json = jsonOf(text)
  return json !== undefined && contract.fault(contentSchema, json) === undefined
}

/** What the text of a path or query stands for. */
function meant(text: string, { type }: Schema): unknown {
  if (type === 'boolean') return text === 'true' ? true : text === 'false' ? false : text
  if (type !== 'integer' && type !== 'number') return text
  return /^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(text) ? Number(text) : text
}
