/** The settings: every environment variable with its unit, default and reason, parsed once. */
import { existsSync, readFileSync } from 'node:fs'
import * as z from 'zod'

interface Setting<S extends z.ZodType = z.ZodType> {
  readonly default: string
  readonly unit: string
  readonly reason: string
  readonly secret?: boolean
  readonly schema: S
}

function setting<S extends z.ZodType>(
  fallback: string,
  unit: string,
  reason: string,
  schema: S,
  secret = false,
): Setting<S> {
  return { default: fallback, unit, reason, schema, secret }
}

const whole = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d+$/, `expected a whole number from ${min} to ${max}`)
    .transform(Number)
    .refine((value) => value >= min && value <= max, `expected a whole number from ${min} to ${max}`)

const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const

/** `500ms`, `30s`, `2m`, `1h` as milliseconds. */
export const durationSchema = z
  .string()
  .regex(/^\d{1,9}(ms|s|m|h)$/, 'expected a duration such as 500ms, 30s, 2m or 1h')
  .transform((text) => {
    const unit = text.replace(/^\d+/, '') as keyof typeof UNIT_MS
    return Number.parseInt(text, 10) * UNIT_MS[unit]
  })

const duration = (minMs: number, maxMs: number) =>
  durationSchema.refine(
    (ms) => ms >= minMs && ms <= maxMs,
    `expected a duration from ${minMs}ms to ${maxMs}ms`,
  )

const optional = <S extends z.ZodType<unknown, string>>(schema: S) =>
  z.union([z.literal('').transform(() => undefined), schema])

const url = (...protocols: string[]) =>
  z
    .string()
    .refine(
      (text) => URL.canParse(text) && protocols.includes(new URL(text).protocol),
      `expected a URL that begins with ${protocols.map((name) => `${name}//`).join(' or ')}`,
    )

const originList = z.string().transform((text, context) => {
  const origins = text.split(',').flatMap((part) => part.trim() || [])
  for (const origin of origins) {
    if (!URL.canParse(origin) || new URL(origin).origin !== origin) {
      context.addIssue(`expected exact origins such as https://studio.example, separated by commas`)
      return z.NEVER
    }
  }
  return origins
})

/** 80 % of the file descriptors: near the limit Bun spins a core (measured). */
function defaultConnections(): string {
  const limits = existsSync('/proc/self/limits') ? readFileSync('/proc/self/limits', 'utf8') : ''
  const descriptors = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? 1024)
  return String(Math.max(1, Math.min(100_000, Math.floor(descriptors * 0.8) - 32)))
}

/** Names are normative; a setting that is not here does not exist. */
export const settings = {
  HOST: setting(
    '127.0.0.1',
    'address',
    'where to listen; loopback until somebody decides otherwise',
    z.string().min(1),
  ),
  PORT: setting('5100', 'TCP port', '0 takes a free one; the first log line names it', whole(0, 65_535)),
  PUBLIC_URL: setting(
    '',
    'URL',
    'how clients reach the server through a proxy',
    optional(url('http:', 'https:')),
  ),
  DATA_DIR: setting(
    './data',
    'path',
    'database, secret and lock; one server process per folder',
    z.string().min(1),
  ),
  DATABASE_URL: setting(
    '',
    'URL',
    'postgres://… instead of SQLite in DATA_DIR',
    optional(url('postgres:', 'postgresql:')),
    true,
  ),
  AUTH: setting(
    'required',
    'required or off',
    'off is allowed on a loopback address only',
    z.enum(['required', 'off']),
  ),
  JWT_SECRET: setting(
    '',
    'at least 32 bytes',
    'HS256/384/512 key; without it one is generated into DATA_DIR on the first start',
    optional(
      z
        .string()
        .refine((text) => Buffer.byteLength(text) >= 32, 'expected at least 32 bytes (RFC 7518 §3.2)'),
    ),
    true,
  ),
  JWT_ISSUER: setting('', 'text', 'when set, a token must carry it as iss', optional(z.string().max(512))),
  JWT_AUDIENCE: setting('', 'text', 'when set, a token must carry it as aud', optional(z.string().max(512))),
  ALLOWED_ORIGINS: setting(
    '',
    'origins',
    'pages of other origins that may use the server, comma-separated',
    originList,
  ),
  MAX_CONNECTIONS: setting(
    defaultConnections(),
    'sockets',
    '80 % of the file-descriptor limit',
    whole(1, 1_000_000),
  ),
  MAX_FRAME_BYTES: setting(
    '65536',
    'bytes',
    'largest message of a client, inflated too',
    whole(1024, 1_048_576),
  ),
  MAX_BODY_BYTES: setting('1048576', 'bytes', 'largest request body', whole(1024, 67_108_864)),
  MAX_PENDING_WRITES: setting(
    '10000',
    'writes',
    'waiting for a commit; over it requests get 503',
    whole(1, 1_000_000),
  ),
  QUEUED_BYTES_MAX: setting(
    '67108864',
    'bytes',
    'unsent bytes over all sockets between two sweeps',
    whole(1_048_576, 17_179_869_184),
  ),
  TAIL_BYTES: setting(
    '33554432',
    'bytes',
    'newest part of the journal kept in memory',
    whole(65_536, 17_179_869_184),
  ),
  RETENTION_EVENTS: setting('1000000', 'events', 'kept per channel', whole(1, 1_000_000_000)),
  RETENTION_DAYS: setting('14', 'days', 'kept per channel', whole(1, 36_500)),
  HEARTBEAT: setting(
    '30s',
    'duration',
    'protocol pings; 1.5 × that without a sign of life closes 4408',
    duration(8000, 600_000),
  ),
  AUTH_DEADLINE: setting('5s', 'duration', 'for the first token on a socket', duration(100, 60_000)),
  COALESCE_MS: setting(
    '5',
    'milliseconds',
    'window that collects events while they keep coming; 0 turns it off',
    whole(0, 5),
  ),
  DURABILITY: setting(
    'full',
    'full or normal',
    'normal survives a crash but not a power cut',
    z.enum(['full', 'normal']),
  ),
  JOB_MAX_ATTEMPTS: setting(
    '3',
    'attempts',
    'claims of a job after which a lease that runs out fails it',
    whole(1, 1000),
  ),
  LOG_LEVEL: setting(
    'info',
    'fatal … trace, silent',
    'least severe log line written',
    z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']),
  ),
  METRICS_TOKEN: setting(
    '',
    'at least 16 characters',
    'bearer of GET /metrics; without it direct requests of this machine need none',
    optional(z.string().min(16)),
    true,
  ),
  NODE_ID: setting(
    '',
    'text',
    'name of this process in lists; random when empty',
    optional(z.string().regex(/^[\w.-]{1,64}$/)),
  ),
} as const satisfies Record<string, Setting>

