import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describeConfig, loadConfig, settingsTable } from '../lib/config.ts'
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
  [{ LOG_LEVEL: 'loud' }, /^LOG_LEVEL="loud"/],
])('%p stops the start with a line that names it', (environment, line) => {
  expect(() => loadConfig(environment)).toThrow(line)
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
