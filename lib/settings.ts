/** The settings: every environment variable with its unit, default, reason and schema; config.ts reads them. */
import * as z from 'zod'
import {
  addressList,
  connectionsAllowed,
  duration,
  folderList,
  isKeySetUrl,
  KEY_SET_URL_EXPECTED,
  optional,
  originList,
  rate,
  secretSchema,
  url,
  whole,
} from './setting-values.ts'

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

/** A little less: files of its own, and requests that are no connection. */
function defaultConnections(): string {
  return String(Math.max(1, Math.min(100_000, connectionsAllowed() - 32)))
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
  TLS_CERT: setting(
    '',
    'path',
    'PEM certificate with its chain: https and wss instead of http and ws; read at the start',
    optional(z.string()),
  ),
  TLS_KEY: setting('', 'path', 'its PEM key, mode 0600', optional(z.string())),
  DATA_DIR: setting(
    './data',
    'path',
    'database, secret and lock, mode 0700; one server process per folder',
    z.string().min(1),
  ),
  PHOTO_FOLDERS: setting(
    '',
    'paths',
    'comma-separated; thumbnails are made of photo files inside of them, and of no others',
    folderList,
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
  LOCAL_SCOPE: setting(
    '',
    'scope',
    'rights of requests without a token from a loopback address, without Origin and forwarding headers',
    z.string().max(4096),
  ),
  JWT_SECRET: setting(
    '',
    'at least 32 bytes',
    'HS256/384/512 key; without it, and without JWKS, one is generated into DATA_DIR on the first start',
    optional(secretSchema),
    true,
  ),
  JWT_PREVIOUS_SECRET: setting(
    '',
    'at least 32 bytes',
    'the secret before JWT_SECRET: verifies its tokens until they expire, signs none',
    optional(secretSchema),
    true,
  ),
  JWKS_URL: setting(
    '',
    'URL',
    "an outside issuer's public keys (RFC 7517), by https, or http from a loopback address; needs JWT_ISSUER and JWT_AUDIENCE",
    optional(z.string().refine(isKeySetUrl, KEY_SET_URL_EXPECTED)),
  ),
  JWKS_FILE: setting('', 'path', 'the same from a file, read again when it changes', optional(z.string())),
  JWT_ISSUER: setting('', 'text', 'when set, a token must carry it as iss', optional(z.string().max(512))),
  JWT_AUDIENCE: setting('', 'text', 'when set, a token must carry it as aud', optional(z.string().max(512))),
  ALLOWED_ORIGINS: setting(
    '',
    'origins',
    'pages of other origins that may use the server, comma-separated',
    originList,
  ),
  TRUSTED_PROXIES: setting(
    '',
    'addresses, CIDR',
    'proxies whose Forwarded or X-Forwarded-For names the client, comma-separated',
    addressList,
  ),
  RATE_MESSAGES: setting('100/60s', 'number/duration', 'messages of one connection; 0 turns it off', rate),
  RATE_REQUESTS: setting(
    '12000/60s',
    'number/duration',
    'requests of one subject, without a good token of one address; 0 turns it off',
    rate,
  ),
  RATE_CONNECTIONS: setting(
    '120/60s',
    'number/duration',
    'upgrades without a good token from one address; 0 turns it off',
    rate,
  ),
  RATE_AUTH_FAILURES: setting(
    '20/60s',
    'number/duration',
    'bad tokens from one address, then none is looked at; 0 turns it off',
    rate,
  ),
  MAX_CONNECTIONS: setting(
    defaultConnections(),
    'clients',
    'over every transport; never above 80 % of the file-descriptor limit',
    whole(1, 1_000_000),
  ),
  MAX_CONNECTIONS_PER_SUBJECT: setting(
    '1000',
    'clients',
    'of one subject; 0 is no limit',
    whole(0, 1_000_000),
  ),
  MAX_CONNECTIONS_PER_ADDRESS: setting(
    '2000',
    'clients',
    'from one address (IPv6: one /64); 0 is no limit',
    whole(0, 1_000_000),
  ),
  MAX_UNAUTHENTICATED: setting(
    '1000',
    'clients',
    'that have no token yet, all together; each has AUTH_DEADLINE',
    whole(1, 1_000_000),
  ),
  MAX_FRAME_BYTES: setting(
    '65536',
    'bytes',
    'largest message of a client, inflated too',
    whole(1024, 1_048_576),
  ),
  MAX_BODY_BYTES: setting('1048576', 'bytes', 'largest request body', whole(1024, 67_108_864)),
  MAX_FILTERS: setting(
    '1000',
    'filters',
    'distinct ones evaluated for every event; with one more a connection reads the journal instead',
    whole(0, 1_000_000),
  ),
  MAX_PENDING_WRITES: setting(
    '10000',
    'writes',
    'waiting for a commit; over it requests get 503',
    whole(1, 1_000_000),
  ),
  MAX_PENDING_BYTES: setting(
    '67108864',
    'bytes',
    'request bodies under way, half of it for one subject; over it requests get 503',
    whole(2048, 17_179_869_184),
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
  SAMPLE_INTERVAL: setting(
    '5s',
    'duration',
    'samples of CPU, memory, disk and event rates, told to who follows system whole; 0s takes none',
    duration(0, 3_600_000),
  ),
  AUTH_DEADLINE: setting('5s', 'duration', 'for the first token on a socket', duration(100, 60_000)),
  DRAIN_SPREAD: setting('5s', 'duration', 'over which a stop sends the clients away', duration(0, 600_000)),
  DRAIN_DEADLINE: setting('30s', 'duration', 'within which a stop is over', duration(1000, 3_600_000)),
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

/** The README's table of settings. */
export function settingsTable(): string {
  const rows = Object.entries(settings).map(([name, { default: fallback, unit, reason }]) => {
    const shown = name === 'MAX_CONNECTIONS' ? '80 % of RLIMIT_NOFILE' : fallback || 'none'
    return `| ${name} | ${shown} | ${unit} | ${reason} |`
  })
  return ['| name | default | unit | what it is for |', '| --- | --- | --- | --- |', ...rows].join('\n')
}
