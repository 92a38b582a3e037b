/** The kinds of values that settings have: each a schema that reads its text and says what it expected. */
import { existsSync, readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { isAbsolute } from 'node:path'
import * as z from 'zod'

export const whole = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d+$/, `expected a whole number from ${min} to ${max}`)
    .transform(Number)
    .refine((value) => value >= min && value <= max, `expected a whole number from ${min} to ${max}`)

const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const

/** `500ms`, `30s`, `2m`, `1h` as milliseconds; `0` needs no unit. */
export const durationSchema = z
  .string()
  .regex(/^(0|\d{1,9}(ms|s|m|h))$/, 'expected a duration such as 500ms, 30s, 2m or 1h')
  .transform((text) => {
    if (text === '0') return 0
    const unit = text.replace(/^\d+/, '') as keyof typeof UNIT_MS
    return Number.parseInt(text, 10) * UNIT_MS[unit]
  })

export const duration = (minMs: number, maxMs: number) =>
  durationSchema.refine(
    (ms) => ms >= minMs && ms <= maxMs,
    `expected a duration from ${minMs}ms to ${maxMs}ms`,
  )

export const optional = <S extends z.ZodType<unknown, string>>(schema: S) =>
  z.union([z.literal('').transform(() => undefined), schema])

export const url = (...protocols: string[]) =>
  z
    .string()
    .refine(
      (text) => URL.canParse(text) && protocols.includes(new URL(text).protocol),
      `expected a URL that begins with ${protocols.map((name) => `${name}//`).join(' or ')}`,
    )

const SECRET_BYTES_MIN = 32

/** Whether a secret is as long as the shortest hash it keys. */
export function isLongSecret(text: string): boolean {
  return Buffer.byteLength(text) >= SECRET_BYTES_MIN
}

export const SECRET_EXPECTED = `expected at least ${SECRET_BYTES_MIN} bytes (RFC 7518 §3.2)`
export const secretSchema = z.string().refine(isLongSecret, SECRET_EXPECTED)

export const KEY_SET_URL_EXPECTED =
  'expected an https URL without a user name, or http from a loopback address'

/** Whoever could change the keys on their way could sign anything. */
export function isKeySetUrl(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, hostname, username, password } = new URL(text)
  const isSafe = protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname))
  return isSafe && username === '' && password === ''
}

const LOOPBACK_HOST = /^(localhost|127(\.\d{1,3}){3}|\[?::1\]?)$/

/** Whether only this machine is reached, or reaches, there. */
export function isLoopback(host: string): boolean {
  return LOOPBACK_HOST.test(host)
}

export const originList = z.string().transform((text, context) => {
  const origins = text.split(',').flatMap((part) => part.trim() || [])
  for (const origin of origins) {
    if (!URL.canParse(origin) || new URL(origin).origin !== origin) {
      context.addIssue(`expected exact origins such as https://studio.example, separated by commas`)
      return z.NEVER
    }
  }
  return origins
})

export const folderList = z.string().transform((text, context) => {
  const folders = text.split(',').flatMap((part) => part.trim() || [])
  if (folders.every((folder) => isAbsolute(folder))) return folders
  context.addIssue('expected absolute paths of folders, separated by commas')
  return z.NEVER
})

/** At most so many events in any span of that length. */
export interface Rate {
  readonly limit: number
  readonly windowMs: number
}

const RATE_EXPECTED = 'expected 0, or a number and a duration from 1s to 1h such as 100/60s'

export const rate = z.string().transform((text, context): Rate | undefined => {
  if (text === '0') return undefined
  const [, number = '', length = ''] = /^(\d{1,7})\/(.+)$/.exec(text) ?? []
  const windowMs = duration(1000, 3_600_000).safeParse(length).data
  if (windowMs !== undefined && Number(number) > 0) return { limit: Number(number), windowMs }
  context.addIssue(RATE_EXPECTED)
  return z.NEVER
})

export const addressList = z.string().transform((text, context) => {
  const entries = text.split(',').flatMap((part) => part.trim() || [])
  if (entries.every((entry) => parseSubnet(entry) !== undefined)) return entries
  context.addIssue('expected addresses or CIDR blocks such as 10.0.0.0/8, separated by commas')
  return z.NEVER
})

export interface Subnet {
  readonly address: string
  readonly prefix: number
  readonly family: 'ipv4' | 'ipv6'
}

/** An address, or a block of them (RFC 4632 §3.1, RFC 4291 §2.3); undefined where it is neither. */
export function parseSubnet(text: string): Subnet | undefined {
  const [, address = '', prefix] = /^([0-9a-fA-F.:]+)(?:\/(\d{1,3}))?$/.exec(text) ?? []
  const version = isIP(address)
  if (version === 0) return undefined
  const bits = version === 4 ? 32 : 128
  const length = Number(prefix ?? bits)
  return length > bits ? undefined : { address, prefix: length, family: version === 4 ? 'ipv4' : 'ipv6' }
}

/** 80 % of the file descriptors: near the limit Bun spins a core (measured). */
export function connectionsAllowed(): number {
  const limits = existsSync('/proc/self/limits') ? readFileSync('/proc/self/limits', 'utf8') : ''
  const descriptors = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? 1024)
  return Math.max(1, Math.floor(descriptors * 0.8))
}
