/** Rights: what a token's scope allows. Default deny; `client_type` never grants anything. */
import * as z from 'zod'
import { channels, type Channel } from '../protocol/events.ts'
import { anyOf, bothOf } from '../protocol/filter-algebra.ts'
import { filterSchema, parseFilter, type Filter, type Scalar } from '../protocol/filter.ts'
import { Refusal } from '../protocol/refusals.ts'

export interface Rights {
  readonly read: ReadonlySet<Channel>
  /** Channels of which only some events may be read, by what they must match; none that is read whole. */
  readonly narrowed: ReadonlyMap<Channel, Filter>
  /** Sessions that grants open to GET, with their photos. */
  readonly sessions: ReadonlySet<number>
  readonly publish: ReadonlySet<Channel>
  readonly apiRead: boolean
  readonly apiWrite: boolean
  readonly admin: boolean
}

/** Who a request or connection speaks for. */
export interface Principal {
  readonly subject: string
  /** As issued, space-separated. */
  readonly scope: string
  readonly rights: Rights
  /** Milliseconds since the epoch; absent where no token is needed. */
  readonly expiresAtMs?: number
  readonly jti?: string
  /** Milliseconds since the epoch, where the token says it. */
  readonly issuedAtMs?: number
}

export const FULL_SCOPE = 'events:read events:publish api:read api:write admin'

/** Grants that one token may carry. */
export const GRANTS_MAX = 100

/** A claim that opens some events of a channel (PROTOCOL §7). */
export const grantSchema = z.strictObject({
  channel: z.enum(channels),
  where: z
    .record(z.string(), z.unknown())
    .meta({ ...filterSchema, description: 'a filter, as a subscription has it' }),
})

export type Grant = z.output<typeof grantSchema>

/**
 * Reads an OAuth2 scope, whose unknown names grant nothing here, and what grants add to it.
 * @throws {Refusal} `invalid_message` where a grant's filter is none
 */
export function parseScope(scope: string, grants: readonly Grant[] = []): Rights {
  const names = new Set(scope.split(' ').filter((name) => name !== ''))
  const perChannel = (verb: string) =>
    new Set(channels.filter((channel) => names.has(verb) || names.has(`${verb}:${channel}`)))
  const read = perChannel('events:read')
  const filters = grants.map(({ channel, where }) => ({ channel, filter: parseFilter(where, [channel]) }))
  const byChannel = Map.groupBy(filters, ({ channel }) => channel)
  return {
    read,
    narrowed: new Map(
      [...byChannel].flatMap(([channel, own]) =>
        read.has(channel) ? [] : [[channel, anyOf(own.map(({ filter }) => filter))] as const],
      ),
    ),
    sessions: new Set(filters.flatMap(({ filter }) => sessionsOf(filter))),
    publish: perChannel('events:publish'),
    apiRead: names.has('api:read'),
    apiWrite: names.has('api:write'),
    admin: names.has('admin'),
  }
}

const SCOPE_NAME = `(?:events:(?:read|publish)(?::(?:${channels.join('|')}))?|api:(?:read|write)|admin)`
/** A scope whose every name is one that Lightwire knows; for issuing, where a slip would grant nothing. */
export const KNOWN_SCOPE = new RegExp(`^ *(?:${SCOPE_NAME}(?: +|$))*$`)

/** The first name of a scope that Lightwire does not know. */
export function unknownScope(scope: string): string | undefined {
  return scope.split(' ').find((name) => !KNOWN_SCOPE.test(name))
}

/** The sessions that a grant names, if that is all it asks. */
function sessionsOf({ conditions: [first, ...more] }: Filter): number[] {
  if (first?.field !== 'session_id' || more.length > 0 || (first.op !== 'eq' && first.op !== 'in')) return []
  const { value } = first
  const values: readonly Scalar[] = typeof value === 'object' && value !== null ? value : [value]
  // What is no whole number is no session's, and no database is asked for it.
  return values.filter((item): item is number => Number.isSafeInteger(item))
}

/** Whether some events of the channel may be read. */
export function mayRead({ rights }: Pick<Principal, 'rights'>, channel: Channel): boolean {
  return rights.read.has(channel) || rights.narrowed.has(channel)
}

/** What of a channel somebody sees who asks for this; undefined where that is all of it. */
export function visible(
  { rights }: Pick<Principal, 'rights'>,
  channel: Channel,
  asked: Filter | undefined,
): Filter | undefined {
  const granted = rights.read.has(channel) ? undefined : rights.narrowed.get(channel)
  return asked && granted ? bothOf(asked, granted) : (granted ?? asked)
}

/** @throws {Refusal} `forbidden` naming the scope that is missing */
export function requireChannel(principal: Principal, verb: 'read' | 'publish', channel: Channel): void {
  if (verb === 'read' ? mayRead(principal, channel) : principal.rights.publish.has(channel)) return
  throw new Refusal('forbidden', `the token does not grant events:${verb} on channel ${channel}`)
}

/** Whether anything may be read or published at all; each channel is looked at by itself. @throws {Refusal} `forbidden` */
export function requireAny({ rights }: Principal, verb: 'read' | 'publish'): void {
  if (rights[verb].size === 0 && (verb === 'publish' || rights.narrowed.size === 0))
    throw new Refusal('forbidden', `the token does not grant events:${verb}`)
}

export type ApiRight = 'apiRead' | 'apiWrite' | 'admin'

/** The scope that gives each right. */
export const scopeNames = { apiRead: 'api:read', apiWrite: 'api:write', admin: 'admin' } as const

/** @throws {Refusal} `forbidden` naming the scope that is missing */
export function requireApi(principal: Principal, right: ApiRight): void {
  if (!principal.rights[right])
    throw new Refusal('forbidden', `the token does not grant ${scopeNames[right]}`)
}

/** The sessions that somebody is limited to in reads; undefined where `api:read` opens all. */
export function sessionsSeen({ rights }: Principal): ReadonlySet<number> | undefined {
  return rights.apiRead ? undefined : rights.sessions
}

/** @throws {Refusal} `invalid_message` where the filter of a grant is none */
export function requireGrants(grants: readonly Grant[]): void {
  for (const { channel, where } of grants) parseFilter(where, [channel])
}

/** With `AUTH=off` everybody on the loopback address may do everything. */
export const everyone: Principal = { subject: 'anyone', scope: FULL_SCOPE, rights: parseScope(FULL_SCOPE) }
