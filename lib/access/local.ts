/** Requests of this machine itself: what no proxy passed on and no page sent, and the rights they have without a token. */
import { WeakSetup } from '../weak-setup.ts'
import { parseScope, unknownScope, type Principal } from './rights.ts'

const forwarding = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip', 'via']
const LOOPBACK = /^(::1|(::ffff:)?127\.\d{1,3}\.\d{1,3}\.\d{1,3})$/

/** Whether a request came straight from a loopback address; what a proxy passes on comes from somewhere else. */
export function isDirect(headers: Headers, address: string | undefined): boolean {
  return LOOPBACK.test(address ?? '') && !forwarding.some((name) => headers.has(name))
}

/** Whoever LOCAL_SCOPE speaks for; undefined where it is empty. @throws {WeakSetup} that names a scope there is not */
export function localPrincipal(scope: string): Principal | undefined {
  const unknown = unknownScope(scope)
  if (unknown !== undefined) throw new WeakSetup(`LOCAL_SCOPE: there is no scope "${unknown}"`)
  return scope.trim() === '' ? undefined : { subject: 'local', scope, rights: parseScope(scope) }
}

/** Of Fetch Metadata: what a page from elsewhere has its browser load, an image say, without an Origin. */
const elsewhere: ReadonlySet<string | null> = new Set(['cross-site', 'same-site'])

/** A page in a browser of this machine is not this machine's own program. */
export function mayBeLocal(headers: Headers, address: string | undefined): boolean {
  return isDirect(headers, address) && !headers.has('origin') && !elsewhere.has(headers.get('sec-fetch-site'))
}
