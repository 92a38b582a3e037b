/** The configuration: the settings' values, read from the environment once and checked against one another. */
import type * as z from 'zod'
import {
  connectionsAllowed,
  isKeySetUrl,
  isLongSecret,
  isLoopback,
  KEY_SET_URL_EXPECTED,
  SECRET_EXPECTED,
  type Rate,
} from './setting-values.ts'
import { settings, type Config, type SettingName } from './settings.ts'

/** A setting that cannot hold; the message is one line that names it. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

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
  for (const name of ['JWT_SECRET', 'JWT_PREVIOUS_SECRET'] as const) {
    const secret = config[name]
    if (secret !== undefined && !isLongSecret(secret))
      throw new ConfigError(`${name}=***: ${SECRET_EXPECTED}`)
  }
  if (config.AUTH === 'off' && !isLoopback(config.HOST)) {
    throw new ConfigError(`AUTH="off" is allowed only on a loopback address, but HOST is "${config.HOST}"`)
  }
  checkKeySet(config)
  if ((config.TLS_CERT === undefined) !== (config.TLS_KEY === undefined)) {
    throw new ConfigError('TLS_CERT and TLS_KEY: set both or none')
  }
  if (config.DRAIN_SPREAD >= config.DRAIN_DEADLINE) {
    throw new ConfigError(
      `DRAIN_SPREAD="${config.DRAIN_SPREAD}ms": expected less than DRAIN_DEADLINE, ${config.DRAIN_DEADLINE}ms`,
    )
  }
  const { MAX_CONNECTIONS: connections, MAX_BODY_BYTES: body, MAX_PENDING_BYTES: pending } = config
  if (connections > connectionsAllowed()) {
    throw new ConfigError(
      `MAX_CONNECTIONS="${connections}": expected at most ${connectionsAllowed()}, 80 % of this process's file-descriptor limit`,
    )
  }
  if (pending < 2 * body) {
    throw new ConfigError(
      `MAX_PENDING_BYTES="${pending}": expected at least ${2 * body}, twice MAX_BODY_BYTES`,
    )
  }
  return config
}

/** Any issuer's key would do, and a token for any other service, if nobody said whose and for whom. */
function checkKeySet({ JWKS_URL: url, JWKS_FILE: file, JWT_ISSUER, JWT_AUDIENCE }: Config): void {
  if (url === undefined && file === undefined) return
  const name = url === undefined ? 'JWKS_FILE' : 'JWKS_URL'
  if (url !== undefined && file !== undefined)
    throw new ConfigError('JWKS_URL and JWKS_FILE: set one of them')
  if (url !== undefined && !isKeySetUrl(url))
    throw new ConfigError(`JWKS_URL="${url}": ${KEY_SET_URL_EXPECTED}`)
  if (JWT_ISSUER === undefined || JWT_AUDIENCE === undefined) {
    throw new ConfigError(`${name} needs JWT_ISSUER and JWT_AUDIENCE: whose tokens, and for whom`)
  }
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
    const off = unit === 'number/duration' ? '0' : '(none)'
    const shown = value === undefined || value === '' ? off : secret ? '***' : format(value, unit)
    return `${name}=${shown}`
  })
}

/** Where a server of this set-up is reached. */
export function baseUrl({ HOST: host, TLS_CERT }: Pick<Config, 'HOST' | 'TLS_CERT'>, port: number): string {
  return `${TLS_CERT === undefined ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${port}`
}

/** What the hub is bounded by, by its own names. */
export function hubLimits(config: Config) {
  return {
    heartbeatMs: config.HEARTBEAT,
    authDeadlineMs: config.AUTH_DEADLINE,
    frameBytesMax: config.MAX_FRAME_BYTES,
    tailBytes: config.TAIL_BYTES,
    queuedBytesMax: config.QUEUED_BYTES_MAX,
    filtersMax: config.MAX_FILTERS,
  }
}

/** Bounds that a client can meet, by name. */
export function limitsOf(config: Config): Readonly<Record<string, number>> {
  return {
    frame_bytes: config.MAX_FRAME_BYTES,
    body_bytes: config.MAX_BODY_BYTES,
    connections: config.MAX_CONNECTIONS,
    ...(config.RATE_MESSAGES && { messages_per_minute: perMinute(config.RATE_MESSAGES) }),
    ...(config.RATE_REQUESTS && { requests_per_minute: perMinute(config.RATE_REQUESTS) }),
    retention_events: config.RETENTION_EVENTS,
  }
}

function perMinute({ limit, windowMs }: Rate): number {
  return Math.floor((limit * 60_000) / windowMs)
}

function format(value: unknown, unit: string): string {
  if (unit === 'number/duration') {
    // What the setting's own schema has made.
    const { limit, windowMs } = value as Rate
    return `${limit}/${windowMs}ms`
  }
  return unit === 'duration' ? `${String(value)}ms` : String(value) || '(none)'
}
