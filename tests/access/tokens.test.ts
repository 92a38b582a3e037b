/** Tokens, first part: what is accepted, and each way of not being so. */
import { describe, expect, test } from 'bun:test'
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SignJWT, UnsecuredJWT, type JWTPayload } from 'jose'
import { loadKey } from '../../lib/access/keys.ts'
import { parseScope, unknownScope } from '../../lib/access/rights.ts'
import { createTokens } from '../../lib/access/tokens.ts'
import { temporaryFolder } from '../support/server.ts'

const key = new TextEncoder().encode('k'.repeat(40))
const nowMs = Date.parse('2026-06-01T12:00:00Z')
const seconds = nowMs / 1000
const tokens = createTokens({ key, issuer: 'studio', audience: 'lightwire', now: () => new Date(nowMs) })
const good = {
  sub: 'anna',
  scope: 'api:read',
  exp: seconds + 60,
  iat: seconds,
  iss: 'studio',
  aud: 'lightwire',
}

const sign = (claims: object, header: object = {}, secret = key) =>
  new SignJWT(claims as JWTPayload).setProtectedHeader({ alg: 'HS256', ...header }).sign(secret)

describe('a token', () => {
  test.each(['HS256', 'HS384', 'HS512'])('signed with %s is accepted', async (alg) => {
    const principal = await tokens.verify(await sign({ ...good, jti: 'x' }, { alg, typ: 'at+jwt' }))

    expect(principal).toMatchObject({
      subject: 'anna',
      scope: 'api:read',
      expiresAtMs: (seconds + 60) * 1000,
      jti: 'x',
    })
  })

  test('that is issued here is accepted here', async () => {
    const { token } = await tokens.issue({ subject: 'bob', scope: 'events:read:jobs', expiresInMs: 1500 })

    expect(await tokens.verify(token)).toMatchObject({ subject: 'bob', expiresAtMs: nowMs + 2000 })
  })

  test.each([
    ['expired beyond the leeway', { exp: seconds - 6 }, 'unauthenticated'],
    ['without exp', { exp: undefined }, 'invalid_token'],
    ['with exp as text', { exp: '9999999999' }, 'invalid_token'],
    ['with a negative exp', { exp: -1 }, 'unauthenticated'],
    ['with an exp beyond all dates', { exp: 1e300 }, 'invalid_token'],
    ['without sub', { sub: undefined }, 'invalid_token'],
    ['with an object as sub', { sub: { a: 1 } }, 'invalid_token'],
    ['with an empty sub', { sub: '' }, 'invalid_token'],
    ['with a list as scope', { scope: ['admin'] }, 'invalid_token'],
    ['of another issuer', { iss: 'elsewhere' }, 'invalid_token'],
    ['without iss', { iss: undefined }, 'invalid_token'],
    ['for another audience', { aud: 'billing' }, 'invalid_token'],
    ['that begins in the future', { nbf: seconds + 6 }, 'invalid_token'],
    ['issued in the future', { iat: seconds + 6 }, 'invalid_token'],
  ])('%s is refused', async (_, claims, code) => {
    await expect(tokens.verify(await sign({ ...good, ...claims }))).rejects.toMatchObject({ code })
  })

  test.each([
    ['expired within the leeway', { exp: seconds - 4 }],
    ['that begins within the leeway', { nbf: seconds + 4 }],
    ['for several audiences, ours among them', { aud: ['billing', 'lightwire'] }],
    ['without scope, which grants nothing', { scope: undefined }],
  ])('%s is accepted', async (_, claims) => {
    expect(await tokens.verify(await sign({ ...good, ...claims }))).toMatchObject({ subject: 'anna' })
  })

  test('that is unsigned, signed by another key, altered or of another type is refused', async () => {
    const token = await sign(good)
    const [header = '', payload = '', signature = ''] = token.split('.')
    const other = Buffer.from(JSON.stringify({ ...good, scope: 'admin' })).toString('base64url')
    const bad = [
      new UnsecuredJWT(good).encode(),
      await sign(good, {}, new TextEncoder().encode('o'.repeat(40))),
      await sign(good, { typ: 'JOSE' }),
      `${header}.${other}.${signature}`,
      `${header}.${payload}.`,
      `${header}.${payload}`,
      `${token}A`,
      `${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.${signature}`,
      '',
      'x'.repeat(9000),
    ]

    for (const text of bad) await expect(tokens.verify(text)).rejects.toMatchObject({ code: 'invalid_token' })
  })

  test('in a refusal is never quoted', async () => {
    const token = await sign({ ...good, iss: 'elsewhere' })

    const error = await tokens.verify(token).catch((refusal: Error) => refusal)

    expect(String(error)).not.toContain(token.slice(0, 20))
  })
})

test('a scope grants what it names and nothing else', () => {
  expect(parseScope('events:read:jobs events:publish api:read unheard')).toEqual({
    narrowed: new Map(),
    sessions: new Set(),
    read: new Set(['jobs']),
    publish: new Set(['approval', 'export', 'jobs', 'photos', 'queue', 'sessions', 'system']),
    apiRead: true,
    apiWrite: false,
    admin: false,
  } as never)
  expect(unknownScope('events:read:jobs api:read')).toBeUndefined()
  expect(unknownScope('events:read:cats')).toBe('events:read:cats')
})

test('the secret is generated once, for its owner only, and refused when others could read it', () => {
  using folder = temporaryFolder()
  const path = join(folder.path, 'secret')

  const first = loadKey(folder.path, undefined)
  const second = loadKey(folder.path, undefined)

  expect(first).toEqual(second)
  expect(first.length).toBeGreaterThanOrEqual(32)
  expect(statSync(path).mode & 0o777).toBe(0o600)
  expect(loadKey(folder.path, 'c'.repeat(32))).toEqual(new TextEncoder().encode('c'.repeat(32)))
  expect(readFileSync(path, 'utf8')).not.toContain('c'.repeat(32))
  chmodSync(path, 0o644)
  expect(() => loadKey(folder.path, undefined)).toThrow(/read by others/)
  writeFileSync(path, 'short')
  chmodSync(path, 0o600)
  expect(() => loadKey(folder.path, undefined)).toThrow(/fewer than 32 bytes/)
})
