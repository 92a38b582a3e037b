/** A route, declared once: what it takes, who may, what it does and answers; the app and openapi.yaml both read it. */
import type * as z from 'zod'
import type { Positions } from '../protocol/cursor.ts'
import type { RefusalCode } from '../protocol/refusals.ts'
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
  /** For a route that waited: whether its token is still good. @throws {Refusal} */
  readonly requireStanding: () => void
}

interface Declaration<P, Q, B, A> {
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
  readonly answer: A
  /** Refusals beside those that every route may give. */
  readonly refuses?: readonly RefusalCode[]
}

/** Writes go through here, and nowhere else. */
export type RunWrite = <T>(run: (write: Write) => Promise<T>) => Promise<Committed<T>>

/** What `run` answers: the heads of its commit, or none when it committed nothing. */
export interface Ran<T extends object = object> {
  readonly value: T
  readonly heads?: Positions
}

/** How a route does its work: a read of one state, one write, or something beside or around writes. */
type Act<P, Q, B, T extends object> =
  | { readonly read: (queries: Queries, input: Input<P, Q, B>) => Promise<T> }
  | { readonly write: (write: Write, input: Input<P, Q, B>) => Promise<T> }
  | { readonly run: (runWrite: RunWrite, input: Input<P, Q, B>) => Ran<T> | Promise<Ran<T>> }
  | { readonly probe: () => Promise<{ status: number; body: T }> }

type Optional = Schema | undefined
export type Route = Declaration<Optional, Optional, Optional, Schema> & {
  readonly act: Act<Schema, Schema, Schema, object>
}

/** Declares a route; the types of its input and of what it answers follow from its schemas. */
export function route<
  P extends Schema | undefined = undefined,
  Q extends Schema | undefined = undefined,
  B extends Schema | undefined = undefined,
  A extends z.ZodType<object> = z.ZodType<object>,
>(declared: Declaration<P, Q, B, A> & { readonly act: Act<P, Q, B, z.output<A>> }): Route {
  // The app checks every part by its own schema before it calls `act`.
  return declared as unknown as Route
}
