/** A route, declared once: what it takes, who may, what it does and answers; the app and openapi.yaml both read it. */
import type * as z from 'zod'
import type { Positions } from '../protocol/cursor.ts'
import type { ApiRight, Principal } from '../access/rights.ts'
import type { Queries } from '../store/schema.ts'
import type { Committed, Write } from '../store/write.ts'

type Schema = z.ZodType
type Out<S> = S extends Schema ? z.output<S> : undefined

/** The checked parts of a request. */
export interface Input<P, Q, B> {
  readonly params: Out<P>
  readonly query: Out<Q>
  readonly body: Out<B>
  readonly principal: Principal
  /** Aborted when the client went away. */
  readonly signal: AbortSignal
}

interface Declaration<P, Q, B> {
  readonly method: 'get' | 'post' | 'patch' | 'delete'
  /** With OpenAPI's placeholders: `/api/jobs/{id}`. */
  readonly path: string
  readonly summary: string
  readonly tag: string
  /** Scope that the token must grant; `publish` is any `events:publish`, `open` needs no token. */
  readonly right: ApiRight | 'publish' | 'open'
  readonly params?: P
  readonly query?: Q
  readonly body?: B
  /** Without a body the schema is given an empty object. */
  readonly bodyOptional?: boolean
  readonly status: 200 | 201
  readonly answer: Schema
  /** Refusals beside those that every route may give. */
  readonly refuses?: readonly ('not_found' | 'conflict' | 'too_large' | 'unknown_type')[]
}

/** Writes go through here, and nowhere else. */
export type RunWrite = <T>(run: (write: Write) => Promise<T>) => Promise<Committed<T>>

/** What `run` answers: the heads of its commit, or none when it committed nothing. */
export interface Ran {
  readonly value: object
  readonly heads?: Positions
}

/** How a route does its work: a read of one state, one write, or something beside or around writes. */
type Act<P, Q, B> =
  | { readonly read: (queries: Queries, input: Input<P, Q, B>) => Promise<object> }
  | { readonly write: (write: Write, input: Input<P, Q, B>) => Promise<object> }
  | { readonly run: (runWrite: RunWrite, input: Input<P, Q, B>) => Ran | Promise<Ran> }
  | { readonly probe: () => Promise<{ status: number; body: object }> }

export type Route = Declaration<Schema | undefined, Schema | undefined, Schema | undefined> & {
  readonly act: Act<Schema, Schema, Schema>
}

/** Declares a route; the types of its input follow from its schemas. */
export function route<
  P extends Schema | undefined = undefined,
  Q extends Schema | undefined = undefined,
  B extends Schema | undefined = undefined,
>(declared: Declaration<P, Q, B> & { readonly act: Act<P, Q, B> }): Route {
  // The app checks every part by its own schema before it calls `act`.
  return declared as unknown as Route
}
