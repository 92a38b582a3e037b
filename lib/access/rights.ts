/** Rights: what a token's scope allows. Default deny; `client_type` never grants anything. */
import { channels, type Channel } from '../protocol/events.ts'
import { Refusal } from '../protocol/refusals.ts'

export interface Rights {
  readonly read: ReadonlySet<Channel>
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

/** Reads an OAuth2 scope; names that Lightwire does not know grant nothing here. */
export function parseScope(scope: string): Rights {
  const names = new Set(scope.split(' ').filter((name) => name !== ''))
  const perChannel = (verb: string) =>
    new Set(channels.filter((channel) => names.has(verb) || names.has(`${verb}:${channel}`)))
  return {
    read: perChannel('events:read'),
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

/** @throws {Refusal} `forbidden` naming the scope that is missing */
export function requireChannel(principal: Principal, verb: 'read' | 'publish', channel: Channel): void {
  if (principal.rights[verb].has(channel)) return
  throw new Refusal('forbidden', `the token does not grant events:${verb} on channel ${channel}`)
}

/** Whether anything may be published at all; each event's channel is looked at by itself. @throws {Refusal} `forbidden` */
export function requireAnyPublish({ rights }: Principal): void {
  if (rights.publish.size === 0) throw new Refusal('forbidden', 'the token does not grant events:publish')
}

export type ApiRight = 'apiRead' | 'apiWrite' | 'admin'

/** The scope that gives each right. */
export const scopeNames = { apiRead: 'api:read', apiWrite: 'api:write', admin: 'admin' } as const

/** @throws {Refusal} `forbidden` naming the scope that is missing */
export function requireApi(principal: Principal, right: ApiRight): void {
  if (!principal.rights[right])
    throw new Refusal('forbidden', `the token does not grant ${scopeNames[right]}`)
}

/** With `AUTH=off` everybody on the loopback address may do everything. */
export const everyone: Principal = { subject: 'anyone', scope: FULL_SCOPE, rights: parseScope(FULL_SCOPE) }
