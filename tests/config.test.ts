import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describeConfig, loadConfig } from '../lib/config.ts'
import { settingsTable } from '../lib/settings.ts'
import { projectRoot } from './support/process.ts'

test('an empty environment gives the defaults that README tells', () => {
  const config = loadConfig({})

  expect(config).toMatchObject({
    HOST: '127.0.0.1',
    PORT: 5100,
    AUTH: 'required',
    HEARTBEAT: 30_000,
    AUTH_DEADLINE: 5000,
    MAX_FRAME_BYTES: 65_536,
    RETENTION_EVENTS: 1_000_000,
    RETENTION_DAYS: 14,
    DURABILITY: 'full',
    JOB_MAX_ATTEMPTS: 3,
    RATE_MESSAGES: { limit: 100, windowMs: 60_000 },
    RATE_REQUESTS: { limit: 12_000, windowMs: 60_000 },
    RATE_CONNECTIONS: { limit: 120, windowMs: 60_000 },
    RATE_AUTH_FAILURES: { limit: 20, windowMs: 60_000 },
    TRUSTED_PROXIES: [],
  })
})

test.each([
  [{ PORT: '70000' }, 'PORT="70000": expected a whole number from 0 to 65535'],
  [{ PORT: 'http' }, 'PORT="http": expected a whole number from 0 to 65535'],
  [{ HEARTBEAT: '30' }, 'HEARTBEAT="30": expected a duration such as 500ms, 30s, 2m or 1h'],
  [{ HEARTBEAT: '1s' }, 'HEARTBEAT="1s": expected a duration from 8000ms to 600000ms'],
  [{ JWT_SECRET: 'short' }, 'JWT_SECRET=***: expected at least 32 bytes (RFC 7518 §3.2)'],
  [{ AUTH: 'maybe' }, 'AUTH="maybe": Invalid option: expected one of "required"|"off"'],
  [
    { AUTH: 'off', HOST: '0.0.0.0' },
    'AUTH="off" is allowed only on a loopback address, but HOST is "0.0.0.0"',
  ],
  [{ ALLOWED_ORIGINS: 'https://a.example/path' }, /^ALLOWED_ORIGINS=.*exact origins/],
  [{ PUBLIC_URL: 'ftp://a' }, /^PUBLIC_URL=.*http/],
  [{ DATABASE_URL: 'mysql://root:hunter2@db/x' }, /^DATABASE_URL=\*\*\*: .*postgres/],
  [
    { RATE_MESSAGES: '100' },
    /^RATE_MESSAGES="100": expected 0, or a number and a duration .* such as 100\/60s/,
  ],
  [{ RATE_REQUESTS: '0/60s' }, /^RATE_REQUESTS="0\/60s"/],
  [{ RATE_REQUESTS: '10/60' }, /^RATE_REQUESTS="10\/60"/],
  [{ RATE_CONNECTIONS: '10/500ms' }, /^RATE_CONNECTIONS=/],
  [{ RATE_AUTH_FAILURES: '10/2h' }, /^RATE_AUTH_FAILURES=/],
  [{ TRUSTED_PROXIES: '10.0.0.0/8, proxy.example' }, /^TRUSTED_PROXIES=.*expected addresses or CIDR blocks/],
  [{ TRUSTED_PROXIES: '10.0.0.0/33' }, /^TRUSTED_PROXIES=/],
  [{ TRUSTED_PROXIES: '::1/129' }, /^TRUSTED_PROXIES=/],
  [{ MAX_CONNECTIONS: '1000000' }, /^MAX_CONNECTIONS="1000000": expected at most \d+, 80 % of/],
  [{ MAX_BODY_BYTES: '67108864' }, 'MAX_PENDING_BYTES="67108864": expected at least 134217728'],
  [{ LOG_LEVEL: 'loud' }, /^LOG_LEVEL="loud"/],
])('%p stops the start with a line that names it', (environment, line) => {
  expect(() => loadConfig(environment)).toThrow(line)
})

test('0 needs no unit where a duration may be nothing', () => {
  expect(loadConfig({ SAMPLE_INTERVAL: '0', DRAIN_SPREAD: '0s' })).toMatchObject({
    SAMPLE_INTERVAL: 0,
    DRAIN_SPREAD: 0,
  })
  expect(() => loadConfig({ HEARTBEAT: '0' })).toThrow('HEARTBEAT="0": expected a duration from 8000ms')
})

test('0 turns a rate off, and proxies are addresses and blocks', () => {
  const config = loadConfig({ RATE_MESSAGES: '0', RATE_REQUESTS: '5/2m', TRUSTED_PROXIES: '::1, 10.0.0.0/8' })

  expect(config.RATE_MESSAGES).toBeUndefined()
  expect(config.RATE_REQUESTS).toEqual({ limit: 5, windowMs: 120_000 })
  expect(config.TRUSTED_PROXIES).toEqual(['::1', '10.0.0.0/8'])
  expect(describeConfig(config)).toContain('RATE_MESSAGES=0')
  expect(describeConfig(config)).toContain('RATE_REQUESTS=5/120000ms')
})

test('check shows every setting, and no secret', () => {
  const lines = describeConfig(loadConfig({ JWT_SECRET: 'x'.repeat(40), METRICS_TOKEN: 'y'.repeat(20) }))

  expect(lines).toContain('JWT_SECRET=***')
  expect(lines).toContain('PORT=5100')
  expect(lines).toContain('HEARTBEAT=30000ms')
  expect(lines.join('\n')).not.toMatch(/x{40}|y{20}/)
})

test("README's table is the one that the settings make", () => {
  expect(readFileSync(join(projectRoot, 'README.md'), 'utf8')).toContain(settingsTable())
})