export type SettingName = keyof typeof settings
export type Config = { readonly [N in SettingName]: z.output<(typeof settings)[N]['schema']> }

/** A setting that cannot hold; the message is one line that names it. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

const loopbackHosts: ReadonlySet<string> = new Set(['127.0.0.1', '::1', 'localhost'])

/** Parses the environment. @throws {ConfigError} naming the first bad setting. */
export function loadConfig(environment: Readonly<Record<string, string | undefined>> = process.env): Config {
  const entries = Object.entries(settings).map(([name, { default: fallback, schema, secret }]) => {
    const text = environment[name] || fallback
    const parsed = (schema as z.ZodType).safeParse(text)
    if (parsed.success) return [name, parsed.data] as const
    const message = parsed.error.issues.at(-1)?.message ?? 'not acceptable'
    throw new ConfigError(
      `${name}=${secret ? '***' : JSON.stringify(text)}: ${plainer(parsed.error, message)}`,
    )
  })
  return checkConfig(Object.fromEntries(entries) as Config)
}

/** The defaults with some values replaced, for programs that embed the server. @throws {ConfigError} */
export function configWith(overrides: Partial<Config>): Config {
  return checkConfig({ ...loadConfig({}), ...overrides })
}

/** What no single setting can say about itself. */
function checkConfig(config: Config): Config {
  if (config.JWT_SECRET !== undefined && Buffer.byteLength(config.JWT_SECRET) < 32) {
    throw new ConfigError('JWT_SECRET=***: expected at least 32 bytes (RFC 7518 §3.2)')
  }
  if (config.AUTH === 'off' && !loopbackHosts.has(config.HOST)) {
    throw new ConfigError(`AUTH="off" is allowed only on a loopback address, but HOST is "${config.HOST}"`)
  }
  return config
}

/** A union's own message says nothing; the inner one names what was expected. */
function plainer(error: z.ZodError, fallback: string): string {
  const issue = error.issues[0]
  if (issue?.code !== 'invalid_union') return fallback
  return issue.errors.at(-1)?.[0]?.message ?? fallback
}

/** Every setting in force as `NAME=value`, secrets masked. */
export function describeConfig(config: Config): string[] {
  return Object.entries(settings).map(([name, { secret, unit }]) => {
    const value = config[name as SettingName]
    const shown = value === undefined || value === '' ? '(none)' : secret ? '***' : format(value, unit)
    return `${name}=${shown}`
  })
}

/** Where a server on this address and port is reached. */
export function baseUrl(host: string, port: number): string {
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`
}

/** Bounds that a client can meet, by name. */
export function limitsOf(config: Config): Readonly<Record<string, number>> {
  return {
    frame_bytes: config.MAX_FRAME_BYTES,
    body_bytes: config.MAX_BODY_BYTES,
    connections: config.MAX_CONNECTIONS,
    retention_events: config.RETENTION_EVENTS,
  }
}

function format(value: unknown, unit: string): string {
  return unit === 'duration' ? `${String(value)}ms` : String(value) || '(none)'
}

/** The README's table of settings. */
export function settingsTable(): string {
  const rows = Object.entries(settings).map(([name, { default: fallback, unit, reason }]) => {
    const shown = name === 'MAX_CONNECTIONS' ? '80 % of RLIMIT_NOFILE' : fallback || 'none'
    return `| ${name} | ${shown} | ${unit} | ${reason} |`
  })
  return ['| name | default | unit | what it is for |', '| --- | --- | --- | --- |', ...rows].join('\n')
}
