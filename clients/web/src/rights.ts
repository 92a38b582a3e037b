/** What a token allows, as its claims say: only what the page offers depends on them, the server decides by itself. */
import type { Channel } from '../../typescript/src/events.ts'

export const allChannels = [
  'approval',
  'export',
  'jobs',
  'photos',
  'queue',
  'sessions',
  'system',
] as const satisfies readonly Channel[]

export interface Rights {
  readonly subject: string
  readonly channels: readonly Channel[]
  readonly apiRead: boolean
  readonly apiWrite: boolean
  readonly admin: boolean
}

export function rightsOf(token: string | undefined): Rights {
  if (token === undefined) {
    return {
      subject: '',
      channels: allChannels,
      apiRead: true,
      apiWrite: true,
      admin: true,
    }
  }
  const { sub = '', scope = '', grants = [] } = claimsOf(token)
  const names = new Set(scope.split(' '))
  const granted = new Set(grants.map(({ channel }) => channel))
  return {
    subject: sub,
    channels: allChannels.filter(
      (channel) => names.has('events:read') || names.has(`events:read:${channel}`) || granted.has(channel),
    ),
    apiRead: names.has('api:read'),
    apiWrite: names.has('api:write'),
    admin: names.has('admin'),
  }
}

export function looksLikeToken(text: string): boolean {
  return /^[\w-]+\.[\w-]+\.[\w-]+$/.test(text)
}

interface Claims {
  readonly sub?: string
  readonly scope?: string
  readonly grants?: readonly { readonly channel: string }[]
}

/** What is no token has no claims; the server will say so. */
function claimsOf(token: string): Claims {
  try {
    const part = (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/')
    const bytes = Uint8Array.from(atob(part), (character) => character.charCodeAt(0))
    const claims: unknown = JSON.parse(new TextDecoder().decode(bytes))
    return isClaims(claims) ? claims : {}
  } catch {
    return {}
  }
}

function isClaims(value: unknown): value is Claims {
  if (!isObject(value)) return false
  const { sub = '', scope = '', grants = [] } = value
  return (
    typeof sub === 'string' &&
    typeof scope === 'string' &&
    Array.isArray(grants) &&
    grants.every((grant) => isObject(grant) && typeof grant['channel'] === 'string')
  )
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}
