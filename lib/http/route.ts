/** A route, declared once: what it takes, who may, what it does and answers; the app and openapi.yaml both read it. */
import type * as z from 'zod'
import type { Positions } from '../protocol/cursor.ts'
import type { RefusalCode } from '../protocol/refusals.ts'
import type { ApiRight, Principal } from '../access/rights.ts'
import type { Outcome } from '../store/idempotency.ts'
import type { Queries } from '../store/schema.ts'
import type { Committed, Write } from '../store/write.ts'
import type { FileAnswer } from './files.ts'

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
  readonly headers: Headers
  /** What limits count the client by. */
  readonly address: string
  readonly requestId: string
  /** From now on the connection is cut when no byte moved for so long. */
  readonly limitSilence: (seconds: number) => void
  /** For a route that waited: whether its token is still good. @throws {Refusal} */
  readonly requireStanding: () => void
}

interface Declaration<P, Q, B, A> {
  readonly method: 'get' | 'post' | 'patch' | 'delete'
  /** With OpenAPI's placeholders: `/api/jobs/{id}`. */
  readonly path: string
  readonly summary: string
  readonly tag: string
  /** What the token must grant: `publish` and `read` are that on any channel, `any` is any token, `open` needs none. */
  readonly right: ApiRight | 'publish' | 'read' | 'any' | 'open'
  readonly params?: P
  readonly query?: Q
  readonly body?: B
  /** Request headers that it reads by itself, for the document. */
  readonly headers?: z.ZodObject
  /** Without a body the schema is given an empty object. */
  readonly bodyOptional?: boolean
  /** Whether a grant on a session opens it too, narrowed to that session. */
  readonly bySession?: boolean
  readonly status: 200 | 201
  readonly answer: A
  /** Refusals beside those that every route may give. */
  readonly refuses?: readonly RefusalCode[]
  /** Answered while the server drains too: it takes away what waits. */
  readonly whileDraining?: boolean
  /** It may hold on until something happens, and takes a client's place meanwhile. */
  readonly waits?: boolean
  /** Its answer holds a secret: it is not kept for an `Idempotency-Key`. */
  readonly secret?: boolean
}

/** Makes the answer of a `run`; with an `Idempotency-Key` it is stored with its effect, or an earlier one given again. */
export interface Answering<T> {
  /** Answers with what is so now; without heads of its own the cursor is that of what is durable. */
  made(value: T, heads?: Positions): Outcome<never>
  /** Runs a write. */
  write<V>(write: {
    readonly run: (write: Write) => Promise<V>
    /** Called with the numbers of its events, with a key before the commit: it may tell, and change nothing. */
    readonly answer: (committed: Committed<V>) => T
    /** False where nothing happened, so that a repeat may still make it happen. */
    readonly keep?: (value: V) => boolean
  }): Promise<Outcome<V>>
  /** Does something outside of the database. */
  beside(effect: () => T): Promise<Outcome<T>>
}

/** How a route does its work: a read of one state, one write, or something beside or around writes. */
type Act<P, Q, B, T extends object> =
  | { readonly read: (queries: Queries, input: Input<P, Q, B>) => Promise<T> }
  | { readonly write: (write: Write, input: Input<P, Q, B>) => Promise<T> }
  | {
      readonly run: (
        answering: Answering<T>,
        input: Input<P, Q, B>,
      ) => Outcome<unknown> | Promise<Outcome<unknown>>
    }
  /** What has a position of its own, or none: its answer carries no cursor. */
  | { readonly give: (input: Input<P, Q, B>) => T | Promise<T> }
  /** What is no JSON; its declared answer says of which type. */
  | { readonly file: (input: Input<P, Q, B>) => Promise<FileAnswer> }
  /** A `text/event-stream` that does not end by itself. */
  | { readonly stream: (input: Input<P, Q, B>) => Promise<ReadableStream<Uint8Array>> }
  | { readonly probe: () => Promise<{ status: number; body: T }> }

type Optional = Schema | undefined
export type Route = Declaration<Optional, Optional, Optional, Schema> & {
  readonly act: Act<Schema, Schema, Schema, object>
}

/** Whether a request could change something, so that its Origin is looked at: a poll takes what it is given. */
export function mayChange(method: string, path: string): boolean {
  return !['get', 'head', 'options'].includes(method.toLowerCase()) || path.startsWith('/ws/')
}

/** What an address takes, in capitals; empty where no route has it. */
export function methodsOf(routes: readonly Route[], path: string): string[] {
  const methods = routes.flatMap((declared) => {
    const pattern = new RegExp(`^${declared.path.replaceAll(/\{\w+\}/g, '[^/]+')}$`)
    return pattern.test(path) ? [declared.method.toUpperCase()] : []
  })
  return [...new Set(methods)]
}

/** Declares a route; the types of its input and of what it answers follow from its schemas. */
export function route<
  P extends Schema | undefined = undefined,
  Q extends Schema | undefined = undefined,
  B extends Schema | undefined = undefined,
  A extends Schema = Schema,
>(declared: Declaration<P, Q, B, A> & { readonly act: Act<P, Q, B, Extract<z.output<A>, object>> }): Route {
  // The app checks every part by its own schema before it calls `act`.
  return declared as unknown as Route
}
